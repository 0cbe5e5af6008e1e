"""The package against brokers of other makers: what works is measured, not claimed."""
