"""Children that multiprocessing starts, with each of its methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.parent import CONNECTED, PARENT
from support.script import running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

pytestmark = pytest.mark.slow

MULTIPROCESSING = f"""{CONNECTED}
    import multiprocessing

    def work(number):
        assert mqtt.publish("t", str(number), number % 3).rc == 0
        return os.getpid()
    """


def test_multiprocessing(scripted: ScriptedBroker) -> None:
    code = f"""{MULTIPROCESSING}
    context = multiprocessing.get_context("fork")
    for number in range(6):
        child = context.Process(target=work, args=[number])
        child.start()
        child.join()
        assert child.exitcode == 0
    say(mqtt.connected)
    with context.Pool(3) as pool:
        pids = pool.map(work, range(100, 200), chunksize=1)
        pool.close()
        pool.join()
    say(mqtt.connected, called)
    """
    with running(code, scripted.port) as script:
        script.expect("True")
        script.expect("True []")
        assert script.finish() == 0, script.errors
    sent = {packet.payload for packet in scripted.of("PUBLISH")}
    assert sent == {str(number).encode() for number in (*range(6), *range(100, 200))}
    connects, ends = scripted.of("CONNECT"), scripted.of("DISCONNECT")
    assert len(connects) == len(ends)


def test_a_child_leaves_a_file_only_if_that_has_messages(
    broker_factory: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    code = f"""{PARENT}
    import multiprocessing
    app.config["MQTT_PERSISTENCE"] = sys.argv[2] + "/messages.db"
    mqtt.init_app(app)
    until(lambda: mqtt.connected)

    def publish():
        mqtt.publish("t", "child", 1)

    def close():
        publish()
        mqtt.close()

    context = multiprocessing.get_context("fork")
    for target in (publish, close, publish, publish):
        child = context.Process(target=target)
        child.start()
        child.join()
        files = {{name.removesuffix("-wal") for name in os.listdir(sys.argv[2])}}
        say(child.exitcode, sorted(files))
        sys.stdin.readline()
    """
    broker = broker_factory()
    folder = tmp_path / "files"
    folder.mkdir()
    with running(code, broker.port, folder) as script:
        for _ in range(2):
            script.expect("0 ['messages.db']")
            script.go()
        script.expect("0 ['messages.db']")
        broker.stop()
        script.go()
        # What it has accepted is sent by a process that takes the slot.
        script.expect("0 ['messages-1.db', 'messages.db']")
        script.go()
        assert script.finish() == 0, script.errors


SPAWNED = """\
import multiprocessing, os, sys, threading
from flask import Flask
from flask_mqtt import Mqtt

app = Flask("spawned")
app.config.update(
    MQTT_BROKER_URL="127.0.0.1", MQTT_BROKER_PORT=int(sys.argv[1]), MQTT_CLIENT_ID="site"
)
mqtt = Mqtt(app)
mqtt.subscribe("parent/#")


@mqtt.topic("routes/<int:number>")
def handle(client, message, number):
    pass


def idle():
    assert not [each for each in threading.enumerate() if each.name.startswith("mqtt-")]


def work(number):
    assert mqtt.publish("t", str(number), 1).rc == 0


def subscribe():
    mqtt.subscribe("child/#", 1)
    assert mqtt.publish("t", "subscriber", 1).wait_for_publish(20) is None


def serve():
    with mqtt:
        mqtt.publish("t", "served", 1).wait_for_publish(20)


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    for target, *arguments in ((idle,), (work, 1), (work, 2), (subscribe,), (serve,)):
        child = context.Process(target=target, args=arguments)
        child.start()
        child.join()
        print(child.exitcode, flush=True)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_child_that_imports_the_main_module_again_waits_for_its_first_use(
    scripted: ScriptedBroker, tmp_path: Path, method: str
) -> None:
    program = tmp_path / "spawned.py"
    program.write_text(SPAWNED)
    code = """
    import subprocess
    say(subprocess.check_output([sys.executable, *sys.argv[2:]], text=True).split())
    """
    with running(code, scripted.port, program, scripted.port, method) as script:
        script.expect("['0', '0', '0', '0', '0']")
        assert script.finish() == 0, script.errors
    connects = {
        packet.connection: packet.connect.client_id
        for packet in scripted.of("CONNECT")
        if packet.connect is not None
    }
    assert list(connects.values()) == ["site", *["site-1"] * 4]
    subscribed = {packet.connection for packet in scripted.of("SUBSCRIBE")}
    assert subscribed == {1, 4, 5}
    assert len(scripted.of("DISCONNECT")) == 5


def test_a_child_that_is_forked_while_its_parent_lets_go_connects_too(
    scripted: ScriptedBroker,
) -> None:
    code = f"""{CONNECTED}
    from flask_mqtt.process import handover, slots
    identity = slots.identity(app, mqtt._rs_values)
    statuses = []

    def steps():
        assert mqtt.publish("t", "child", 1).wait_for_publish(20) is None
        mqtt.close()

    # It is called while the connection ends.
    mqtt.on_disconnect()(lambda *_: statuses.append(in_child(steps)))
    # A child asks, as a worker does that serves its first request.
    say(in_child(lambda: handover.ask(os.getppid(), identity, 30) or os._exit(9)))
    say(statuses)
    """
    with running(code, scripted.port) as script:
        script.expect("0")
        script.expect("[0]")
        assert script.finish() == 0, script.errors
