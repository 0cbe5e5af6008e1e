"""The end of a process: prompt whatever the broker and the handlers do, and with a DISCONNECT."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from flask_mqtt import Client
from support.peer import Peer
from support.ports import closed_port, unanswered, unanswered_port
from support.script import Script, running
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto

#: Under one second is what it takes; a machine with other work gets some slack.
PROMPT = 3.0

CONNECTED = """
    mqtt = Mqtt(app)
    until(lambda: mqtt.connected)
"""


def assert_prompt(script: Script, code: int = 0) -> None:
    took = script.seconds_to_exit()
    print(f"exit took {took:.3f} s")
    assert took < PROMPT
    assert script.process.returncode == code, script.errors
    assert "Traceback" not in script.errors
    assert "Fatal" not in script.errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("last", "code"),
    [
        pytest.param("end()", 0, id="the end of main"),
        pytest.param("end(); sys.exit(3)", 3, id="sys.exit"),
        pytest.param("end(); mqtt.close()", 0, id="close"),
    ],
)
def test_a_process_with_a_connected_client_ends_promptly_with_a_disconnect(
    scripted: ScriptedBroker, last: str, code: int
) -> None:
    with running(f"{CONNECTED}\n    {last}\n", scripted.port) as script:
        assert_prompt(script, code)
    scripted.wait_for("DISCONNECT")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wait", "does_wait"),
    [
        ("info.wait_for_publish()", "waits(thread)"),
        ("asyncio.run(settled())", "waiting._waits"),
    ],
    ids=["a thread", "an event loop"],
)
def test_daemon_threads_that_wait_for_a_message_end_without_a_word(
    scripted: ScriptedBroker, wait: str, does_wait: str
) -> None:
    scripted.withhold.add("PUBACK")
    code = f"""
        import asyncio
        from flask_mqtt import waiting
        from support.running import waits

        mqtt = Mqtt(app)
        until(lambda: mqtt.connected)
        info = mqtt.publish("t", "x", 1)

        async def settled():
            await info

        thread = threading.Thread(target=lambda: {wait}, daemon=True)
        thread.start()
        until(lambda: {does_wait})
        end()
    """
    with running(code, scripted.port) as script:
        assert_prompt(script)
        assert "Exception" not in script.errors


@pytest.mark.slow
def test_a_broker_that_reads_nothing_does_not_hold_up_the_end(scripted: ScriptedBroker) -> None:
    code = """
        mqtt = Mqtt(app)
        until(lambda: mqtt.connected)
        say("connected")
        sys.stdin.readline()
        mqtt.client.configure(publish_timeout=0.1)
        payload = b"x" * 1_000_000
        while mqtt.publish("t", payload, 1)[0] != flask_mqtt.MQTT_ERR_QUEUE_SIZE:
            pass
        end()
    """
    with running(code, scripted.port) as script:
        script.expect("connected")
        scripted.pause()
        script.go()
        assert_prompt(script)


@pytest.mark.slow
def test_a_broker_that_answers_nothing_does_not_hold_up_the_end(scripted: ScriptedBroker) -> None:
    scripted.connack = None
    with running("mqtt = Mqtt(app)\nend()\n", scripted.port) as script:
        assert_prompt(script)


@pytest.mark.slow
def test_the_wait_before_the_next_attempt_does_not_hold_up_the_end(
    scripted: ScriptedBroker,
) -> None:
    code = """
        mqtt = Mqtt(app)
        lost = threading.Event()
        mqtt.on_disconnect()(lambda *_: lost.set())
        until(lambda: mqtt.connected)
        say("connected")
        if lost.wait(10):
            end()
    """
    with running(code, scripted.port) as script:
        script.expect("connected")
        scripted.stop_listening()
        scripted.drop()
        assert_prompt(script)


@pytest.mark.slow
def test_an_attempt_to_connect_does_not_hold_up_the_end() -> None:
    code = "mqtt = Mqtt(app, connect_async=True)\nsys.stdin.readline()\nend()\n"
    with unanswered_port() as port:
        before = unanswered(port)
        with running(code, port) as script:
            wait_until(lambda: unanswered(port) > before, 10)
            script.go()
            assert_prompt(script)


def test_ctrl_c_ends_the_process_promptly_with_a_disconnect(scripted: ScriptedBroker) -> None:
    code = f"""{CONNECTED}
    try:
        say("connected")
        time.sleep(60)  # until Ctrl-C
    finally:
        end()
    """
    with running(code, scripted.port) as script:
        script.expect("connected")
        script.process.send_signal(signal.SIGINT)
        took = script.seconds_to_exit()
        print(f"exit took {took:.3f} s")
        assert took < PROMPT
        assert "KeyboardInterrupt" in script.errors
        assert script.process.returncode in (-signal.SIGINT, 130)
    scripted.wait_for("DISCONNECT")


@pytest.mark.slow
def test_ctrl_c_in_a_publish_that_waits_ends_it(scripted: ScriptedBroker) -> None:
    code = f"""{CONNECTED}
    from support.running import waits

    def watch():
        until(lambda: waits(threading.main_thread()))
        say("waits")

    say("connected")
    sys.stdin.readline()
    threading.Thread(target=watch, daemon=True).start()
    try:
        while mqtt.publish("t", b"x" * 1_000_000, 1)[0] == 0:
            pass
    finally:
        end()
    """
    with running(code, scripted.port) as script:
        script.expect("connected")
        scripted.pause()
        script.go()
        script.expect("waits")
        script.process.send_signal(signal.SIGINT)
        took = script.seconds_to_exit()
        print(f"exit took {took:.3f} s")
        assert took < PROMPT
        assert "KeyboardInterrupt" in script.errors


@pytest.mark.parametrize("kept", [False, True])
def test_what_is_published_after_the_end_began_is_refused(
    scripted: ScriptedBroker, tmp_path: Path, kept: bool
) -> None:
    code = """
        import atexit
        if sys.argv[2]:
            app.config["MQTT_PERSISTENCE"] = sys.argv[2]
        # What is registered first is called last.
        import flask_mqtt.process.ends
        atexit.unregister(flask_mqtt.process.ends._close_clients)

        @atexit.register
        def too_late():
            for publish in (mqtt.publish, mqtt.client.publish):
                say([tuple(map(int, publish("t", "late", qos))) for qos in (1, 2)])

        atexit.register(flask_mqtt.process.ends._close_clients)
        mqtt = Mqtt(app)
        until(lambda: mqtt.connected)
        assert mqtt.publish("t", "early", 1)[0] == 0
    """
    file = tmp_path / "messages.db"
    with running(code, scripted.port, file if kept else "") as script:
        for _ in range(2):
            script.expect("[(14, 0), (14, 0)]")
        assert script.finish() == 0, script.errors
        assert script.errors.count("MQTT_ERR_ERRNO") == 1
    assert [packet.payload for packet in scripted.of("PUBLISH")] == [b"early"]


@pytest.mark.parametrize("kept", [False, True])
def test_messages_that_end_with_the_process_are_counted_in_the_log(
    scripted: ScriptedBroker, tmp_path: Path, kept: bool
) -> None:
    code = """
        if sys.argv[2]:
            app.config["MQTT_PERSISTENCE"] = sys.argv[2]
        mqtt = Mqtt(app)
        until(lambda: mqtt.connected)
        assert mqtt.publish("t", "acknowledged", 1)[0] == 0
        mqtt.close()
        for qos in (0, 1, 2):
            mqtt.publish("t", "later", qos)
    """
    with running(code, scripted.port, tmp_path / "messages.db" if kept else "") as script:
        assert script.finish() == 0, script.errors
        assert script.errors.count("2 messages with QoS 1 or 2 are lost with the process") == 1


def test_nothing_is_said_of_messages_that_a_file_has(tmp_path: Path) -> None:
    code = """
        app.config["MQTT_PERSISTENCE"] = sys.argv[2]
        mqtt = Mqtt(app, connect_async=True)
        assert mqtt.publish("t", "kept", 1)[0] == 4
    """
    with running(code, closed_port(), tmp_path / "messages.db") as script:
        assert script.finish() == 0, script.errors
        assert "lost" not in script.errors


def test_what_threads_publish_at_the_end_of_a_process_is_kept_or_refused(tmp_path: Path) -> None:
    file, told = tmp_path / "messages.db", tmp_path / "told"
    code = """
        import atexit, logging
        import flask_mqtt.process.ends
        logging.getLogger("flask_mqtt").setLevel(logging.CRITICAL)
        app.config["MQTT_PERSISTENCE"] = sys.argv[2]
        written = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        refused = threading.Event()

        def publish(name):
            for number in range(100_000):
                text = f"{name}-{number}"
                rc = mqtt.publish("t", text, 1)[0]
                if rc == 14:
                    refused.set()
                    return
                os.write(written, f"{text}\\n".encode())
                # Time for which nobody waits for the file.
                time.sleep(0.0001)

        atexit.unregister(flask_mqtt.process.ends._close_clients)
        atexit.register(refused.wait, 5)
        atexit.register(flask_mqtt.process.ends._close_clients)
        mqtt = Mqtt(app)
        until(lambda: mqtt.connected)
        for name in "abcd":
            threading.Thread(target=publish, args=name, daemon=True).start()
        until(lambda: os.fstat(written).st_size > 2000)
        say("end")
    """
    with ScriptedBroker() as broker:
        with running(code, broker.port, file, told) as script:
            script.expect("end")
            assert script.finish() == 0, script.errors
        arrived = {packet.payload.decode() for packet in broker.of("PUBLISH")}
    with contextlib.closing(sqlite3.connect(file)) as database:
        rows = database.execute("SELECT payload FROM outgoing").fetchall()
    kept = {payload.decode() for (payload,) in rows}
    accepted = set(told.read_text().split())
    assert len(accepted) > 100
    assert accepted <= arrived | kept


SEVERAL = """
    clients = []
    for _ in range(5):
        client = flask_mqtt.Client()
        client.connect("127.0.0.1", int(sys.argv[1]))
        clients.append(client)
    until(lambda: all(client.is_connected() for client in clients))
