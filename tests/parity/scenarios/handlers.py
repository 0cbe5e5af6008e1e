"""Where, when and with what handlers are called."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from flask import current_app, has_app_context

from parity.recording import describe
from parity.registry import Difference, scenario
from support.packets import MQTT311

if TYPE_CHECKING:
    from parity.recording import Run


@scenario()
def decorators_return_their_handlers(run: Run) -> None:
    mqtt = run.mqtt()
    names = ("connect", "disconnect", "message", "publish", "subscribe", "unsubscribe", "log")
    for name in names:
        handler = run.handler(name, mqtt)
        run.fact(name, getattr(mqtt, f"on_{name}")()(handler) is handler)


@scenario()
def handlers_get_their_arguments(run: Run) -> None:
    mqtt = run.start()
    mqtt.subscribe([("a", 1), ("b", 2)])
    run.wait_event("subscribe")
    mqtt.publish("a", "x", 1)
    run.wait_event("publish")
    run.broker.publish("a", b"x")
    run.wait_event("message")
    mqtt.unsubscribe("a")
    run.wait_event("unsubscribe")
    run.broker.drop()
    run.wait_event("connect", 2)
    run.wait_event("subscribe", 2)


@scenario()
def a_refused_subscription_is_granted_128(run: Run) -> None:
    mqtt = run.start()
    run.broker.withhold.add("SUBACK")
    run.call("subscribe", mqtt.subscribe, "forbidden", 1)
    run.broker.wait_for("SUBSCRIBE")
    run.broker.send(MQTT311.suback(1, 128))
    run.wait_event("subscribe")
    run.fact("topics", list(mqtt.topics))


@scenario()
def handlers_run_in_one_daemon_thread_of_python(run: Run) -> None:
    threads: list[threading.Thread] = []
    mqtt = run.mqtt()

    def note(*arguments: Any) -> None:
        threads.append(threading.current_thread())

    for name in ("connect", "message", "subscribe", "unsubscribe", "publish"):
        getattr(mqtt, f"on_{name}")()(note)
    mqtt.init_app(run.app())
    run.connected(mqtt)
    mqtt.subscribe("a")
    run.broker.wait_for("SUBSCRIBE")
    run.broker.publish("a", b"1")
    mqtt.publish("a", "x", 1)
    mqtt.unsubscribe("a")
    run.wait(lambda: len(threads) >= 5, "five handlers")
    run.fact("one thread", len(set(threads)))
    run.fact("the caller's", threading.current_thread() in threads)
    run.fact("daemon", threads[0].daemon)
    run.fact("class", type(threads[0]).__name__)
    run.fact("known to threading", threads[0] in threading.enumerate())


@scenario()
def handlers_run_one_at_a_time(run: Run) -> None:
    mqtt = run.start("message")
    running: list[int] = []

    @mqtt.on_message()
    def handle(client: Any, userdata: Any, message: Any) -> None:
        running.append(1)
        run.settle(0.02)
        run.events.append(["message", describe(message.payload), len(running)])
        running.pop()

    for number in range(10):
        run.broker.publish("a", str(number).encode())
    run.wait_event("message", 10)


@scenario()
def handlers_can_call_the_client(run: Run) -> None:
    mqtt = run.mqtt("connect", "message")

    @mqtt.on_connect()
    def on_connect(client: Any, userdata: Any, flags: Any, rc: Any) -> None:
        run.call("connected", lambda: mqtt.connected)
        run.call("subscribe", mqtt.subscribe, "a", 1)
        run.call("client.subscribe", client.subscribe, "b", 2)

    @mqtt.on_message()
    def on_message(client: Any, userdata: Any, message: Any) -> None:
        run.call("publish", mqtt.publish, "answer", message.payload)
        run.call("client.publish", lambda: tuple(client.publish("answer", "two", 1)))
        run.events.append(["message", describe(message)])

    mqtt.init_app(run.app())
    run.wait_event("subscribe", 2)
    run.broker.publish("a", b"question")
    run.wait_event("publish", 2)


@scenario(
    Difference("events", [], [["late", {"session present": 0}, 0]], "on_connect is never missed"),
)
def on_connect_registered_after_the_connack(run: Run) -> None:
    mqtt = run.mqtt(*("connect", "disconnect", "message", "publish", "subscribe", "unsubscribe"))
    mqtt.init_app(run.app())
    run.connected(mqtt)
    run.settle(0.2)
    mqtt.on_connect()(run.handler("late", mqtt))
    run.settle(0.5)


@scenario(
    Difference("delivered", ["late"], ["early", "late"], "messages wait for the first handler"),
)
def messages_before_any_message_handler(run: Run) -> None:
    mqtt = run.start("message")
    run.broker.publish("early", b"1")
    run.settle(0.3)
    mqtt.on_message()(run.handler("message", mqtt))
    run.broker.publish("late", b"2")
    run.wait(lambda: any(event[1]["topic"] == "late" for event in run.named("message")), "late")
    run.fact("delivered", [event[1]["topic"] for event in run.named("message")])
    run.events.clear()


@scenario(
    Difference("delivered", ["b'1'"], ["b'1'", "b'2'"], "an exception costs only its own message"),
    Difference("acknowledged", [], [1, 2], "the message counts as handled"),
)
def an_exception_in_a_handler(run: Run) -> None:
    mqtt = run.start("message")
    delivered: list[str] = []

    @mqtt.on_message()
    def handle(client: Any, userdata: Any, message: Any) -> None:
        delivered.append(repr(message.payload))
        raise RuntimeError("on purpose")

    run.broker.publish("a", b"1", qos=1)
    run.broker.publish("a", b"2", qos=1)
    run.settle(1)
    run.fact("delivered", delivered)
    run.fact("acknowledged", [packet.mid for packet in run.broker.of("PUBACK")])
    run.fact("connected", mqtt.connected)
    run.call("publish", mqtt.publish, "a", "b")
    run.broker.wait_for("PUBLISH")
    run.only("CONNECT")
    run.events.clear()


@scenario(
    Difference("pings during the handler", False, True, "a slow handler costs no connection"),
)
def a_handler_slower_than_the_keepalive(run: Run) -> None:
    mqtt = run.start("message", keepalive=1)
    done = threading.Event()

    @mqtt.on_message()
    def handle(client: Any, userdata: Any, message: Any) -> None:
        before = len(run.broker.of("PINGREQ"))
        run.settle(2.5)
        run.fact("pings during the handler", len(run.broker.of("PINGREQ")) > before)
        done.set()

    run.broker.publish("a", b"1")
    run.wait(done.is_set, "the end of the handler")
    run.only("CONNECT")


@scenario(
    Difference("application context", [False, None], [True, "tests"], "handlers have one"),
)
def handlers_in_an_application_context(run: Run) -> None:
    mqtt = run.start("message")

    @mqtt.on_message()
    def handle(client: Any, userdata: Any, message: Any) -> None:
        name = current_app.name if has_app_context() else None
        run.fact("application context", [has_app_context(), name])
        run.events.append(["message"])

    run.broker.publish("a", b"1")
    run.wait_event("message")


@scenario(
    Difference("ran", False, True, "handlers without arguments were right through 1.2.0"),
    Difference("connections", 1, 2, "the TypeError ends the thread that would reconnect"),
)
def on_disconnect_without_arguments(run: Run) -> None:
    mqtt = run.start("disconnect")
    ran = threading.Event()
    mqtt.on_disconnect()(ran.set)
    run.broker.drop()
    run.settle(2.2)
    run.fact("ran", ran.is_set())
    run.fact("connections", run.broker.connections)
    run.events.clear()
    run.only("DISCONNECT")


@scenario()
def _disconnect_runs_the_handler_in_the_callers_thread(run: Run) -> None:
    mqtt = run.start("disconnect")
    mqtt.subscribe("kept", 1)
    run.wait_event("subscribe")

    @mqtt.on_disconnect()
    def handle(client: Any, userdata: Any, rc: int) -> None:
        run.events.append(["disconnect", int(rc), mqtt.connected])
        run.fact("the caller's thread", threading.current_thread() is threading.main_thread())

    run.call("_disconnect", mqtt._disconnect)
    run.broker.wait_for("DISCONNECT")
    run.fact("connected", mqtt.connected)
    run.fact("topics", list(mqtt.topics))
    run.call("again", mqtt._disconnect)
    run.call("publish", mqtt.publish, "a", "b", 1)
    run.settle(1.5)
    run.fact("connections", run.broker.connections)


@scenario()
def _connect_after_disconnect_connects_again(run: Run) -> None:
    mqtt = run.start()
    mqtt.subscribe("kept", 1)
    run.wait_event("subscribe")
    mqtt._disconnect()
    run.broker.wait_for("DISCONNECT")
    run.call("_connect", mqtt._connect)
    run.wait_event("connect", 2)
    run.wait_event("subscribe", 2)
    run.fact("connected", mqtt.connected)


@scenario()
def disconnect_in_a_handler_ends_the_client(run: Run) -> None:
    mqtt = run.start("message")

    @mqtt.on_message()
    def handle(client: Any, userdata: Any, message: Any) -> None:
        run.fact("returns", client.disconnect())

    run.broker.publish("stop")
    run.wait_event("disconnect")
    run.fact("connected", mqtt.connected)
    run.settle(1.5)
    run.fact("connections", run.broker.connections)
