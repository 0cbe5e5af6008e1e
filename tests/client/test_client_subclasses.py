"""Handlers as methods of a subclass of `Client`, which is a way that paho's documentation shows."""

from __future__ import annotations

import queue
import uuid
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from flask_mqtt import CallbackAPIVersion, Client, MQTTMessage
from flask_mqtt.client.kept_names import KeptNames
from support.surface import rows
from support.wait import wait_until

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto

EVENTS = [
    "on_pre_connect",
    "on_connect",
    "on_subscribe",
    "on_publish",
    "on_message",
    "on_unsubscribe",
    "on_disconnect",
]


class Recorder:
    """What the classes here have in common: where they write what was called."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.topic = f"subclasses/{uuid.uuid4()}"
        self.calls: queue.Queue[tuple[str, int]] = queue.Queue()
        self.lines: list[str] = []

    def called(self) -> tuple[str, int]:
        return self.calls.get(timeout=20)


class All(Recorder, Client):
    """Every handler is a method."""

    def on_pre_connect(self, *arguments: Any) -> None:
        self.calls.put(("on_pre_connect", len(arguments)))

    def on_connect(self, *arguments: Any) -> None:
        self.calls.put(("on_connect", len(arguments)))
        self.subscribe(self.topic)

    def on_subscribe(self, *arguments: Any) -> None:
        self.calls.put(("on_subscribe", len(arguments)))
        self.publish(self.topic, "1")

    def on_publish(self, *arguments: Any) -> None:
        self.calls.put(("on_publish", len(arguments)))

    def on_message(self, *arguments: Any) -> None:
        self.calls.put(("on_message", len(arguments)))
        self.unsubscribe(self.topic)

    def on_unsubscribe(self, *arguments: Any) -> None:
        self.calls.put(("on_unsubscribe", len(arguments)))
        self.disconnect()

    def on_disconnect(self, *arguments: Any) -> None:
        self.calls.put(("on_disconnect", len(arguments)))

    def on_log(self, _client: Client, _userdata: Any, _level: int, line: str) -> None:
        self.lines.append(line)


class Greeter(Recorder, Client):
    """Handlers with the parameters that version 1 of the callback API has."""

    def on_connect(self, _client: Client, _userdata: Any, _flags: Any, _rc: int) -> None:
        self.calls.put(("on_connect", 4))


class PoliteGreeter(Greeter):
    """A handler that calls the one of its base class."""

    def on_connect(self, *arguments: Any) -> None:
        self.calls.put(("first", len(arguments)))
        super().on_connect(*arguments)


class Mixin:
    """A handler that comes from a class which is no client."""

    calls: queue.Queue[tuple[str, int]]

    def on_connect(self, *arguments: Any) -> None:
        self.calls.put(("mixed in", len(arguments)))


class Mixed(Mixin, Recorder, Client):  # type: ignore[misc]
    """A client with it."""


def test_every_method_is_called(broker: Mosquitto) -> None:
    client = All(CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    client.loop_forever()
    seen = [client.calls.get_nowait() for _ in EVENTS]
    assert sorted(seen) == sorted(
        (name, {"on_pre_connect": 2, "on_message": 3}.get(name, 5)) for name in EVENTS
    )
    assert any(line.startswith("Received SUBACK") for line in client.lines)


def test_the_method_for_a_failed_attempt_is_called(broker: Mosquitto) -> None:
    class Failing(Recorder, Client):
        def on_connect_fail(self, *arguments: Any) -> None:
            self.calls.put(("on_connect_fail", len(arguments)))

    client = Failing(reconnect_on_failure=False)
    client.connect_async(broker.host, 1)
    client.loop_start()
    assert client.called() == ("on_connect_fail", 2)
    client.loop_stop()


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        (Greeter, [("on_connect", 4)]),
        (PoliteGreeter, [("first", 4), ("on_connect", 4)]),
        (Mixed, [("mixed in", 5)]),
    ],
)
def test_a_method_is_found_where_python_finds_it(
    broker: Mosquitto, kind: type[Greeter | Mixed], seen: list[tuple[str, int]]
) -> None:
    version = CallbackAPIVersion.VERSION2 if kind is Mixed else CallbackAPIVersion.VERSION1
    client = kind(version)
    client.connect(broker.host, broker.port)
    client.loop_start()
    assert [client.called() for _ in seen] == seen
    client.disconnect()
    client.loop_stop()


def test_an_assigned_handler_hides_the_method_until_it_is_deleted(broker: Mosquitto) -> None:
    client = All()
    replies: queue.Queue[bytes] = queue.Queue()

    def reply(_client: Client, _userdata: Any, message: MQTTMessage) -> None:
        replies.put(message.payload)

    client.on_message = reply  # type: ignore[method-assign]
    client.connect(broker.host, broker.port)
    client.loop_start()
    assert replies.get(timeout=20) == b"1"
    del client.on_message
    client.publish(client.topic, "2")
    wait_until(lambda: ("on_message", 3) in client.calls.queue)
    client.loop_stop()
    client.disconnect()


def test_reinitialise_leaves_the_methods(broker: Mosquitto) -> None:
    client = Greeter()
    client.on_connect = None  # type: ignore[method-assign,assignment]
    client.reinitialise()
    client.connect(broker.host, broker.port)
    client.loop_start()
    assert client.called() == ("on_connect", 4)
    client.disconnect()
    client.loop_stop()


class Named(Client):
    """An application that has names of its own, where paho's client has none."""

    def __init__(self, broker: Mosquitto) -> None:
        super().__init__(CallbackAPIVersion.VERSION2)
        self.received: queue.Queue[bytes] = queue.Queue()
        names = (
            "app bind broker client config core dispatcher events handlers log loop_thread name "
            "options settings started state topics _app _broker _call _changed _config _connected "
            "_disconnected _handler _handlers _log _methods _pid _published _settings _start "
            "_state _subscribed _topics"
        )
        for name in names.split():
            setattr(self, name, None)
        self.broker = broker
        self.on_message = self.receive

    def receive(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self.received.put(message.payload)

    def open(self) -> None:
        self.connect(self.broker.host, self.broker.port)
        self.loop_start()

    def open_async(self) -> None:
        raise AssertionError("paho calls nothing of this name")

    def configure(self) -> None:  # type: ignore[override]
        self.username_pw_set("me")
        self.reconnect_delay_set(1, 2)

    def close(self, reason: str) -> None:  # type: ignore[override]
        self.publish("closed", reason)
        self.disconnect()
        self.loop_stop()


def test_a_subclass_may_have_names_of_its_own(broker: Mosquitto) -> None:
    client = Named(broker)
    client.configure()
    client.open()
    topic = f"subclasses/{uuid.uuid4()}"
    client.subscribe(topic)
    client.publish(topic, "1", 1)
    assert client.received.get(timeout=20) == b"1"
    assert (client.host, client.port) == (broker.host, broker.port)
    client.close("enough")
    client.reinitialise()
    assert client.host == ""


@pytest.mark.slow
def test_a_client_has_few_public_names_that_pahos_has_not() -> None:
    names = {row.name for row in rows() if row.name.startswith("Client.")}
    ours = {name for name in dir(Client()) if not name.startswith("_")}
    assert {name for name in ours if f"Client.{name}" not in names} == {
        "close",
        "configure",
        "stats",
    }


def test_a_client_has_one_private_name_that_pahos_has_not() -> None:
    ours = {name for name in dir(Client()) if name.startswith("_") and not name.startswith("__")}
    assert ours - vars(KeptNames).keys() == {"_parts"}


def test_a_handler_is_patched_on_the_class(broker: Mosquitto) -> None:
    with mock.patch.object(Client, "on_connect") as on_connect:
        client = Client(CallbackAPIVersion.VERSION2)
        client.connect(broker.host, broker.port)
        client.loop_start()
        wait_until(lambda: on_connect.called)
        client.disconnect()
        client.loop_stop()
    assert len(on_connect.call_args.args) == 5
