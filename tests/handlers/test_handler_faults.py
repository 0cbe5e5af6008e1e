"""Handlers that are slow, raise, block, recurse or fork, with one thread and with several."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_SUCCESS, Client, Mqtt
from flask_mqtt.process.ends import HANDLING_TIMEOUT
from support.apps import make_app
from support.ending import PROMPT
from support.pool import HANDLING
from support.running import closing, connected
from support.script import running
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker


@pytest.fixture
def mqtt(scripted: ScriptedBroker, threads: int) -> Iterator[Mqtt]:
    with connected(make_app(scripted.port, handler_threads=threads)) as mqtt:
        yield mqtt


class Exchange:
    """A client that handles what another one publishes, by way of mosquitto, with QoS 1."""

    def __init__(self, broker: Mosquitto, threads: int, handler: Callable[[int], Any]) -> None:
        self.name = f"faults-{uuid.uuid4()}"
        self.seen: list[int] = []
        self.connects = 0
        self._broker = broker
        self._threads = threads
        self._handler = handler

    def run(self, count: int, timeout: float) -> None:
        """Publish so many messages, and wait until all have come."""
        app = make_app(
            self._broker.port, keepalive=1, client_id=self.name, handler_threads=self._threads
        )
        with Mqtt(make_app(self._broker.port)) as publisher, Mqtt() as mqtt:
            mqtt.on_connect()(self._connect)
            subscribed = threading.Event()
            mqtt.on_subscribe()(lambda *_: subscribed.set())
            mqtt.on_message()(self._handle)
            mqtt.init_app(app)
            mqtt.subscribe(self.name, 1)
            assert subscribed.wait(20)
            for number in range(count):
                assert publisher.publish(self.name, str(number), 1)[0] == MQTT_ERR_SUCCESS
            acknowledged = f"Received PUBACK from {self.name} "
            wait_until(lambda: self._broker.log.count(acknowledged) == count, timeout)

    def _connect(self, *_: Any) -> None:
        self.connects += 1

    def _handle(self, _client: Any, _userdata: Any, message: Any) -> None:
        number = int(message.payload)
        self._handler(number)
        self.seen.append(number)


@pytest.mark.slow
def test_a_handler_that_takes_three_times_the_keepalive_costs_nothing(
    broker: Mosquitto, threads: int
) -> None:
    exchange = Exchange(broker, threads, lambda number: time.sleep(3) if number == 0 else None)
    exchange.run(10, timeout=20)
    assert exchange.seen == list(range(10))
    assert exchange.connects == 1
    log = broker.log
    assert f"{exchange.name} has exceeded timeout" not in log
    assert log.count(f"Sending PUBLISH to {exchange.name} ") == 10
    # The pings went on meanwhile.
    assert log.count(f"Received PINGREQ from {exchange.name}") >= 2


def test_a_handler_that_raises_every_third_time_gets_the_others(
    broker: Mosquitto, threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(number: int) -> None:
        if number % 3 == 2:
            raise RuntimeError(f"number {number}")

    exchange = Exchange(broker, threads, fail)
    exchange.run(30, timeout=10)
    assert exchange.seen == [number for number in range(30) if number % 3 != 2]
    assert exchange.connects == 1
    failures = [text for text in caplog.messages if "Exchange._handle failed" in text]
    assert len(failures) == 10


def recurse() -> None:
    recurse()


def recurse_in_c() -> None:
    """Have C functions call each other until the interpreter's limit stops them."""
    nested: list[Any] = []
    for _ in range(200_000):
        nested = [nested]
    try:
        json.dumps(nested)
    finally:
        # Taking it apart from the outside needs no recursion.
        while nested:
            nested = nested[0]


def leave(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "logged"),
    [
        pytest.param(leave(SystemExit(3)), "SystemExit: 3", id="SystemExit"),
        pytest.param(leave(KeyboardInterrupt()), "KeyboardInterrupt", id="KeyboardInterrupt"),
        pytest.param(leave(GeneratorExit()), "GeneratorExit", id="GeneratorExit"),
        pytest.param(leave(asyncio.CancelledError()), "CancelledError", id="CancelledError"),
        pytest.param(leave(MemoryError()), "MemoryError", id="MemoryError"),
        pytest.param(leave(BaseException()), "BaseException", id="BaseException"),
        pytest.param(recurse, "RecursionError", id="recursion"),
        pytest.param(recurse_in_c, "RecursionError", id="recursion in C"),
    ],
)
def test_whatever_ends_a_handler_is_logged_and_the_next_message_comes(
    scripted: ScriptedBroker,
    mqtt: Mqtt,
    caplog: pytest.LogCaptureFixture,
    fault: Callable[[], None],
    logged: str,
) -> None:
    seen: list[bytes] = []

    @mqtt.on_message()
    def handle(_client: Any, _userdata: Any, message: Any) -> None:
        if message.payload == b"bad":
            fault()
        seen.append(message.payload)

    for payload in (b"1", b"bad", b"2"):
        scripted.publish("t", payload, qos=1)
    scripted.wait_for("PUBACK", 3)
    assert seen == [b"1", b"2"]
    assert mqtt.connected
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "handle failed" in record.getMessage()
    assert logged in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_in_the_applications_own_thread_what_ends_a_program_goes_to_the_caller(
    scripted: ScriptedBroker, error: type[BaseException]
) -> None:
    with closing(Client()) as client:
        client.on_disconnect = leave(error())
        client.connect("127.0.0.1", scripted.port)
        wait_until(client.is_connected)
        with pytest.raises(error):
            client.disconnect()
        assert not client.is_connected()
        client.on_disconnect = None
        client.on_pre_connect = lambda *_: leave(error())()
        with pytest.raises(error):
            client.connect("127.0.0.1", scripted.port)
        client.on_pre_connect = None
        client.connect("127.0.0.1", scripted.port)
        wait_until(client.is_connected)