"""


@pytest.mark.slow
def test_several_clients_end_at_the_same_time() -> None:
    with ScriptedBroker(reads_on=True) as broker:
        with running(SEVERAL, broker.port) as script:
            assert script.finish() == 0, script.errors
        wait_until(lambda: len(broker.closed) == 5)
        said = [packet.at for packet in broker.of("DISCONNECT")]
        # The broker does not close, so each of them waits for a while after its DISCONNECT.
        assert len(said) == 5
        assert max(said) < min(closed.at for closed in broker.closed)


@pytest.mark.slow
def test_a_client_whose_end_fails_does_not_keep_the_others_from_theirs() -> None:
    code = f"""{SEVERAL}
    import logging
    class Raising(logging.Handler):
        def emit(self, record):
            raise ValueError("no log")
    logger = logging.getLogger("flask_mqtt")
    logger.setLevel(logging.INFO)
    logger.addHandler(Raising())
    """
    with ScriptedBroker(reads_on=True) as broker:
        with running(code, broker.port) as script:
            script.finish()
        assert "ValueError: no log" in script.errors
        wait_until(lambda: len(broker.closed) == 5)
        said = {packet.connection: packet.at for packet in broker.of("DISCONNECT")}
        # Each has waited for the broker, which does not close.
        assert all(closed.at - said[closed.connection] > 0.1 for closed in broker.closed)


def test_twenty_clients_of_a_broker_that_hangs_end_as_soon_as_one_though_one_fails() -> None:
    code = f"""{SEVERAL.replace("range(5)", "range(20)")}
    for client in clients:
        client.publish("t", "x", 1)
    def fail(_until):
        raise ValueError("no end")
    clients[0]._parts.connection.begin_end = fail
    say("connected")
    sys.stdin.readline()
    end()
    """
    with ScriptedBroker(withhold={"PUBACK"}) as broker, running(code, broker.port) as script:
        script.expect("connected")
        broker.pause()
        script.go()
        took = script.seconds_to_exit()
        print(f"exit took {took:.3f} s")
        # One after the other, they would take 18 s.
        assert took < PROMPT
        assert "ValueError: no end" in script.errors


def test_the_ends_of_all_clients_have_one_bound() -> None:
    code = f"""{SEVERAL}
    from flask_mqtt.connection import connection
    from flask_mqtt.process import ends
    def wait_out(waiter, timeout):
        # In place of a wait in vain.
        time.sleep(timeout)
        return False
    connection.wait_for = wait_out
    ends.DISCONNECT_TIMEOUT = 0.5
    end()
    """
    with ScriptedBroker() as broker, running(code, broker.port) as script:
        took = script.seconds_to_exit()
        print(f"exit took {took:.3f} s")
        # One after the other, they would take 2.5 s.
        assert 0.5 < took < 2.2


def test_the_end_of_a_client_that_was_dropped_is_waited_for() -> None:
    code = """
        import gc
        for _ in range(3):
            client = flask_mqtt.Client()
            client.connect("127.0.0.1", int(sys.argv[1]))
            until(client.is_connected)
            client.publish("t", "x", 1)
            del client
            gc.collect()
        end()
    """
    # What is not acknowledged is waited for before the DISCONNECT.
    with ScriptedBroker(withhold={"PUBACK"}) as broker:
        with running(code, broker.port) as script:
            assert_prompt(script)
        broker.wait_for("DISCONNECT", count=3)


def test_what_was_published_last_is_sent_before_the_disconnect(scripted: ScriptedBroker) -> None:
    code = f"""{CONNECTED}
    for number in range(1000):
        mqtt.publish("t", str(number))
    end()
    """
    with running(code, scripted.port) as script:
        assert_prompt(script)
    scripted.wait_for("DISCONNECT")
    payloads = [packet.payload for packet in scripted.of("PUBLISH")]
    assert payloads == [str(number).encode() for number in range(1000)]


WILL = f"""
    app.config["MQTT_CLIENT_ID"] = sys.argv[2]
    app.config["MQTT_LAST_WILL_TOPIC"] = "will/" + sys.argv[2]
    app.config["MQTT_LAST_WILL_MESSAGE"] = "gone"
    {CONNECTED}
    say("connected")
