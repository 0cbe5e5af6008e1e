"""The ``MQTT_*`` keys: read once from ``app.config``, checked, and turned into options."""

from .keys import ATTRIBUTES, CLIENT_NAMES, KEYS, MAX_PACKET_SIZE, NAMES
from .reading import read
from .values import SET_ONCE, Config

__all__ = [
    "ATTRIBUTES",
    "CLIENT_NAMES",
    "KEYS",
    "MAX_PACKET_SIZE",
    "NAMES",
    "SET_ONCE",
    "Config",
    "read",
]
