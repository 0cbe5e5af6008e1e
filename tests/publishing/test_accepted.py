"""An exception means that nothing was done: what was accepted is reported, whatever fails later."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN, Client, Mqtt
from support.apps import make_app
from support.running import connected
from support.script import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.scripted import ScriptedBroker


@pytest.fixture
def raising_log() -> Iterator[logging.Handler]:
    """A handler of the log that raises for everything but what comes before the test."""

    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError(f"no log for {record.msg}")

    logger = logging.getLogger("flask_mqtt")
    level, handler = logger.level, Raising()
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_log_that_raises_takes_nothing_back(
    scripted: ScriptedBroker, raising_log: logging.Handler
) -> None:
    logger = logging.getLogger("flask_mqtt")
    logger.removeHandler(raising_log)
    with connected(make_app(scripted.port)) as mqtt:
        logger.addHandler(raising_log)
        assert mqtt.publish("t", "x", 1)[0] == 0
        assert mqtt.subscribe("s")[0] == 0
        assert mqtt.unsubscribe("s") is not None
        logger.removeHandler(raising_log)
    offline = Mqtt()
    logger.addHandler(raising_log)
    assert offline.publish("t", "x", 1)[0] == MQTT_ERR_NO_CONN
    assert offline.subscribe("s")[0] == MQTT_ERR_NO_CONN
    assert offline.unsubscribe("s") == (MQTT_ERR_NO_CONN, None)


def test_the_first_message_is_not_accepted_before_its_info_can_be_made(
    scripted: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    client.connect("127.0.0.1", scripted.port)
    client.loop_start()
    scripted.wait_for("CONNECT")

    def infos_of(_core: object) -> type:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("flask_mqtt.publishing.info.infos_of", infos_of)
        with pytest.raises(KeyboardInterrupt):
            client.publish("t", "not accepted", 1)
    client.publish("t", "accepted", 1).wait_for_publish(20)
    client.close()
    assert [packet.payload for packet in scripted.of("PUBLISH")] == [b"accepted"]


def test_ctrl_c_while_a_message_is_stored_takes_it_back(
    scripted: ScriptedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(scripted.port, persistence=tmp_path / "messages.db")
    expected, taken_back = [], []
    with connected(app) as mqtt:
        core = mqtt.client._parts.holder.core

        class Core:
            def __getattr__(self, name: str) -> object:
                return getattr(core, name)

            def withdraw(self, *message: Any) -> bool:
                taken_back.append(core.withdraw(*message))
                return taken_back[-1]

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("flask_mqtt.publishing.publisher.wait_until_settled", interrupted)
            patched.setattr(mqtt.client._parts.holder, "core", Core())
            for number in range(1000):
                interrupts = len(taken_back)
                with contextlib.suppress(KeyboardInterrupt):
                    mqtt.publish("t", str(number), 1)
                # Of one that got into the file in between, Ctrl-C came too late.
                if len(taken_back) == interrupts or not taken_back[-1]:
                    expected.append(str(number))
                if any(taken_back):
                    break
        mqtt.publish("t", "last", 1).wait_for_publish(20)
    assert any(taken_back)
    assert [packet.payload.decode() for packet in scripted.of("PUBLISH")] == [*expected, "last"]


@pytest.mark.slow
def test_ctrl_c_in_a_close_that_waits_leaves_nothing_open(
    scripted: ScriptedBroker, tmp_path: Path
) -> None:
    code = """
        app.config["MQTT_PERSISTENCE"] = sys.argv[2]
        mqtt = Mqtt(app)
        until(lambda: mqtt.connected)
        import flask_mqtt.connection.connection as connection
        waits = connection.wait_for
        ways = {"close": mqtt.client.close, "disconnect": mqtt.client.disconnect}

        def interrupted(waiter, timeout=None):
            connection.wait_for = waits
            raise KeyboardInterrupt

        mqtt.client.loop_stop()
        connection.wait_for = interrupted
        try:
            ways[sys.argv[3]]()
        except KeyboardInterrupt:
            say("interrupted", mqtt.connected)
        mqtt.client.close()
        other = Mqtt(app)
        until(lambda: other.connected)
        other.close()
        say("opened")
    """
    for way in ("close", "disconnect"):
        with running(code, scripted.port, tmp_path / "messages.db", way) as script:
            script.expect("interrupted False")
            script.expect("opened")
            assert script.finish() == 0, script.errors