"""


ENDS = {
    "end": "pass",
    "exit": "sys.exit(1)",
    "close": "mqtt.close()",
    "error": "raise RuntimeError",
}


@pytest.mark.parametrize("name", ENDS)
def test_no_will_is_published_where_a_process_ends_by_itself(broker: Mosquitto, name: str) -> None:
    with Peer(broker.port, f"will/{name}", "marker") as peer:
        with running(f"{WILL}\n    {ENDS[name]}\n", broker.port, name) as script:
            script.expect("connected")
            script.finish()
        wait_until(lambda: f"Client {name} disconnected" in broker.log, what="its end")
        assert peer.nothing_came_before("marker")


def test_the_will_is_published_where_a_process_is_killed(broker: Mosquitto) -> None:
    with (
        Peer(broker.port, "will/killed") as peer,
        running(f"{WILL}\n    time.sleep(60)\n", broker.port, "killed") as script,
    ):
        script.expect("connected")
        script.process.kill()
        will = peer.receive()
    assert (will.topic, will.payload) == ("will/killed", b"gone")


@pytest.mark.parametrize("last", ["pass", "sys.exit(0)", "mqtt.close()", "mqtt.publish('own')"])
def test_a_forked_child_ends_promptly_and_leaves_the_parent_its_connection(
    scripted: ScriptedBroker, last: str
) -> None:
    code = f"""{CONNECTED}
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    ended = []
    mqtt.on_disconnect()(lambda *_: ended.append(1))
    child = os.fork()
    if child == 0:
        began = time.monotonic()
        {last}
        sys.exit(0)
    began = time.monotonic()
    status = os.waitpid(child, 0)[1]
    say("child", status, time.monotonic() - began < {PROMPT})
    mqtt.publish("parent", "alive", 1)
    sent = threading.Event()
    mqtt.on_publish()(lambda *_: sent.set())
    mqtt.publish("parent", "again", 1)
    sent.wait(5)
    say(ended, mqtt.connected)
    end()
    """
    with running(code, scripted.port) as script:
        script.expect("child 0 True")
        script.expect("[] True")
        assert_prompt(script)
    own = ["CONNECT", "PUBLISH", "DISCONNECT"] if "publish" in last else []
    wait_until(lambda: len(scripted.packets) >= 4 + len(own))
    kinds = [packet.kind for packet in scripted.packets]
    assert kinds == ["CONNECT", *own, "PUBLISH", "PUBLISH", "DISCONNECT"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_can_forget_the_clients_of_its_parent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        clients = [Client() for _ in range(30)]
        for client in clients:
            client.connect("127.0.0.1", server.getsockname()[1])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                # A thread makes the C library give the memory of the parent's threads away.
                thread = threading.Thread(target=int)
                thread.start()
                thread.join()
                clients.clear()
                del client
                gc.collect()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        for client in clients:
            client.disconnect()
            client.loop_stop()
