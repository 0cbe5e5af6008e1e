"""The client in paho's shape."""

from .client import Client

__all__ = ["Client"]
