"""Threads that call handlers go on, whatever of the application's raises beside the handlers."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from flask import appcontext_popped, appcontext_pushed, appcontext_tearing_down

from flask_mqtt import Client, Mqtt, records
from flask_mqtt.guards import Troubles
from support.apps import make_app
from support.pool import handler_threads
from support.running import closing, connected
from support.script import running
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.scripted import ScriptedBroker

logger = logging.getLogger("flask_mqtt")


def kind_of(error: tuple[type[BaseException], Any]) -> str:
    return error[0].__name__


@pytest.fixture(params=[(ValueError, "a"), (SystemExit, 3), (KeyboardInterrupt,)], ids=kind_of)
def error(request: pytest.FixtureRequest) -> Iterator[BaseException]:
    """One of the test's own: its traceback refers to what raised it, and must not outlive that.

    Where it is raised again and again, `with_traceback(None)` keeps that from becoming longer.
    """
    kind, *arguments = request.param
    value: BaseException = kind(*arguments)
    yield value
    # Else what it refers to would be collected at any time, and by any thread.
    value.__traceback__ = value.__context__ = None


class Raising(logging.Handler):
    """A log handler that raises in threads of the package's."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        # In the application's own threads, what ends a program does so.
        if threading.current_thread() is not threading.main_thread():
            self.count += 1
            raise self.error.with_traceback(None)


@contextlib.contextmanager
def handling(handler: logging.Handler, name: str = "flask_mqtt") -> Iterator[None]:
    log = logging.getLogger(name)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def goes_on(broker: ScriptedBroker, client: Client, threads: int = 1) -> None:
    """Check that handlers are called still, for messages and all else, and by as many threads."""
    seen: list[tuple[str, bytes]] = []
    published: list[int] = []
    with contextlib.suppress(Exception):
        client.on_publish = lambda _client, _userdata, mid: published.append(mid)
    client.message_callback_add(
        "after/#", lambda _c, _u, message: seen.append((message.topic, message.payload))
    )
    wait_until(client.is_connected)
    before = len(broker.of("PUBACK"))
    for number in range(12):
        broker.publish(f"after/{number % 4}", b"%d" % number, qos=1)
    mid = client.publish("t", "x", 1).mid
    wait_until(lambda: len(seen) == 12)
    broker.wait_for("PUBACK", before + 12)
    wait_until(lambda: mid in published)
    names = {
        thread.name
        for thread in client._parts.dispatcher._threads._own._threads
        if thread.is_alive()
    }
    assert len(names) == (1 if threads == 1 else threads + 1)


def fail(*_: Any) -> None:
    raise RuntimeError("on purpose")


