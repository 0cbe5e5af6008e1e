"""Applications of Flask-MultiMQTT: each runs with the original too, in an interpreter that has it.

python multimqtt_scenarios.py NAME PORT runs one against a broker, and writes what it has seen
as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app

from flask_multimqtt import MultiMQTT

if TYPE_CHECKING:
    from collections.abc import Callable

#: What was seen, in order.
SEEN: list[Any] = []


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"in vain; seen: {SEEN}")
        time.sleep(0.005)


def see(*what: Any) -> None:
    SEEN.append(list(what))


def started(port: int, **config: Any) -> tuple[Flask, MultiMQTT]:
    app = Flask("scenario")
    app.config["MQTT_URI"] = f"mqtt://127.0.0.1:{port}/myprefix"
    app.config.update(config)
    return app, MultiMQTT(app)


def connected(mqtt: MultiMQTT) -> None:
    """Connect, and wait until the broker has said that it sends what was subscribed to."""
    ready = threading.Event()

    def probe(_client: Any, _message: Any) -> None:
        ready.set()

    topic = mqtt.register_topic("probe")
    topic.on_message(probe)
    mqtt.connect()
    wait(lambda: mqtt.connected)
    while not ready.wait(0.05):
        mqtt.publish("probe", "")
    topic.on_message(probe, remove=True)


def readme(port: int) -> None:
    """The examples of the README, in its order."""
    app, mqtt = started(port)

    def this_function_receives_messages(_client: Any, message: Any) -> None:
        see("first", message.topic, message.payload.decode())

    topic = mqtt.register_topic("home/sensor/#", qos=0)
    topic.on_message(this_function_receives_messages)

    @mqtt.topic("my_topic/#")
    def my_topic(client: Any, message: Any) -> None:
        see("my_topic", message.topic, message.payload.decode())

    @mqtt.topic("number/<int:number>")
    def number_topic(client: Any, message: Any, number: int) -> None:
        see("The number is", number, current_app.name)

    @mqtt.topic("example")
    def example(client: Any, message: Any) -> None:
        see("example", json.loads(message.payload))

    @app.route("/demo")
    def demo() -> str:
        return mqtt.topic_for("number_topic", number=42)

    connected(mqtt)
    for name, payload in (
        ("home/sensor/a", "1"),
        ("my_topic/a/b", "2"),
        ("number/42", "3"),
        ("example", {"hello": "world"}),
        ("example", [1, "two", None]),
    ):
        count = len(SEEN)
        mqtt.publish(name, payload)
        wait(lambda count=count: len(SEEN) > count)  # type: ignore[misc]
    mqtt.publish("$CONTROL/something", {"example": True}, no_prefix=True)
    see(app.test_client().get("/demo").text)
    see(mqtt.topic_for("number_topic", absolute=True, number=42))


def threads(port: int) -> None:
    """Every thread publishes."""
    _, mqtt = started(port)
    names: set[str] = set()
    mqtt.register_topic("my-thread").on_message(
        lambda _client, message: names.add(message.payload.decode())
    )
    connected(mqtt)
    all_threads = [
        threading.Thread(
            target=lambda: mqtt.publish("my-thread", threading.current_thread().name, qos=1),
            name=f"worker {number}",
        )
        for number in range(8)
    ]
    for thread in all_threads:
        thread.start()
    for thread in all_threads:
        thread.join()
    wait(lambda: len(names) == 8)
    see(sorted(names))


def placeholders(port: int) -> None:
    """One of each type."""
    _, mqtt = started(port)

    @mqtt.topic("a/<int:x>")
    def ints(client: Any, message: Any, x: int) -> None:
        see("int", x)

    @mqtt.topic("b/<float:x>")
    def floats(client: Any, message: Any, x: float) -> None:
        see("float", x)

    @mqtt.topic("c/<uuid:x>/y", name="ids")
    def uuids(client: Any, message: Any, x: Any) -> None:
        see("uuid", str(x), type(x).__name__)

    @mqtt.topic("d/<str:x>/<y>")
    def texts(client: Any, message: Any, x: str, y: str) -> None:
        see("str", x, y)

    connected(mqtt)
    identifier = "8bd3a1b6-2ad2-4f0c-8f3e-5b4fd2a7a3f3"
    for name in ("a/42", "a/-7", "b/2.5", "b/3", "b/-1e3", f"c/{identifier}/y",
                 f"c/{identifier.replace('-', '')}/y", "d/ü/дом"):  # fmt: skip
        count = len(SEEN)
        mqtt.publish(name, "")
        wait(lambda count=count: len(SEEN) > count)  # type: ignore[misc]
    see(mqtt.topic_for("ids", x=identifier), mqtt.topic_for("texts", x="x", y="y"))


def separate_keys(port: int) -> None:
    """The keys override the parts of the URI, which gives the port."""
    _, mqtt = started(
        port,
        MQTT_URI=f"mqtt://other:secret@other.invalid:{port}/other",
        MQTT_HOST="127.0.0.1",
        MQTT_USERNAME="username",
        MQTT_PASSWORD="password",
        MQTT_PREFIX="mine",
        MQTT_PROTOCOL_VERSION=4,
        MQTT_TRANSPORT="TCP",
    )
    mqtt.register_topic("x/#").on_message(lambda _client, message: see(message.topic))
    connected(mqtt)
    mqtt.publish("x/y", "")
    wait(lambda: SEEN)
    see(mqtt.host, mqtt.username, mqtt.password, mqtt.prefix)
    assert int(mqtt.port) == port
    assert not mqtt.tls
    see(mqtt.register_topic("x/<a>").name)


def handlers(port: int) -> None:
    """Handlers are registered and removed, and the same topic is the same object."""
    _, mqtt = started(port)

    def one(_client: Any, _message: Any) -> None:
        see("one")

    def other(_client: Any, _message: Any) -> None:
        see("other")

    topic = mqtt.register_topic("t")
    assert mqtt.register_topic("t") is topic
    topic.on_message(one)
    topic.on_message(one)
    mqtt.on_connect(lambda: see("connected", mqtt.connected))
    connected(mqtt)
    mqtt.publish("t", "")
    wait(lambda: len(SEEN) == 2)
    topic.on_message(one, remove=True)
    topic.on_message(other)
    mqtt.publish("t", "")
    wait(lambda: len(SEEN) == 3)
    see(topic.name, topic.qos, topic.nolocal, list(mqtt.topics))


def outcome(call: Callable[[], object]) -> object:
    """Return what a call returns, or which of the two it raises."""
    try:
        return call()
    except (KeyError, ValueError) as error:
        return "KeyError" if isinstance(error, KeyError) else "ValueError"


def differences(port: int) -> None:
    """What the page says to be otherwise."""
    _, mqtt = started(port)
    record: list[Any] = [["publish returns None", mqtt.publish("nobody", "") is None]]

    @mqtt.topic("rest/<path:rest>")
    def rest(client: Any, message: Any, rest: str) -> None:
        see("path", rest)

    @mqtt.topic("wild/+")
    def wild(client: Any, message: Any) -> None:
        """Take nothing."""

    @mqtt.topic("same/<int:x>")
    def first(client: Any, message: Any, x: int) -> None:
        see("first", x)

    @mqtt.topic("same/<y>")
    def second(client: Any, message: Any, **values: Any) -> None:
        see("second", values)

    record += [
        ["slashes", mqtt.register_topic("/slashes/").name],
        ["a value is missing", outcome(lambda: mqtt.topic_for("rest"))],
        ["a wildcard", outcome(lambda: mqtt.topic_for("wild"))],
        ["an unknown name", outcome(lambda: mqtt.topic_for("unknown"))],
        ["topics", len(mqtt.topics)],
    ]
    connected(mqtt)
    mqtt.publish("rest/a/b", "")
    wait(lambda: SEEN)
    mqtt.publish("same/1", "")
    wait(lambda: len(SEEN) >= 3)
    SEEN[1:] = sorted(SEEN[1:], key=repr)
    SEEN.extend(record)


def a_handler_fails(port: int) -> None:
    """Whether there is another message after one whose handler has failed."""
    threading.excepthook = lambda _arguments: None
    _, mqtt = started(port)

    @mqtt.topic("fails")
    def fails(client: Any, message: Any) -> None:
        raise LookupError("hm")

    mqtt.register_topic("number/<int:x>").on_message(lambda _c, _m, x: see(x))
    mqtt.register_topic("works").on_message(lambda _c, _m: see("works"))
    connected(mqtt)
    for topic in ("fails", "number/no", "works"):
        mqtt.publish(topic, "")
    deadline = time.monotonic() + 1
    while not SEEN and time.monotonic() < deadline:
        time.sleep(0.005)


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]))
    print(json.dumps(SEEN), flush=True)
