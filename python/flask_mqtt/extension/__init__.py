"""The extension: Flask-MQTT's interface, on the client."""

from .mqtt import Mqtt

__all__ = ["Mqtt"]
