"""What is published when the process ends: sent, kept, or refused and counted; and the will."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest

from support.ending import CONNECTED, assert_prompt
from support.peer import Peer
from support.ports import closed_port
from support.script import running
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto


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
