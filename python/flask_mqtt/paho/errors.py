"""Exceptions of paho's that are none of Python's own."""

from __future__ import annotations


class WebsocketConnectionError(ConnectionError):
    """The broker, or what is in front of it, has refused the websocket, or does not speak it."""
