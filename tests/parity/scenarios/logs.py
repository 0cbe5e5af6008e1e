"""The texts that on_log gets; people grep them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from flask_mqtt import Mqtt
from parity.registry import Difference, scenario

if TYPE_CHECKING:
    from parity.recording import Run


def start(run: Run, **config: Any) -> Mqtt:
    """Connect a client whose only recording handler is on_log."""
    everything = ("connect", "disconnect", "message", "publish", "subscribe", "unsubscribe")
    mqtt = run.mqtt(*everything)
    mqtt.on_log()(run.handler("log", mqtt))
    # The message is handled, so that it is not kept for a handler to come.
    mqtt.on_message()(lambda *arguments: None)
    mqtt.init_app(run.app(**config))
    wait_log(run, "Received CONNACK (0, 0)")
    return run.connected(mqtt)


def wait_log(run: Run, text: str, count: int = 1) -> None:
    def found() -> bool:
        return sum(str(event[2]).startswith(text) for event in run.named("log")) >= count

    run.wait(found, f"{count} x log {text!r}")


@scenario()
def on_log_tells_of_connect_with_its_flags(run: Run) -> None:
    start(
        run,
        client_id="me",
        username="u",
        password="p",
        keepalive=7,
        clean_session=False,
        last_will_topic="w",
        last_will_qos=2,
        last_will_retain=True,
    )


@scenario()
def on_log_tells_of_subscriptions(run: Run) -> None:
    mqtt = start(run)
    mqtt.subscribe("a")
    wait_log(run, "Received SUBACK")
    mqtt.subscribe([("b/#", 2), ("grün", 1)])
    wait_log(run, "Received SUBACK", 2)
    mqtt.unsubscribe("a")
    wait_log(run, "Received UNSUBACK")


@scenario()
def on_log_tells_of_published_messages(run: Run) -> None:
    mqtt = start(run)
    mqtt.publish("zero", "hello")
    wait_log(run, "Sending PUBLISH")
    mqtt.publish("one", "hello", 1, retain=True)
    wait_log(run, "Received PUBACK")
    mqtt.publish("two/grün", b"", 2)
    wait_log(run, "Received PUBCOMP")


@scenario()
def on_log_tells_of_received_messages(run: Run) -> None:
    start(run)
    run.broker.publish("zero", b"hello")
    wait_log(run, "Received PUBLISH")
    run.broker.publish("one/grün", b"hello", qos=1, mid=8, retain=True, dup=True)
    wait_log(run, "Sending PUBACK")
    run.broker.publish("two", b"", qos=2, mid=9)
    wait_log(run, "Sending PUBCOMP")
    run.broker.wait_for("PUBCOMP")


@scenario()
def on_log_tells_of_pings(run: Run) -> None:
    start(run, keepalive=1)
    wait_log(run, "Received PINGRESP")
    run.events[:] = run.events[:4]
    run.only("CONNECT")


@scenario()
def on_log_tells_of_disconnect(run: Run) -> None:
    mqtt = start(run)
    mqtt._disconnect()
    wait_log(run, "Sending DISCONNECT")
    run.broker.wait_for("DISCONNECT")


@scenario(
    Difference(
        "error lines",
        [[8, "Caught exception in on_message: on purpose"]],
        [],
        "the traceback goes to the application's logger",
    ),
)
def on_log_tells_of_an_exception_in_a_handler(run: Run) -> None:
    mqtt = start(run)

    @mqtt.on_message()
    def handle(*arguments: Any) -> None:
        raise RuntimeError("on purpose")

    run.broker.publish("a")
    wait_log(run, "Received PUBLISH")
    run.settle()
    run.fact("error lines", [event[1:] for event in run.named("log") if event[1] == 8])
    run.events.clear()
    run.only("CONNECT")


@scenario()
def mqtt_logging_logs_the_same_texts(run: Run) -> None:
    records: list[list[Any]] = []

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append([record.levelname, record.getMessage()])

    logger = logging.getLogger("flask_mqtt")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(Recorder())
    mqtt = run.connected(Mqtt(run.app(), mqtt_logging=True))
    mqtt.publish("a", "b", 1)
    run.wait(lambda: any("PUBACK" in text for _, text in records), "PUBACK logged")
    of_packets = ("Sending", "Received")
    run.fact("records", [record for record in records if record[1].startswith(of_packets)])
