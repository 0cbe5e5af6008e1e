"""Other ways to a broker than MQTT 3.1.1 over TCP: a real mosquitto, or the recording broker."""

from __future__ import annotations

import contextlib
import os
import ssl
from typing import TYPE_CHECKING, Any

from flask_mqtt import Mqtt
from parity.registry import Difference, scenario
from support.relay import Relay

if TYPE_CHECKING:
    from parity.recording import Run


def round_trip(run: Run, **config: Any) -> None:
    """Connect, subscribe, and let messages go out and come back."""
    mqtt = run.mqtt("message")
    topic = f"parity/{os.getpid()}"  # both packages play at the same time

    @mqtt.on_message()
    def handle(client: Any, userdata: Any, message: Any) -> None:
        values = [message.topic == topic, len(message.payload), message.qos, message.retain]
        run.events.append(["message", *values])

    mqtt.init_app(run.app(**config))
    run.wait_event("connect")
    run.call("subscribe", mqtt.subscribe, topic, 2)
    run.wait_event("subscribe")
    for qos, size in enumerate((0, 70_000, 5)):
        run.call(f"publish {qos}", mqtt.publish, topic, b"x" * size, qos)
        run.wait_event("message", qos + 1)
        run.wait_event("publish", qos + 1)
    # Which of the two comes first is the broker's choice.
    run.events.sort(key=lambda event: event[0])
    run.call("unsubscribe", mqtt.unsubscribe, topic)
    run.wait_event("unsubscribe")


def tls(run: Run, listener: str) -> dict[str, Any]:
    """Return the configuration for one of mosquitto's listeners with TLS."""
    return {
        "broker_port": run.mosquitto[listener],
        "tls_enabled": True,
        "tls_version": ssl.PROTOCOL_TLS_CLIENT,
        "tls_ca_certs": run.file("ca"),
    }


@scenario()
def a_round_trip_with_tls_and_a_certificate_of_the_client(run: Run) -> None:
    config = tls(run, "mutual")
    round_trip(run, tls_certfile=run.file("client"), tls_keyfile=run.file("client-key"), **config)


@scenario()
def a_round_trip_over_a_websocket(run: Run) -> None:
    round_trip(run, broker_port=run.mosquitto["ws"], transport="websockets")


@scenario()
def a_round_trip_over_a_websocket_with_tls(run: Run) -> None:
    round_trip(run, transport="websockets", **tls(run, "wss"))


def usual(headers: dict[str, str]) -> dict[str, str]:
    """Keep what a request has and another one too, and add to it."""
    return {**headers, "Origin": "https://example.com", "X-Token": "mine"}


@scenario()
def the_request_for_a_websocket(run: Run) -> None:
    ways: dict[str, dict[str, Any]] = {
        "defaults": {},
        "path and headers": {"path": "/a/b?c=d", "headers": {"X-Token": "mine"}},
        "headers of a function": {"headers": usual},
    }
    for name, options in ways.items():
        mqtt = Mqtt()
        mqtt.client.ws_set_options(**options)
        with Relay(answer=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as server:
            with contextlib.suppress(ConnectionError):
                mqtt.init_app(run.app(broker_port=server.port, transport="websockets"))
            head = server.wait_for_head().decode()
        request, *header = head.replace(str(server.port), "PORT").split("\r\n")[:-2]
        headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in header)}
        # It is another one every time.
        run.fact(f"{name}: key", len(headers.pop("sec-websocket-key")))
        run.fact(name, [request, headers])


@scenario()
def the_transport_may_be_in_upper_case(run: Run) -> None:
    run.connected(Mqtt(run.app(broker_port=run.mosquitto["ws"], transport="WebSockets")))


@scenario()
def a_websocket_where_there_is_none(run: Run) -> None:
    try:
        Mqtt(run.app(transport="websockets"))
    except OSError as error:
        run.fact("class", type(error).__name__)
        run.fact("is a ConnectionError", isinstance(error, ConnectionError))
    run.only("PUBLISH")


@scenario()
def a_round_trip_with_mqtt_3_1(run: Run) -> None:
    client_id = f"parity{os.getpid()}"  # MQTT 3.1 has no empty one
    round_trip(run, protocol_version=3, client_id=client_id, **tls(run, "tls"))


@scenario()
def connect_with_mqtt_3_1_says_what_the_configuration_says(run: Run) -> None:
    will = {"last_will_topic": "w", "last_will_message": "gone", "last_will_qos": 1}
    configs: dict[str, dict[str, Any]] = {
        "defaults": {},
        "persistent": {"clean_session": False},
        "all": {"username": "u", "password": "p", "last_will_retain": True, **will},
    }
    for count, (name, config) in enumerate(configs.items(), 1):
        mqtt = Mqtt(run.app(protocol_version=3, client_id="me", **config))
        run.fact(name, run.broker.wait_for("CONNECT", count).raw)
        run.connected(mqtt)


@scenario(
    Difference("connected", False, True, "MQTT 5 works"),
    Difference("events", [], [["connect", {"session present": 0}, 0, "Properties"]], "the same"),
)
def mqtt_5(run: Run) -> None:
    mqtt = run.record(Mqtt())
    mqtt.init_app(run.app(protocol_version=5, **tls(run, "tls")))
    run.settle(1)
    run.fact("connected", mqtt.connected)
