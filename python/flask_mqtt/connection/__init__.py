"""The connection: what it is made with, making it, ending it."""
