"""What a scenario is given: a recording broker, applications, and a place for what it sees."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flask_mqtt import Mqtt
from support.apps import make_app
from support.scripted import ScriptedBroker
from support.tls_server import TlsServer
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from flask import Flask
    from typing_extensions import Self

    from support.packets import Packet

MqttT = TypeVar("MqttT", bound=Mqtt)

HANDLERS = ("connect", "disconnect", "message", "publish", "subscribe", "unsubscribe")


def describe(value: Any) -> Any:
    """Turn a value into JSON that keeps apart what a Python program could tell apart."""
    described: Any = type(value).__name__
    if value is None or isinstance(value, (bool, str, float)):
        described = value
    elif isinstance(value, int):
        described = int(value)  # codes are enumerations in one package, maybe not in the other
    elif isinstance(value, (bytes, bytearray)):
        described += f":{bytes(value)!r}"
    elif isinstance(value, dict):
        described = {str(key): describe(item) for key, item in value.items()}
    elif isinstance(value, tuple):
        described = {"tuple": [describe(item) for item in value]}
    elif isinstance(value, list):
        described = [describe(item) for item in value]
    elif hasattr(value, "payload"):
        names = ("topic", "payload", "qos", "retain", "dup", "mid")
        described = {name: describe(getattr(value, name)) for name in names}
    return described


def describe_packet(packet: Packet) -> list[Any]:
    """Turn a packet into JSON without the fields that its kind does not have."""
    described: list[Any] = [packet.connection, packet.kind]
    if packet.connect is not None:
        return [*described, describe(packet.connect._asdict())]
    for name in ("mid", "topic", "payload", "qos", "retain", "dup", "filters"):
        value = getattr(packet, name)
        if value:
            described.append({name: describe(value)})
    return described


class Run:
    """One playing of a scenario.

    broker: records what it receives.
    mosquitto: the ports of a real broker, by the names of its listeners in conftest.py.
    certificates: the directory that support.certificates has filled.
    """

    def __init__(self) -> None:
        self.broker = ScriptedBroker()
        self.mosquitto: dict[str, int] = json.loads(os.environ.get("PARITY_PORTS", "{}"))
        self.certificates = Path(os.environ.get("PARITY_CERTIFICATES", "certificates"))
        self.events: list[list[Any]] = []
        self.facts: dict[str, Any] = {}
        self._kinds: tuple[str, ...] = ()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.broker)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def outcome(self) -> dict[str, Any]:
        """Return all that was seen, as JSON."""
        packets = self.broker.of(*self._kinds) if self._kinds else self.broker.packets
        wire = [describe_packet(packet) for packet in packets]
        return {"events": self.events, "facts": self.facts, "wire": wire}

    # --- making clients -------------------------------------------------------------------------

    def app(self, **config: Any) -> Flask:
        """Make an application for the recording broker."""
        return make_app(self.broker.port, **config)

    def second_broker(self) -> ScriptedBroker:
        """Start a broker beside the recording one."""
        return self._stack.enter_context(ScriptedBroker())

    def tls_server(self, name: str = "server", clients: str | None = None) -> TlsServer:
        """Start a TLS server in front of the recording broker.

        name: of a certificate. clients: of the authority whose clients are let in, and no others.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file(name), self.file(f"{name}-key"))
        if clients:
            context.load_verify_locations(self.file(clients))
            context.verify_mode = ssl.CERT_REQUIRED
        return self._stack.enter_context(TlsServer(context, self.broker.port))

    def file(self, name: str) -> str:
        """Return the path of a certificate or key."""
        return str(self.certificates / f"{name}.pem")

    def mqtt(self, *without: str) -> Mqtt:
        """Make a client that is not yet started, whose handlers record what they get."""
        return self.record(Mqtt(), *without)

    def start(self, *without: str, **config: Any) -> Mqtt:
        """Make a client as `mqtt` does, and connect it."""
        mqtt = self.mqtt(*without)
        mqtt.init_app(self.app(**config))
        if "connect" not in without:
            self.wait_event("connect")
        return self.connected(mqtt)

    def connected(self, mqtt: MqttT) -> MqttT:
        """Wait until the client is connected."""
        wait_until(lambda: mqtt.connected, what="mqtt.connected")
        return mqtt

    def record(self, mqtt: MqttT, *without: str) -> MqttT:
        """Register recording handlers for all events but those named."""
        for name in HANDLERS:
            if name not in without:
                getattr(mqtt, f"on_{name}")()(self.handler(name, mqtt))
        return mqtt

    def handler(self, name: str, mqtt: Mqtt) -> Callable[..., None]:
        """Make a handler that records its arguments as the event `name`."""

        def handle(client: Any, userdata: Any, *arguments: Any) -> None:
            if client is not mqtt.client or userdata is not None:
                self.events.append([name, "unexpected client or userdata"])
            self.events.append([name, *map(describe, arguments)])

        return handle

    # --- recording ------------------------------------------------------------------------------

    def fact(self, name: str, value: Any) -> None:
        """Record something that both packages are expected to agree on."""
        assert name not in self.facts, f"two facts are called {name}"
        self.facts[name] = describe(value)

    def call(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Record as a fact what a call returned, or the class of the exception that it raised."""
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            self.fact(name, f"raises {type(error).__name__}")
            return None
        self.fact(name, result)
        return result

    def only(self, *kinds: str) -> None:
        """Compare no other kinds of packets than these."""
        self._kinds = kinds

    # --- waiting --------------------------------------------------------------------------------

    def named(self, *names: str) -> list[list[Any]]:
        """Return the events of these names."""
        return [event for event in self.events if event[0] in names]

    def wait(self, condition: Callable[[], object], what: str, timeout: float = 20.0) -> None:
        """Wait until a condition is true."""
        wait_until(condition, timeout, what)

    def wait_event(self, name: str, count: int = 1, timeout: float = 20.0) -> None:
        """Wait until a handler has run `count` times."""
        wait_until(lambda: len(self.named(name)) >= count, timeout, f"{count} x on_{name}")

    def settle(self, seconds: float = 0.3) -> None:
        """Give something time to happen that must not, or that only one of the packages does."""
        time.sleep(seconds)
