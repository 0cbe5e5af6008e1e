"""Flask-MultiMQTT's interface on the core of `flask_mqtt`."""

from flask_mqtt.originals import warn_of_original

from .multimqtt import MultiMQTT
from .topic import Topic

__all__ = ["MultiMQTT", "Topic"]

warn_of_original("Flask-MultiMQTT", __name__)
