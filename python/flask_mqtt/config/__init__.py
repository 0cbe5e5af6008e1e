"""The ``MQTT_*`` keys: read once from ``app.config``, checked, and turned into options."""

from .values import _CHECKS, MAX_PACKET_SIZE, NAMES, SET_ONCE, Config, read

__all__ = ["MAX_PACKET_SIZE", "NAMES", "SET_ONCE", "_CHECKS", "Config", "read"]
