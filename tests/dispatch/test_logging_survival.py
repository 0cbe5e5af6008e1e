"""Threads that call handlers go on, whatever the application's logging raises."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt
from support.apps import make_app
from support.going_on import goes_on
from support.pool import handler_threads
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.scripted import ScriptedBroker


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
