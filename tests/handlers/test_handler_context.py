"""Every handler runs in an application context of its own, and its errors end with it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from flask import current_app, g
from flask.globals import app_ctx
from flask.signals import appcontext_popped, appcontext_pushed, appcontext_tearing_down

from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from flask_mqtt import Mqtt
    from support.scripted import ScriptedBroker


class Inbox:
    """Publishes numbered messages and waits until a handler has seen them all."""

    def __init__(self, broker: ScriptedBroker, mqtt: Mqtt) -> None:
        self.broker = broker
        self.mqtt = mqtt

    def handle(self, handler: Callable[[bytes], Any], count: int = 3) -> list[Any]:
        """Return what a handler returned for each of `count` messages, or the error it raised."""
        results: list[Any] = []

        def on_message(client: Any, userdata: Any, message: Any) -> None:
            try:
                results.append(handler(message.payload))
            except BaseException as error:
                results.append(error)
                raise

        self.mqtt.on_message()(on_message)
        for number in range(count):
            self.broker.publish("t", str(number).encode())
        wait_until(lambda: len(results) == count, what=f"{count} messages")
        return results


@pytest.fixture
def inbox(scripted: ScriptedBroker, mqtt: Mqtt) -> Inbox:
    return Inbox(scripted, mqtt)


@pytest.mark.smoke
def test_current_app_is_the_application_in_a_message_handler(inbox: Inbox, app: Flask) -> None:
    assert inbox.handle(lambda _: current_app._get_current_object()) == [app, app, app]  # type: ignore[attr-defined]


def test_current_app_is_there_in_every_kind_of_handler(
    scripted: ScriptedBroker, app: Flask
) -> None:
    seen: list[str] = []

    def recorder(name: str) -> Callable[..., None]:
        def handler(*_: Any) -> None:
            if name not in seen:
                seen.append(f"{name} in {current_app.name}")

        return handler

    kinds = ["connect", "disconnect", "message", "publish", "subscribe", "unsubscribe", "log"]
    with connected(app) as mqtt:
        for kind in kinds:
            getattr(mqtt, f"on_{kind}")()(recorder(kind))
        mqtt.on_topic("topic/#")(recorder("topic"))
        mqtt.publish("x")
        mqtt.subscribe("x")
        mqtt.unsubscribe("x")
        scripted.wait_for("UNSUBSCRIBE")
        scripted.publish("topic/1")
        scripted.publish("other")
        scripted.drop()
        wanted = {f"{kind} in tests" for kind in [*kinds, "topic"]}
        wait_until(lambda: wanted <= set(seen), what="every kind of handler ran")


def test_nothing_on_g_reaches_the_next_message(inbox: Inbox) -> None:
    def handler(payload: bytes) -> list[str]:
        found = list(g)
        setattr(g, f"name{payload.decode()}", 1)
        return found

    assert inbox.handle(handler, 5) == [[], [], [], [], []]


def test_two_handlers_of_one_message_do_not_share_g(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    seen: list[list[str]] = []

    def handler(*_: Any) -> None:
        seen.append(list(g))
        g.value = 1

    mqtt.on_topic("a/b")(handler)
    mqtt.on_topic("a/+")(handler)
    scripted.publish("a/b")
    wait_until(lambda: len(seen) == 2)
    assert seen == [[], []]


def test_what_is_attached_to_a_context_does_not_reach_the_next_message(inbox: Inbox) -> None:
    def handler(_: bytes) -> bool:
        found = hasattr(app_ctx, "attached")
        app_ctx.attached = 1  # type: ignore[attr-defined]
        return found

    assert inbox.handle(handler) == [False, False, False]


def test_teardown_functions_run_after_each_handler_with_its_exception(
    inbox: Inbox, app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[BaseException | None] = []
    app.teardown_appcontext(errors.append)
    failure = RuntimeError("first")

    def handler(payload: bytes) -> None:
        if payload == b"0":
            raise failure

    inbox.handle(handler)
    wait_until(lambda: len(errors) >= 3)
    assert errors == [failure, None, None]
    assert "RuntimeError: first" in caplog.text


def test_a_teardown_function_registered_after_the_first_handlers_runs(
    inbox: Inbox, app: Flask
) -> None:
    inbox.handle(lambda _: None)
    errors: list[BaseException | None] = []
    # Flask's own method refuses that after the first request; extensions append to the list.
    app.teardown_appcontext_funcs.append(errors.append)
    inbox.handle(lambda _: None)
    wait_until(lambda: len(errors) >= 3)
    assert set(errors) == {None}


def test_a_teardown_function_that_fails_is_logged_and_the_next_message_comes(
    inbox: Inbox, app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    @app.teardown_appcontext
    def fail(_: BaseException | None) -> None:
        raise RuntimeError("teardown")

    assert inbox.handle(lambda payload: payload) == [b"0", b"1", b"2"]
    assert "RuntimeError: teardown" in caplog.text


def test_the_signals_of_a_context_are_sent_for_each_handler(inbox: Inbox, app: Flask) -> None:
    seen: list[str] = []

    def receiver(name: str) -> Callable[..., None]:
        def receive(*_: Any, **__: Any) -> None:
            seen.append(name)

        return receive

    signals = {
        "pushed": appcontext_pushed,
        "tearing down": appcontext_tearing_down,
        "popped": appcontext_popped,
    }
    receivers = {name: receiver(name) for name in signals}
    for name, signal in signals.items():
        signal.connect(receivers[name], app)
    inbox.handle(lambda _: seen.append("handler"))
    wait_until(lambda: len(seen) >= 12)
    assert seen == ["pushed", "handler", "tearing down", "popped"] * 3


def test_a_handler_may_push_a_context_of_its_own(inbox: Inbox, app: Flask) -> None:
    def handler(payload: bytes) -> bytes:
        with app.app_context():
            g.value = payload
        assert "value" not in g
        with app.test_request_context("/x"):
            g.value = payload
        return payload

    assert inbox.handle(handler) == [b"0", b"1", b"2"]


def test_without_an_application_a_handler_runs_without_a_context(
    scripted: ScriptedBroker,
) -> None:
    from flask_mqtt import Client

    seen: list[bool] = []
    client = Client()
    client.on_connect = lambda *_: seen.append(bool(current_app))
    client.connect("127.0.0.1", scripted.port)
    client.loop_start()
    wait_until(lambda: seen)
    client.loop_stop()
    client.disconnect()
    assert seen == [False]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("broken"),
        SystemExit("broken"),
        KeyboardInterrupt("broken"),
        asyncio.CancelledError("broken"),
        pytest.fail.Exception("broken"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_is_logged_with_its_traceback_and_the_next_message_comes(
    inbox: Inbox, app: Flask, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def handler(payload: bytes) -> bytes:
        if payload != b"2":
            raise error
        return payload

    assert inbox.handle(handler) == [error, error, b"2"]
    records = [record for record in caplog.records if record.name == app.logger.name]
    assert len(records) == 2
    for record in records:
        assert record.levelno == logging.ERROR
        assert record.exc_info is not None
        assert record.exc_info[1] is error
        assert "on_message" in record.getMessage()
    assert "Traceback" in caplog.text
    assert inbox.mqtt.connected


def test_a_message_whose_handler_failed_is_acknowledged(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    @mqtt.on_message()
    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    scripted.publish("t", b"", qos=1, mid=7)
    assert scripted.wait_for("PUBACK").mid == 7
    assert "RuntimeError: broken" in caplog.text


def test_an_exception_in_one_handler_of_a_message_does_not_keep_it_from_the_other(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    @mqtt.on_topic("a")
    def fail(*_: Any) -> None:
        seen.append("exact")
        raise RuntimeError("broken")

    mqtt.on_topic("#")(lambda *_: seen.append("wildcard"))
    scripted.publish("a")
    wait_until(lambda: len(seen) == 2)
    assert seen == ["exact", "wildcard"]
    assert "RuntimeError: broken" in caplog.text


def test_an_async_handler_runs_to_its_end_in_a_context(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    @mqtt.on_message()
    async def handler(client: Any, userdata: Any, message: Any) -> None:
        await asyncio.sleep(0)
        if message.payload == b"1":
            raise RuntimeError("broken")
        if message.payload == b"2":
            raise asyncio.CancelledError
        seen.append(f"{message.payload.decode()} in {current_app.name}")

    for number in range(4):
        scripted.publish("t", str(number).encode())
    wait_until(lambda: len(seen) == 2)
    assert seen == ["0 in tests", "3 in tests"]
    assert "RuntimeError: broken" in caplog.text
    assert "CancelledError" in caplog.text


def test_an_async_handler_is_awaited_before_its_message_is_acknowledged(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    finished: list[int] = []

    @mqtt.on_message()
    async def handler(*_: Any) -> None:
        # Slow on purpose: an acknowledgement that does not wait for it comes first.
        await asyncio.sleep(0.05)
        finished.append(len(scripted.of("PUBACK")))

    scripted.publish("t", qos=1)
    scripted.wait_for("PUBACK")
    assert finished == [0]
