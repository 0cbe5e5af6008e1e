"""What paho's client has and this one has no use for. Each error says what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, overload

from ..paho.constants import MQTT_CLEAN_START_FIRST_ONLY
from .base import Base

if TYPE_CHECKING:
    from typing_extensions import Self

    from .types import CallbackOnSocket

_LOOP = "a thread has the connection: call loop_start(), loop_forever() or loop()"
_SOCKET = (
    "the socket belongs to the thread that has the connection, so no event loop has to watch it: "
    "call loop_start(), and use on_connect and on_disconnect, or on_socket_open for its options"
)


def _not_supported(name: str, instead: str) -> NoReturn:
    raise NotImplementedError(f"{name} is not supported: {instead}")


class _SocketHandler:
    """An attribute for a handler that nothing would call: it is None."""

    def __init__(self) -> None:
        self.__doc__ = "Read as None. Assigning a handler raises ``NotImplementedError``."

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> None: ...
    def __get__(self, instance: object | None, owner: type) -> Self | None:
        return self if instance is None else None

    def __set__(self, instance: object, handler: CallbackOnSocket | None) -> None:
        if handler is not None:
            _not_supported(self._name, _SOCKET)


class Unsupported(Base):
    """Names of paho's that raise ``NotImplementedError``."""

    on_socket_register_write = _SocketHandler()
    on_socket_unregister_write = _SocketHandler()

    @property
    def suppress_exceptions(self) -> bool:
        """True: what a handler raises is logged. Assigning False raises ``NotImplementedError``."""
        return True

    @suppress_exceptions.setter
    def suppress_exceptions(self, value: bool) -> None:
        if not value:
            _not_supported(
                "suppress_exceptions = False",
                "what a handler raises is logged with its traceback, and the next one is called",
            )

    def socket_register_write_callback(self) -> NoReturn:
        """Not supported, as `on_socket_register_write`."""
        _not_supported("socket_register_write_callback()", _SOCKET)

    def socket_unregister_write_callback(self) -> NoReturn:
        """Not supported, as `on_socket_unregister_write`."""
        _not_supported("socket_unregister_write_callback()", _SOCKET)

    def socket(self) -> NoReturn:
        """Not supported: the socket belongs to the connection's thread."""
        _not_supported("socket()", _SOCKET)

    def loop_read(self, max_packets: int = 1) -> NoReturn:
        """Not supported: use `loop_start`, `loop_forever` or `loop`."""
        _not_supported("loop_read()", _LOOP)

    def loop_write(self) -> NoReturn:
        """Not supported, as `loop_read`."""
        _not_supported("loop_write()", _LOOP)

    def loop_misc(self) -> NoReturn:
        """Not supported, as `loop_read`."""
        _not_supported("loop_misc()", _LOOP)

    def want_write(self) -> NoReturn:
        """Not supported, as `loop_read`."""
        _not_supported("want_write()", _LOOP)

    def connect_srv(
        self,
        domain: str | None = None,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: bool | int = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Any = None,
    ) -> NoReturn:
        """Not supported: look the brokers up, and give `connect` their names."""
        _not_supported(
            "connect_srv()",
            "look up the SRV records, with dnspython for example, and give connect() what they "
            "name: 'mqtt://one.example.com:1883,mqtt://two.example.com:1883'",
        )

    def enable_bridge_mode(self) -> NoReturn:
        """Not supported: MQTT 5 has what it is for as options of `subscribe`."""
        _not_supported(
            "enable_bridge_mode()",
            "with MQTT 5, subscribe with SubscribeOptions(noLocal=True, retainAsPublished=True)",
        )

    def drop_out_messages(self) -> NoReturn:
        """Not supported: what was accepted is sent. `reinitialise` forgets all of it."""
        _not_supported(
            "drop_out_messages()",
            "messages are retransmitted with topic aliases that the new connection knows; "
            "reinitialise() forgets them, together with everything else",
        )
