"""Publishing: what becomes of a message, for who published it and for the log."""
