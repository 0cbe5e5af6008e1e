"""What comes before an attempt to connect, and after one that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_mqtt import Mqtt
from parity.registry import scenario

if TYPE_CHECKING:
    from parity.recording import Run


def count(client: Any, name: str) -> list[int]:
    """Set a handler that counts its calls."""
    calls: list[int] = []
    setattr(client, name, lambda _client, _userdata: calls.append(len(calls) + 1))
    return calls


def lose(run: Run) -> None:
    run.broker.drop()
    run.wait_event("disconnect")


@scenario()
def on_pre_connect_chooses_the_user_of_each_attempt(run: Run) -> None:
    mqtt = run.mqtt()
    client: Any = mqtt.client
    given: list[bool] = []

    def before(caller: Any, userdata: Any) -> None:
        given.append(caller is client and userdata is None)
        caller.username_pw_set(f"user {len(given)}", "secret")

    client.on_pre_connect = before
    mqtt.init_app(run.app())
    run.connected(mqtt)
    lose(run)
    run.wait_event("connect", 2)
    run.fact("calls", given)


@scenario()
def on_pre_connect_comes_before_the_first_attempt_of_connect_async_too(run: Run) -> None:
    mqtt: Any = run.record(Mqtt(connect_async=True))
    mqtt.client.on_pre_connect = lambda client, _: client.username_pw_set("me")
    mqtt.init_app(run.app())
    run.connected(mqtt)


@scenario()
def a_handler_changes_the_user_for_the_next_attempt(run: Run) -> None:
    mqtt = run.start()
    client: Any = mqtt.client
    client.username_pw_set("other", "secret")
    lose(run)
    run.wait_event("connect", 2)


@scenario()
def an_attempt_that_raises_is_no_on_connect_fail(run: Run) -> None:
    mqtt = run.mqtt()
    before, failed = count(mqtt.client, "on_pre_connect"), count(mqtt.client, "on_connect_fail")
    run.broker.stop_listening()
    run.call("init_app", mqtt.init_app, run.app())
    run.fact("calls", [before, failed])


@scenario()
def on_connect_fail_is_for_automatic_attempts(run: Run) -> None:
    mqtt = run.start()
    failed = count(mqtt.client, "on_connect_fail")
    run.broker.stop_listening()
    lose(run)
    run.wait(lambda: failed, "on_connect_fail")
    run.broker.listen()
    run.wait_event("connect", 2)


@scenario()
def on_connect_fail_is_for_connect_async(run: Run) -> None:
    mqtt: Any = run.record(Mqtt(connect_async=True))
    failed = count(mqtt.client, "on_connect_fail")
    run.broker.stop_listening()
    mqtt.init_app(run.app())
    run.wait(lambda: failed, "on_connect_fail")
    run.broker.listen()
    run.connected(mqtt)


@scenario()
def the_delays_between_attempts_are_set(run: Run) -> None:
    mqtt = run.mqtt()
    client: Any = mqtt.client
    client.reconnect_delay_set(min_delay=0.2, max_delay=0.2)
    mqtt.init_app(run.app())
    run.connected(mqtt)
    run.broker.connack = [0, 3, 3, 3, 0]
    lose(run)
    # Seven seconds with the delays that are usual.
    run.wait_event("connect", 5, 4)


@scenario()
def an_attempt_that_raises_does_not_end_the_automatic_ones(run: Run) -> None:
    mqtt = run.start()
    failed = count(mqtt.client, "on_connect_fail")
    run.broker.stop_listening()
    lose(run)
    run.wait(lambda: failed, "on_connect_fail")
    run.call("reconnect", mqtt.client.reconnect)
    run.broker.listen()
    run.wait_event("connect", 2)


@scenario()
def a_loop_goes_on_after_an_attempt_that_raised(run: Run) -> None:
    mqtt = run.mqtt()
    run.broker.stop_listening()
    run.call("init_app", mqtt.init_app, run.app())
    run.broker.listen()
    mqtt.client.loop_start()
    run.wait_event("connect")
