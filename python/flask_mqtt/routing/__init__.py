"""Routes: messages by topics with placeholders, as Flask routes requests."""
