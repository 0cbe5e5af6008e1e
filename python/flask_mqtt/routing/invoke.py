"""The type of the stages of a route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._core import MQTTMessage

#: A stage is called with the client, the message, and the values by their names. One that is around
#: another one is made by a function ``with_x(invoke, …) -> Invoke`` in a module of its own.
Invoke = Callable[[Any, MQTTMessage, dict[str, Any]], Any]
