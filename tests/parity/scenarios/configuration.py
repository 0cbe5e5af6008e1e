"""Configuration values that cannot be used, and those that can after all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_mqtt import Mqtt
from parity.registry import Difference, scenario

if TYPE_CHECKING:
    from parity.recording import Run

BAD: dict[str, dict[str, Any]] = {
    "KEEPALIVE": {"keepalive": -1},
    "BROKER_PORT": {"broker_port": 0},
    "BROKER_URL": {"broker_url": ""},
    "LAST_WILL_QOS": {"last_will_topic": "w", "last_will_qos": 3},
    "LAST_WILL_MESSAGE": {"last_will_topic": "w", "last_will_message": [1]},
    "CLIENT_ID": {"client_id": 1.5},
    "PASSWORD": {"username": "u", "password": 1.5},
}


def refusal(run: Run, config: dict[str, Any]) -> Exception | None:
    try:
        Mqtt(run.app(**config))
    except (TypeError, ValueError) as error:
        return error
    return None


@scenario(
    *(
        Difference(f"{key} is named", False, True, "errors name the key, the value and the limits")
        for key in BAD
    )
)
def a_bad_value_raises(run: Run) -> None:
    for key, config in BAD.items():
        error = refusal(run, config)
        run.fact(key, type(error).__name__)
        run.fact(f"{key} is named", f"MQTT_{key}" in str(error))


@scenario(
    Difference("keepalive", "raises error", "raises ValueError", "struct.error says nothing"),
    Difference("username", "raises AttributeError", "raises TypeError", "it names the key"),
    Difference("port", "raises ConnectionRefusedError", "raises ValueError", "it names the key"),
)
def a_bad_value_that_the_original_finds_too_late(run: Run) -> None:
    run.call("keepalive", Mqtt, run.app(keepalive=70_000))
    run.call("username", Mqtt, run.app(username=1.5))
    run.call("port", Mqtt, run.app(broker_port=70_000))
    run.only("DISCONNECT")


@scenario(
    Difference("port", "raises TypeError", "Mqtt", "values come from the environment as text"),
    Difference("keepalive", "raises TypeError", "Mqtt", "values come from the environment as text"),
    Difference("sent", [], [60, 7], "both connect"),
)
def numbers_given_as_text(run: Run) -> None:
    run.call("port", Mqtt, run.app(broker_port=str(run.broker.port)))
    run.call("keepalive", Mqtt, run.app(keepalive="7"))
    run.settle(0.3)
    packets = run.broker.packets
    run.fact("sent", [packet.connect.keepalive for packet in packets if packet.connect])
    run.only("DISCONNECT")


@scenario()
def a_password_and_a_client_identifier_may_be_bytes(run: Run) -> None:
    config = {"client_id": b"me", "username": "u", "password": b"\xff\x00p"}
    run.connected(Mqtt(run.app(**config)))
    [connect] = [packet.connect for packet in run.broker.packets if packet.connect]
    run.fact("sent", [connect.client_id, connect.username, repr(connect.password)])


@scenario(
    Difference("client id", "raises TypeError", "Mqtt", "the environment has digits as ints"),
    Difference("password", "raises TypeError", "Mqtt", "the environment has digits as ints"),
    Difference("will", "raises ValueError", "Mqtt", "an environment file has it without a value"),
    Difference("sent", 0, 3, "all connect"),
)
def values_of_an_environment_file(run: Run) -> None:
    run.call("client id", Mqtt, run.app(client_id=5))
    run.call("password", Mqtt, run.app(username="u", password=123456))
    run.call("will", Mqtt, run.app(last_will_topic=""))
    run.settle(0.3)
    run.fact("sent", len([packet for packet in run.broker.packets if packet.connect]))
    run.only("DISCONNECT")


@scenario()
def unknown_keys_mean_nothing(run: Run) -> None:
    app = run.app(refresh_time=1.0, no_such_key=object())
    run.connected(Mqtt(app))


@scenario(
    Difference("client id", "", "lower", "the README writes them so; a warning tells"),
)
def keys_in_lower_case(run: Run) -> None:
    app = run.app()
    app.config["MQTT_client_id"] = "lower"
    mqtt = Mqtt(app)
    run.fact("client id", mqtt.client_id)
    run.only("DISCONNECT")
