"""What a script is given: clients of one implementation or the other, and ways to wait."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
from typing import TYPE_CHECKING, Any

from support.server import HOST
from support.wait import wait_until

from .player import TIMEOUT, Player

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from support.tls_server import TlsServer

    from .registry import Case, Side

#: The longest payload that is written down as it is.
SHORT = 40


class Run:
    """One playing of a script with one implementation.

    names: the module with its public names. port: where the script's broker is reached.
    sees: what the script has noted, in order; the handlers note messages and refusals.
    """

    def __init__(self, module: str, case: Case, side: Side, certificates: Path) -> None:
        self.names = importlib.import_module(module)
        self.version = case.version
        self.certificates = certificates
        self.sees: list[str] = []
        self.player = Player(side.steps)
        self._front = case.front
        self._stack = contextlib.ExitStack()
        self._clients: list[Any] = []
        self._left: list[Any] = []
        self._events: list[str] = []

    def __enter__(self) -> Self:
        self._stack.enter_context(self.player)
        self.port = self.player.port
        if self._front is not None:
            self.front: TlsServer = self._front(self.certificates, self.port)
            self._stack.enter_context(self.front)
            self.port = self.front.port
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for client in self._clients:
            client.disconnect()
            client.loop_stop()
        self._stack.close()

    # --- clients ----------------------------------------------------------------------------------

    def client(self, client_id: str = "c", *, clean: bool = True, **options: Any) -> Any:
        """Make a client that notes what it sees and has no connection yet."""
        if self.version.level < 5:
            options["clean_session"] = clean
        if hasattr(self.names, "CallbackAPIVersion"):
            options["callback_api_version"] = self.names.CallbackAPIVersion.VERSION1
        client = self.names.Client(client_id=client_id, protocol=self.version.level, **options)
        client.on_connect = self._connected
        client.on_message = self._received
        for name in ("disconnect", "subscribe", "unsubscribe", "publish"):
            setattr(client, f"on_{name}", self._noting(name))
        self._clients.append(client)
        return client

    def connect(self, client: Any, keepalive: int = 60, **options: Any) -> Any:
        """Connect and wait until the broker has accepted."""
        self.begin(client, keepalive, **options)
        self.wait("connect")
        return client

    def begin(self, client: Any, keepalive: int = 60, **options: Any) -> Any:
        """Connect and do not wait; with MQTT 5 a clean start each time, unless told otherwise."""
        if self.version.level == 5:
            options.setdefault("clean_start", True)
        client.connect(HOST, self.port, keepalive, **options)
        client.loop_start()
        return client

    def start(self, client_id: str = "c", *, clean: bool = True, **options: Any) -> Any:
        """Make a client and connect it."""
        return self.connect(self.client(client_id, clean=clean), **options)

    def leave(self, client: Any, *how: Any) -> None:
        """Disconnect; the end of the script does so for the others."""
        self._left.append(client)
        client.disconnect(*how)

    def properties(self, packet: str, **values: Any) -> Any:
        """Make properties for a packet."""
        made = self.names.Properties(getattr(self.names.PacketTypes, packet))
        for name, value in values.items():
            setattr(made, name, value)
        return made

    def reason(self, packet: str, number: int) -> Any:
        """Make a reason code for a packet."""
        packet_type = getattr(self.names.PacketTypes, packet)
        return self.names.ReasonCode(packet_type, identifier=number)

    def _connected(self, _client: Any, _userdata: Any, _flags: Any, rc: Any, *_: Any) -> None:
        code = getattr(rc, "value", rc)
        if code:
            self.note(f"refused with {code}")
        else:
            self._events.append("connect")

    def _received(self, _client: Any, _userdata: Any, message: Any) -> None:
        payload = message.payload
        if len(payload) > SHORT:
            payload = hashlib.sha256(payload).hexdigest()
        flags = "".join(f" {name}" for name in ("retain", "dup") if getattr(message, name))
        self.note(f"{message.topic} {payload!r} qos {message.qos}{flags}")

    def _noting(self, name: str) -> Any:
        def handle(*_: Any) -> None:
            self._events.append(name)

        return handle

    # --- notes, and waiting -----------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Add to what the script has seen."""
        self.sees.append(text)

    def wait(self, name: str, count: int = 1) -> None:
        """Wait until a handler has run so often, `on_connect` for a connection that is accepted."""

        def ran() -> bool:
            return bool(self.player.error) or self._events.count(name) >= count

        wait_until(ran, TIMEOUT, f"{count} x on_{name}")

    def wait_seen(self, count: int) -> None:
        """Wait until so much has been noted."""
        wait_until(lambda: self.player.error or len(self.sees) >= count, TIMEOUT, f"{count} notes")

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition is true."""
        wait_until(condition, TIMEOUT, what)

    def told(self, name: str) -> None:
        """Wait for the broker's step `Tell(name)`."""
        self.player.wait_until_told(name)

    def tell(self, name: str) -> None:
        """Let the broker's step `Wait(name)` pass."""
        self.player.tell(name)

    def play(self, case: Case, side: Side) -> None:
        """Do what the script says; where its end is a DISCONNECT, disconnect when that is due."""
        case.drive(self)
        if side.ends_with_disconnect:
            self.player.wait_until_at(len(side.steps) - 2)
            self.wait_seen(len(side.sees))
            for client in self._clients:
                if client not in self._left:
                    client.disconnect()
        self.player.wait_until_at(len(side.steps))