def test_close_waits_a_bounded_time_for_a_handler_that_blocks_and_says_so(
    scripted: ScriptedBroker,
    threads: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flask_mqtt.client.loops.STOP_TIMEOUT", 0.3)
    entered, leave_it = threading.Event(), threading.Event()
    before = set(threading.enumerate())
    with connected(make_app(scripted.port, handler_threads=threads)) as mqtt:

        @mqtt.on_message()
        def handle(*_: Any) -> None:
            entered.set()
            leave_it.wait(20)

        try:
            scripted.publish("t", qos=1)
            assert entered.wait(20)
            began = time.monotonic()
            mqtt.close()
            assert 0.3 <= time.monotonic() - began < PROMPT
            assert "An MQTT handler is still running after 0.3 s" in caplog.text
            scripted.wait_for("DISCONNECT")
            assert scripted.of("PUBACK") == []
            ours = [thread for thread in threading.enumerate() if thread.name.startswith(HANDLING)]
            assert len(ours) == 1
        finally:
            leave_it.set()
    scripted.wait_closed()
    wait_until(
        lambda: (
            not {thread.name for thread in set(threading.enumerate()) - before}
            & {"mqtt-dispatch", "mqtt-handler-1", "mqtt-handler-2", "mqtt-handler-3"}
        )
    )


BLOCKED = """
    app.config["MQTT_HANDLER_THREADS"] = int(sys.argv[2])
    mqtt = Mqtt(app)
    entered = threading.Event()

    @mqtt.on_message()
    def handler(client, userdata, message):
        entered.set()
        threading.Event().wait()

    until(lambda: mqtt.connected)
    say("ready")
    entered.wait(10)
"""


@pytest.mark.slow
def test_ctrl_c_ends_a_process_whose_handler_blocks(scripted: ScriptedBroker, threads: int) -> None:
    """It has some seconds to finish, which it does not use."""
    code = f"""{BLOCKED}
    try:
        say("blocked")
        time.sleep(60)  # until Ctrl-C
    finally:
        end()
    """
    with running(code, scripted.port, threads) as script:
        script.expect("ready")
        scripted.publish("t", qos=1)
        script.expect("blocked")
        script.process.send_signal(signal.SIGINT)
        assert script.seconds_to_exit() < HANDLING_TIMEOUT + PROMPT
        assert "KeyboardInterrupt" in script.errors
        assert script.process.returncode in (-signal.SIGINT, 130)
    scripted.wait_for("DISCONNECT")


@pytest.mark.slow
@pytest.mark.parametrize("last", ["return", "os._exit(0)", "sys.exit(0)"])
def test_a_handler_may_fork_and_its_child_says_nothing_to_the_broker(
    scripted: ScriptedBroker, threads: int, last: str
) -> None:
    code = f"""
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    app.config["MQTT_HANDLER_THREADS"] = int(sys.argv[2])
    mqtt = Mqtt(app)
    seen = []

    @mqtt.on_message()
    def handler(client, userdata, message):
        seen.append(message.payload)
        if message.payload == b"fork":
            child = os.fork()
            if child == 0:
                {last}
            began = time.monotonic()
            os.waitpid(child, 0)
            say("child", time.monotonic() - began < {PROMPT})

    until(lambda: mqtt.connected)
    say("ready")
    until(lambda: len(seen) == 3)
    say(seen)
    end()
    """
    with running(code, scripted.port, threads) as script:
        script.expect("ready")
        for payload in (b"1", b"fork", b"2"):
            scripted.publish("t", payload, qos=1)
        script.expect("child True")
        script.expect("[b'1', b'fork', b'2']")
        assert script.seconds_to_exit() < PROMPT
    scripted.wait_for("DISCONNECT")
    assert [packet.mid for packet in scripted.of("PUBACK")] == [1, 2, 3]


def test_a_handler_that_publishes_much_is_not_held_up_by_its_own_reports(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    codes: list[int] = []
    published: list[int] = []
    mqtt.on_publish()(lambda _client, _userdata, mid: published.append(mid))

    @mqtt.on_message()
    def handle(*_: Any) -> None:
        codes.extend(mqtt.publish("answer", b"x", number % 2)[0] for number in range(10_000))

    scripted.publish("t")
    wait_until(lambda: len(published) == 10_000, 30)
    assert set(codes) == {MQTT_ERR_SUCCESS}


def test_a_handler_that_removes_itself_is_called_no_more(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[str] = []

    def first(client: Client, _userdata: Any, _message: Any) -> None:
        seen.append("first")
        client.message_callback_remove("t")
        client.message_callback_remove("+")
        client.message_callback_add("t", lambda *_: seen.append("next"))

    mqtt.on_topic("t")(first)
    mqtt.on_topic("+")(lambda *_: seen.append("wildcard"))
    mqtt.on_message()(lambda *_: seen.append("rest"))
    for count, topic in enumerate(("t", "t", "u"), 1):
        scripted.publish(topic, qos=1)
        scripted.wait_for("PUBACK", count)
    # The message that is handled has the handlers that it had when its turn came.
    assert seen == ["first", "wildcard", "next", "rest"]


def test_a_handler_may_start_threads_that_use_the_client(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    confirmed: list[bool] = []

    def work() -> None:
        # Not a handler: it may wait, while the handler that started it must not wait for it.
        info = mqtt.publish("answer", "x", 1)
        info.wait_for_publish(20)
        confirmed.append(info.is_published())

    mqtt.on_message()(lambda *_: threading.Thread(target=work, daemon=True).start())
    scripted.publish("t")
    wait_until(lambda: confirmed)
    assert confirmed == [True]
