"""The types of handlers, with paho's names: what each is called with, by API and MQTT version.

What a handler returns is not used; an ``async def`` handler returns what is waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ForwardRef

from .._core import MQTTMessage, Properties
from ..paho.enums import LogLevel, MQTTErrorCode
from ..paho.message import ConnectFlags, DisconnectFlags
from ..paho.reasoncodes import ReasonCode

if TYPE_CHECKING:
    from .client import Client
else:
    # The class comes after these types. `typing.get_type_hints` looks it up where it is.
    Client = ForwardRef("Client", module="flask_mqtt.client")

#: What `publish` and `will_set` take; a number becomes its text, and None nothing.
PayloadType = str | bytes | bytearray | int | float | None

CallbackOnConnect_v1_mqtt3 = Callable[[Client, Any, dict[str, Any], int], Any]
CallbackOnConnect_v1_mqtt5 = Callable[
    [Client, Any, dict[str, Any], ReasonCode, Properties | None], Any
]
CallbackOnConnect_v1 = CallbackOnConnect_v1_mqtt5 | CallbackOnConnect_v1_mqtt3
CallbackOnConnect_v2 = Callable[[Client, Any, ConnectFlags, ReasonCode, Properties], Any]
CallbackOnConnect = CallbackOnConnect_v1 | CallbackOnConnect_v2

CallbackOnConnectFail = Callable[[Client, Any], Any]
CallbackOnPreConnect = Callable[[Client, Any], Any]

CallbackOnDisconnect_v1_mqtt3 = Callable[[Client, Any, MQTTErrorCode], Any]
CallbackOnDisconnect_v1_mqtt5 = Callable[
    [Client, Any, ReasonCode | MQTTErrorCode, Properties | None], Any
]
#: Flask-MQTT before 1.3 called it without arguments, so a handler may have none.
CallbackOnDisconnect_v1 = (
    CallbackOnDisconnect_v1_mqtt3 | CallbackOnDisconnect_v1_mqtt5 | Callable[[], Any]
)
CallbackOnDisconnect_v2 = Callable[[Client, Any, DisconnectFlags, ReasonCode, Properties], Any]
CallbackOnDisconnect = CallbackOnDisconnect_v1 | CallbackOnDisconnect_v2

CallbackOnLog = Callable[[Client, Any, LogLevel, str], Any]
CallbackOnMessage = Callable[[Client, Any, MQTTMessage], Any]

#: With MQTT 5 it may take the properties, and those and the reason code, too.
CallbackOnPublish_v1 = (
    Callable[[Client, Any, int], Any]
    | Callable[[Client, Any, int, Properties | None], Any]
    | Callable[[Client, Any, int, Properties | None, ReasonCode], Any]
)
CallbackOnPublish_v2 = Callable[[Client, Any, int, ReasonCode, Properties], Any]
CallbackOnPublish = CallbackOnPublish_v1 | CallbackOnPublish_v2

CallbackOnSubscribe_v1_mqtt3 = Callable[[Client, Any, int, tuple[int, ...]], Any]
CallbackOnSubscribe_v1_mqtt5 = Callable[
    [Client, Any, int, tuple[ReasonCode, ...], Properties | None], Any
]
CallbackOnSubscribe_v1 = CallbackOnSubscribe_v1_mqtt3 | CallbackOnSubscribe_v1_mqtt5
CallbackOnSubscribe_v2 = Callable[[Client, Any, int, list[ReasonCode], Properties], Any]
CallbackOnSubscribe = CallbackOnSubscribe_v1 | CallbackOnSubscribe_v2

CallbackOnUnsubscribe_v1_mqtt3 = Callable[[Client, Any, int], Any]
#: It may also do without the reason codes.
CallbackOnUnsubscribe_v1_mqtt5 = (
    Callable[[Client, Any, int, Properties | None], Any]
    | Callable[[Client, Any, int, Properties | None, tuple[ReasonCode, ...]], Any]
)
CallbackOnUnsubscribe_v1 = CallbackOnUnsubscribe_v1_mqtt3 | CallbackOnUnsubscribe_v1_mqtt5
CallbackOnUnsubscribe_v2 = Callable[[Client, Any, int, list[ReasonCode], Properties], Any]
CallbackOnUnsubscribe = CallbackOnUnsubscribe_v1 | CallbackOnUnsubscribe_v2

CallbackOnSocket = Callable[[Client, Any, Any], Any]
