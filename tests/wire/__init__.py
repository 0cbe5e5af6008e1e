"""The bytes of a client, held against those of paho's on the same scripts."""
