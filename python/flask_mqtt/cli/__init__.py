"""The commands of ``flask mqtt``."""

from flask.cli import AppGroup

from .asyncapi import asyncapi
from .routes import routes

mqtt = AppGroup("mqtt", help="What the application does with MQTT.")
mqtt.add_command(asyncapi)
mqtt.add_command(routes)

__all__ = ["mqtt"]
