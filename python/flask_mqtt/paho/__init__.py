"""What programs know from paho: enums, constants, texts, reason codes, options, messages."""