def test_a_log_handler_that_raises_anything(
    scripted: ScriptedBroker,
    threads: int,
    error: BaseException,
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = Raising(error)
    app = make_app(scripted.port, handler_threads=threads)
    app.logger.propagate = False
    with connected(app) as mqtt, handling(handler), handling(handler, app.logger.name):
        mqtt.on_topic("bad/#")(fail)
        mqtt.on_publish()(fail)
        for number in range(5):
            scripted.publish(f"bad/{number}", qos=1)
            mqtt.publish("t", "x", 1)
        scripted.wait_for("PUBACK", 5)
        scripted.drop()
        scripted.wait_connected(2)
        goes_on(scripted, mqtt.client, threads)
    app.logger.propagate = True
    assert handler.count > 5
    assert "on purpose" in capsys.readouterr().err


class Stream:
    """A stderr that raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def write(self, _text: str) -> int:
        raise self.error.with_traceback(None)

    def flush(self) -> None:
        raise self.error.with_traceback(None)


@pytest.mark.parametrize("kind", ["none", "closed", "raises", "missing"])
def test_where_there_is_no_stderr_either(
    scripted: ScriptedBroker,
    threads: int,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    closed = io.StringIO()
    closed.close()
    streams = {"none": None, "closed": closed, "raises": Stream(SystemExit(1))}
    handler = Raising(SystemExit(4))
    app = make_app(scripted.port, handler_threads=threads)
    with connected(app) as mqtt, handling(handler), handling(handler, app.logger.name):
        mqtt.on_topic("bad")(fail)
        if kind == "missing":
            monkeypatch.delattr(sys, "stderr")
        else:
            monkeypatch.setattr(sys, "stderr", streams[kind])
        for _ in range(3):
            scripted.publish("bad", qos=1)
        scripted.wait_for("PUBACK", 3)
        goes_on(scripted, mqtt.client, threads)
        monkeypatch.undo()
    # Nor does it go where nobody expects it.
    assert "on purpose" not in capsys.readouterr().out


class Publishing(logging.Handler):
    """A log handler that sends each record by the client that it is about."""

    def __init__(self) -> None:
        super().__init__()
        self.mqtt: Mqtt | None = None
        self.deepest = self.depth = self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        if self.mqtt is None or threading.current_thread() is threading.main_thread():
            return
        self.count += 1
        self.depth += 1
        self.deepest = max(self.deepest, self.depth)
        try:
            self.mqtt.publish("log", record.getMessage(), 1)
            self.mqtt.subscribe(f"log/{self.count}")
            self.mqtt.unsubscribe(f"log/{self.count}")
            logging.getLogger("of.the.application").warning("published")
        finally:
            self.depth -= 1


def test_a_log_handler_that_publishes_and_subscribes_while_the_broker_is_away(
    scripted: ScriptedBroker, threads: int
) -> None:
    handler = Publishing()
    app = make_app(scripted.port, handler_threads=threads, reconnect_delay_min=0.01)
    with connected(app) as mqtt, handling(handler), handling(handler, app.logger.name):
        handler.mqtt = mqtt
        mqtt.on_topic("bad")(fail)
        scripted.publish("bad", qos=1)
        scripted.wait_for("PUBACK")
        scripted.stop_listening()
        scripted.drop()
        wait_until(lambda: not mqtt.connected)
        wait_until(lambda: handler.count > 5)
        scripted.listen()
        goes_on(scripted, mqtt.client, threads)
        handler.mqtt = None
    # One record leads to one more, and that to none.
    assert handler.deepest <= 2


class Wicked:
    """What raises in threads of the package's, whatever is asked of it."""

    def __init__(self, error: BaseException) -> None:
        object.__setattr__(self, "error", error)

    def _fail(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise object.__getattribute__(self, "error")

    def __repr__(self) -> str:
        self._fail()
        return "wicked"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        self._fail()
        return self is other

    def __hash__(self) -> int:
        self._fail()
        return 1

    def __bool__(self) -> bool:
        self._fail()
        return True

    def __getattr__(self, name: str) -> Any:
        self._fail()
        raise AttributeError(name)

    def __del__(self) -> None:
        self._fail()

    @property
    def __class__(self) -> Any:
        self._fail()
        return type(self)

    @__class__.setter
    def __class__(self, _value: Any) -> None: ...


class WickedHandler(Wicked):
    """A handler of that kind, which raises and returns such things."""

    def __call__(self, _client: Any, _userdata: Any, message: Any) -> Any:
        if message.payload == b"raise":
            self._fail()
        return Wicked(object.__getattribute__(self, "error"))


class WickedError(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise SystemExit(5)

    __repr__ = __str__


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_objects_that_raise_whatever_is_asked_of_them(
    scripted: ScriptedBroker, threads: int, error: BaseException
) -> None:
    app = make_app(scripted.port, handler_threads=threads)
    with connected(app) as mqtt:
        mqtt.client.user_data_set(Wicked(error))
        mqtt.client.message_callback_add("bad/#", WickedHandler(error))
        mqtt.client.message_callback_add("worse/#", lambda *_: exec("raise E", {"E": WickedError}))
        payloads = [b"raise", b"return"] * 3
        for number, payload in enumerate(payloads):
            scripted.publish(f"bad/{number}", payload, qos=1)
            scripted.publish(f"worse/{number}", payload, qos=1)
        scripted.wait_for("PUBACK", 12)
        goes_on(scripted, mqtt.client, threads)


@pytest.mark.parametrize(
    "signal", [appcontext_pushed, appcontext_popped, appcontext_tearing_down, None]
)
def test_teardown_functions_and_receivers_of_flask(
    scripted: ScriptedBroker, threads: int, error: BaseException, signal: Any
) -> None:
    app = make_app(scripted.port, handler_threads=threads)
    armed = True

    def receive(*_: Any, **__: Any) -> None:
        if armed and threading.current_thread() is not threading.main_thread():
            raise error.with_traceback(None)

    if signal is None:
        app.teardown_appcontext(receive)
    else:
        signal.connect(receive, app)
    with connected(app) as mqtt:
        mqtt.on_topic("bad/#")(lambda *_: None)
        for number in range(4):
            scripted.publish(f"bad/{number}", qos=1)
        scripted.wait_for("PUBACK", 4)
        armed = False
        goes_on(scripted, mqtt.client, threads)


def test_headers_for_a_websocket_and_what_is_called_before_an_attempt(
    scripted: ScriptedBroker, threads: int, error: BaseException
) -> None:
    def headers(*_: Any) -> dict[str, str]:
        raise error.with_traceback(None)

    app = make_app(scripted.port, handler_threads=threads, reconnect_delay_min=0.01)
    with connected(app) as mqtt:
        # They are asked for, though this connection has no use for them.
        mqtt.client.ws_set_options(headers=headers)
        mqtt.client.on_pre_connect = headers
        scripted.drop()
        scripted.wait_connected(2)
        goes_on(scripted, mqtt.client, threads)


def test_hooks_of_a_subclass_and_what_the_extension_looks_at(
    scripted: ScriptedBroker, threads: int, error: BaseException
) -> None:
    armed, told = False, []

    def trap() -> None:
        if armed and threading.current_thread() is not threading.main_thread():
            raise error.with_traceback(None)

    class Trapped(Mqtt):
        @property
        def connected(self) -> bool:
            return True

        @connected.setter
        def connected(self, value: bool) -> None:
            trap()

    class Trap(dict[str, Any]):
        def get(self, *arguments: Any) -> Any:
            trap()
            return super().get(*arguments)

        def items(self) -> Any:
            trap()
            return super().items()

    app = make_app(scripted.port, handler_threads=threads, reconnect_delay_min=0.01)
    with Trapped(app) as mqtt:
        wait_until(mqtt.client.is_connected)
        mqtt.topics = Trap()
        mqtt.subscribe("a")
        mqtt.on_connect()(lambda *_: told.append("connect"))
        mqtt.on_disconnect()(lambda *_: told.append("disconnect"))
        wait_until(lambda: told == ["connect"])
        armed = True
        scripted.drop()
        scripted.wait_connected(2)
        # The application's handlers are called all the same.
        wait_until(lambda: told == ["connect", "disconnect", "connect"])
        goes_on(scripted, mqtt.client, threads)
        armed = False


class Logger:
    """Something in the place of a logger."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def log(self, *_: Any, **__: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise self.error.with_traceback(None)


@pytest.mark.slow
def test_a_logger_of_another_kind(
    scripted: ScriptedBroker, threads: int, error: BaseException
) -> None:
    with connected(make_app(scripted.port, handler_threads=threads)) as mqtt:
        mqtt.client.enable_logger(Logger(error))  # type: ignore[arg-type]
        mqtt.subscribe("a")
        scripted.wait_for("SUBSCRIBE")
        goes_on(scripted, mqtt.client, threads)
        mqtt.client.disable_logger()


def test_handlers_that_are_properties_of_a_subclass(
    scripted: ScriptedBroker, threads: int, error: BaseException
) -> None:
    armed = False

    class Trapped(Client):
        def _get(self) -> Any:
            if armed and threading.current_thread() is not threading.main_thread():
                raise error.with_traceback(None)

        on_connect = on_disconnect = on_subscribe = on_unsubscribe = on_log = property(_get)
        on_connect_fail = on_pre_connect = on_socket_open = on_socket_close = property(_get)

    with closing(Trapped()) as client:
        client.configure(handler_threads=threads, reconnect_delay_min=0.01)
        client.connect("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(client.is_connected)
        armed = True
        client.subscribe("a")
        scripted.wait_for("SUBSCRIBE")
        scripted.drop()
        scripted.wait_connected(2)
        goes_on(scripted, client, threads)
        armed = False


def test_functions_of_the_standard_library_that_were_replaced(
    scripted: ScriptedBroker,
    threads: int,
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def sleep(seconds: float, _sleep: Callable[[float], None] = time.sleep) -> None:
        if threading.current_thread().name.startswith("mqtt-"):
            raise error.with_traceback(None)
        _sleep(seconds)

    monkeypatch.setattr(records, "_troubles", Troubles())
    with connected(make_app(scripted.port, handler_threads=threads)) as mqtt:
        # Other threads have their turn between two batches, where the second is there already.
        entered, waiting = threading.Event(), threading.Event()

        def handle(_client: Any, _userdata: Any, message: Any) -> None:
            if message.payload == b"wait":
                entered.set()
                waiting.wait(10)

        mqtt.on_topic("a/#")(handle)
        scripted.publish("a/0", qos=1)
        scripted.wait_for("PUBACK")
        scripted.publish("a/0", b"wait", qos=1)
        assert entered.wait(10)
        monkeypatch.setattr(time, "sleep", sleep)
        for number in range(200):
            scripted.publish(f"a/{number % 3}", qos=1)
        wait_until(lambda: threads > 1 or mqtt.stats()["waiting_incoming"]["messages"])
        waiting.set()
        scripted.wait_for("PUBACK", 202, timeout=10)
        goes_on(scripted, mqtt.client, threads)
        monkeypatch.undo()
    told = [each for each in caplog.records if "continues after a failure" in each.getMessage()]
    # One for each place, not one for each time.
    assert 1 <= len(told) <= 3


def test_a_call_that_fails_inside_acknowledges_the_message_and_keeps_the_others(
    scripted: ScriptedBroker, threads: int, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    with connected(make_app(scripted.port, handler_threads=threads)) as mqtt:
        mqtt.on_topic("a/#")(lambda _c, _u, message: seen.append(message.payload))
        dispatcher = mqtt.client._parts.dispatcher
        find = dispatcher.message_handlers._of

        def find_or_fail(topic: str) -> Any:
            if topic == "a/2":
                raise error.with_traceback(None)
            return find(topic)

        monkeypatch.setattr(dispatcher.message_handlers, "_of", find_or_fail)
        for number in range(9):
            scripted.publish(f"a/{number % 3}", b"%d" % number, qos=1 + number % 2)
        scripted.wait_for("PUBACK", 5)
        scripted.wait_for("PUBCOMP", 4)
        assert sorted(seen) == [b"0", b"1", b"3", b"4", b"6", b"7"]
        assert [packet.mid for packet in scripted.of("PUBACK")] == [1, 3, 5, 7, 9]
        goes_on(scripted, mqtt.client, threads)


def test_an_exception_that_another_thread_raises_in_them(
    scripted: ScriptedBroker, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(BaseException):
        pass

    # It may be raised in the report of an earlier one, too, where pytest's own hook would fail.
    monkeypatch.setattr("sys.unraisablehook", lambda _unraisable: None)
    seen: list[bytes] = []
    with connected(make_app(scripted.port, handler_threads=threads)) as mqtt:
        mqtt.on_topic("a/#")(lambda _c, _u, message: seen.append(message.payload))
        raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
        for number in range(150):
            for thread in mqtt.client._parts.dispatcher._threads._own._threads:
                assert thread.ident is not None
                raise_in(ctypes.c_ulong(thread.ident), ctypes.py_object(Stop))
            scripted.publish(f"a/{number % 5}", b"%d" % number, qos=1)
            # A rate: exceptions and messages come at all moments of the threads' work.
            time.sleep(0.0005)
        scripted.wait_for("PUBACK", 150)
        goes_on(scripted, mqtt.client, threads)
        assert [packet.mid for packet in scripted.of("PUBACK")][:150] == list(range(1, 151))


def test_a_thread_that_cannot_start_leaves_a_true_state_behind(
    scripted: ScriptedBroker, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, armed = threading.Thread.start, True

    def limited(thread: threading.Thread) -> None:
        if armed and thread.name == "mqtt-dispatch":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with closing(Client()) as client:
        client.configure(handler_threads=threads)
        client.connect_async("127.0.0.1", scripted.port)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                client.loop_start()
            assert not client._parts.dispatcher.working
            assert not client._parts.dispatcher.started
        # In the meantime the application's own thread can do it.
        while not client.is_connected():
            client.loop(0.1)
        armed = False
        assert client.loop_start() == 0
        goes_on(scripted, client, threads)
        # Between two connections the thread rests, and may not begin again either.
        client.disconnect()
        wait_until(lambda: not client._parts.dispatcher.working)
        armed = True
        with pytest.raises(RuntimeError, match="can't start new thread"):
            client.reconnect()
        assert not client._parts.dispatcher.working
        armed = False
        client.reconnect()
        wait_until(client.is_connected)
        goes_on(scripted, client, threads)


#: What the loop needs no descriptor for, and what it does.
WITHOUT_DESCRIPTORS = """
    import resource
    client = flask_mqtt.Client()
    seen = []
    client.on_message = lambda _client, _userdata, message: seen.append(message.payload)
    client.connect("127.0.0.1", int(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    say(int(client.loop_start()))
    until(client.is_connected)
    say("connected")
    until(lambda: seen)
    say(seen)
    other = flask_mqtt.Client()
    other.connect_async("127.0.0.1", int(sys.argv[1]))
    try:
        say("no error", other.loop_start())
    except OSError as error:
        say("OSError", error.errno)
    say(int(other.loop_stop()), int(other.loop(0)))
    os._exit(0)
"""


@pytest.mark.slow
def test_a_loop_starts_without_descriptors_or_says_that_there_are_none(
    scripted: ScriptedBroker,
) -> None:
    with running(WITHOUT_DESCRIPTORS, scripted.port) as script:
        script.expect("0")
        script.expect("connected")
        scripted.publish("a", b"x", qos=1)
        script.expect("[b'x']")
        script.expect("OSError 24")
        script.expect("3 4")


def test_a_filter_that_raises_keeps_nobody_from_connecting(scripted: ScriptedBroker) -> None:
    """What is connected has its threads, and who calls gets the connection's own errors."""

    def refuse(_record: logging.LogRecord) -> bool:
        raise LookupError("there is no request")

    logger = logging.getLogger("flask_mqtt")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addFilter(refuse)
    try:
        app = make_app(scripted.port)
        with connected(app) as mqtt:
            assert "mqtt-dispatch" in handler_threads()
            mqtt.init_app(app)
        scripted.stop_listening()
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            Mqtt(app)
    finally:
        logger.removeFilter(refuse)
        logger.setLevel(level)
