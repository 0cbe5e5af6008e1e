from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, Literal, final

from typing_extensions import Self, disjoint_base

from .enums import MessageState
from .options import ConnectOptions
from .subscribeoptions import Wanted

__all__ = [
    "EVENT_ATTEMPT",
    "EVENT_CONNACK",
    "EVENT_CONNECT_FAILED",
    "EVENT_DISCONNECTED",
    "EVENT_LOG",
    "EVENT_NOTICE",
    "EVENT_PUBLISHED",
    "EVENT_SUBSCRIBED",
    "EVENT_UNSUBSCRIBED",
    "Client",
    "MQTTMatcher",
    "MQTTMessage",
    "Properties",
    "Routes",
    "parse_broker_url",
    "reason_name",
    "topic_matches_sub",
    "validate_filter",
    "validate_proxy",
    "validate_topic",
]

EVENT_CONNACK: Final = 0
EVENT_DISCONNECTED: Final = 1
EVENT_PUBLISHED: Final = 2
EVENT_SUBSCRIBED: Final = 3
EVENT_UNSUBSCRIBED: Final = 4
EVENT_LOG: Final = 5
EVENT_NOTICE: Final = 6
EVENT_ATTEMPT: Final = 7
EVENT_CONNECT_FAILED: Final = 8

@final
class MQTTMatcher:
    def __new__(cls) -> MQTTMatcher: ...
    def __setitem__(self, key: str, value: Any, /) -> None: ...
    def __getitem__(self, key: str, /) -> Any: ...
    def __delitem__(self, key: str, /) -> None: ...
    def iter_match(self, topic: str) -> Iterator[Any]: ...

@disjoint_base
class MQTTMessage:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    mid: int
    timestamp: float
    properties: Any
    state: MessageState
    info: Any
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __new__(cls, mid: int = 0, topic: bytes | None = None) -> Self: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Properties:
    PayloadFormatIndicator: int
    MessageExpiryInterval: int
    ContentType: str
    ResponseTopic: str
    CorrelationData: bytes
    SubscriptionIdentifier: Any
    SessionExpiryInterval: int
    AssignedClientIdentifier: str
    ServerKeepAlive: int
    AuthenticationMethod: str
    AuthenticationData: bytes
    RequestProblemInformation: int
    WillDelayInterval: int
    RequestResponseInformation: int
    ResponseInformation: str
    ServerReference: str
    ReasonString: str
    ReceiveMaximum: int
    TopicAliasMaximum: int
    TopicAlias: int
    MaximumQoS: int
    RetainAvailable: int
    UserProperty: Any
    MaximumPacketSize: int
    WildcardSubscriptionAvailable: int
    SubscriptionIdentifierAvailable: int
    SharedSubscriptionAvailable: int
    @property
    def packetType(self) -> int | None: ...  # noqa: N802 - paho's names
    def __new__(cls, packetType: int | None = None, **values: Any) -> Properties: ...  # noqa: N803
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def names(self) -> list[str]: ...
    def isEmpty(self) -> bool: ...  # noqa: N802
    def clear(self) -> None: ...
    def json(self) -> dict[str, Any]: ...

@final
class Client:
    def __new__(cls) -> Client: ...
    def wake_fd(self) -> int: ...
    def connect(self, options: ConnectOptions, report_first: bool) -> int: ...
    def outcome(self) -> bool: ...
    def disconnect(self, report: bool, reason: int, properties: Any) -> int | None: ...
    def ask(self, wanted: bool) -> None: ...
    def is_asking(self) -> bool: ...
    def answer(self, options: ConnectOptions | None) -> None: ...
    def publish(
        self, topic: str, payload: Any, qos: int, retain: bool, properties: Any
    ) -> tuple[int, int]: ...
    def subscribe(
        self, filters: list[Wanted], properties: Any, reuse: bool
    ) -> tuple[int, int | None]: ...
    def unsubscribe(self, filters: list[str], properties: Any) -> tuple[int, int | None]: ...
    def handled(self, message: MQTTMessage) -> None: ...
    def acknowledge(self, mid: int, qos: int) -> int: ...
    def take(self, most: int) -> list[Any]: ...
    def wake(self) -> None: ...
    def room(self) -> int: ...
    def listen(self, logging: bool, publishing: bool) -> None: ...
    def is_running(self) -> bool: ...
    def is_connected(self) -> bool: ...
    def is_open(self) -> bool: ...

@final
class Routes:
    def __new__(cls) -> Routes: ...
    def add(self, sub: str, handler: Callable[..., Any]) -> None: ...
    def remove(self, sub: str) -> None: ...
    def handlers(self, topic: str) -> tuple[Callable[..., Any], ...]: ...
    def __bool__(self) -> bool: ...

def parse_broker_url(
    text: str,
) -> tuple[
    Literal["tcp", "websockets", "unix"],
    bool,
    str,
    int | None,
    str | None,
    str | None,
    str | None,
]: ...
def reason_name(code: int) -> str: ...
def topic_matches_sub(sub: str, topic: str) -> bool: ...
def validate_filter(sub: str) -> None: ...
def validate_proxy(text: str) -> None: ...
def validate_topic(topic: str) -> None: ...
