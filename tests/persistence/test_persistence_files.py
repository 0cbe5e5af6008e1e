"""MQTT_PERSISTENCE: what somebody does to the files, and how large they are."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from flask_mqtt import MQTT_ERR_ERRNO, Client
from support.apps import make_app
from support.ports import unanswered_port
from support.running import connected
from support.script import running
from support.scripted import ScriptedBroker
from support.wait import wait_until

#: Publishes with what `act` does in between, says what was accepted, and waits to be killed.
KILLED = """
    app.config["MQTT_PERSISTENCE"] = file = sys.argv[2]
    log = file + "-wal"
    mqtt = Mqtt(app)
    until(lambda: mqtt.connected)
    accepted = []

    def publish(first, last):
        for number in range(first, last):
            if mqtt.publish("t", str(number), 1)[0] == 0:
                accepted.append(number)

    publish(0, 20)
    exec(sys.argv[3])
    publish(20, 40)
    say(*accepted)
    sys.stdin.readline()
"""


def kept(file: Path) -> list[int]:
    """Return what is in the file of a process that was killed."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        rows = database.execute("SELECT payload FROM outgoing ORDER BY number").fetchall()
    return [int(payload) for (payload,) in rows]


@pytest.fixture
def silent() -> ScriptedBroker:
    """A broker that acknowledges nothing."""
    return ScriptedBroker(withhold={"PUBACK"})


@pytest.mark.slow
@pytest.mark.parametrize(
    "act",
    [
        "os.unlink(log)",
        "os.rename(log, file + '-elsewhere')",
        "os.unlink(log); publish(40, 60); os.unlink(log)",
        # Nothing is published meanwhile.
        "os.unlink(log); until(lambda: os.path.exists(log)); os.unlink(log)",
    ],
)
def test_a_log_that_was_removed_loses_nothing(
    tmp_path: Path, silent: ScriptedBroker, act: str
) -> None:
    file = tmp_path / "messages.db"
    with silent as broker, running(KILLED, broker.port, file, act) as script:
        accepted = [int(number) for number in script.line().split()]
        script.process.kill()
        script.finish()
    assert len(accepted) >= 40
    assert kept(file) == accepted


@pytest.mark.slow
@pytest.mark.parametrize(
    "act",
    [
        "os.truncate(log, 0)",
        "os.truncate(log, 100)",
        "os.truncate(file, 0)",
        "os.truncate(file, 1000)",
        "os.unlink(log); open(log, 'w').close()",
        "os.unlink(file)",
        "os.rename(file, file + '-elsewhere')",
        "os.unlink(file); os.unlink(log)",
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path: Path, silent: ScriptedBroker, act: str) -> None:
    with silent as broker, running(KILLED, broker.port, tmp_path / "m.db", act) as script:
        # Nothing that was published later was accepted.
        script.expect(" ".join(str(number) for number in range(20)))
        script.go()
        assert script.finish() == 0, script.errors
    assert "messages cannot be stored, and are refused: the file" in script.errors


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["", "-wal"])
def test_what_waits_is_written_anew_when_the_client_connects_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lost: str
) -> None:
    file = tmp_path / "messages.db"
    with ScriptedBroker(withhold={"PUBACK"}) as broker:
        app = make_app(broker.port, persistence=file)
        with connected(app) as mqtt:
            for number in range(10):
                assert mqtt.publish("t", str(number), 1)[0] == 0
            os.truncate(f"{file}{lost}", 0)
            # Nobody publishes, and it is noticed.
            wait_until(lambda: "are refused: the file" in caplog.text)
            assert mqtt.publish("t", "10", 1) == (MQTT_ERR_ERRNO, 0)
            mqtt.close()
            mqtt.init_app(app)
            wait_until(lambda: mqtt.connected)
            assert mqtt.publish("t", "11", 1)[0] == 0
        assert set(kept(file)) == {*range(10), 11}


def test_another_file_in_its_place_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, silent: ScriptedBroker
) -> None:
    file, other = tmp_path / "messages.db", tmp_path / "other.db"
    with silent as broker, connected(make_app(broker.port, persistence=file)) as mqtt:
        assert mqtt.publish("t", "1", 1)[0] == 0
        with contextlib.closing(sqlite3.connect(other)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("CREATE TABLE theirs (number)")
            database.execute("INSERT INTO theirs VALUES (7)")
            database.commit()
            # What their process has not moved into the file yet comes along.
            shutil.copy(other, f"{other}-copy")
            shutil.copy(f"{other}-wal", f"{other}-log")
        Path(f"{other}-copy").replace(file)
        Path(f"{other}-log").replace(f"{file}-wal")
        assert mqtt.publish("t", "2", 1) == (MQTT_ERR_ERRNO, 0)
        wait_until(lambda: "the file was removed or replaced" in caplog.text)
    with contextlib.closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT number FROM theirs").fetchall() == [(7,)]


@pytest.mark.slow
def test_the_file_becomes_small_again_while_it_is_open(tmp_path: Path) -> None:
    file = tmp_path / "messages.db"
    log = Path(f"{file}-wal")
    megabytes = 24
    with ScriptedBroker(withhold={"PUBACK"}) as broker:
        app = make_app(broker.port, persistence=file, max_outgoing_bytes=1 << 26)
        with connected(app) as mqtt:
            for _ in range(megabytes * 10):
                assert mqtt.publish("t", b"x" * 100_000, 1)[0] == 0
            assert file.stat().st_size > megabytes * 90_000
            broker.withhold.clear()
            mqtt.client.reconnect()
            wait_until(lambda: mqtt.stats()["outgoing_bytes"] == 0, 20)
            wait_until(lambda: file.stat().st_size < 200_000, 20)
            assert log.stat().st_size < 5_000_000
            mqtt.publish("t", "as ever", 1).wait_for_publish(20)


@pytest.mark.slow
def test_what_a_killed_process_has_left_gets_no_index_that_can_be_truncated(
    tmp_path: Path, silent: ScriptedBroker
) -> None:
    file = tmp_path / "messages.db"
    index = "file + '-shm'"
    truncated = f"os.path.exists({index}) and os.truncate({index}, 0)"
    with silent as broker:
        for act in ("pass", truncated):
            with running(KILLED, broker.port, file, act) as script:
                # Where it was mapped, SIGBUS was the end of the process.
                script.expect(" ".join(map(str, range(40))))
                script.process.kill()
                script.process.wait()
                assert not Path(f"{file}-shm").exists()
    assert kept(file) == [*range(40), *range(40)]


@pytest.mark.slow
def test_a_client_that_cannot_begin_lets_go_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "messages.db"
    code = """
        import resource
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        def made():
            client = flask_mqtt.Client(client_id="me")
            client.configure(persistence=sys.argv[2])
            return client
        first, second = made(), made()
        begun = []
        for way in (first.loop_start, first.reconnect):
            first.connect_async("127.0.0.1", int(sys.argv[1]))
            free = 0
            while True:
                # One more descriptor each time, until all that is needed is there.
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                used = [int(name) for name in os.listdir("/proc/self/fd")]
                highest = next(n for n in range(1000) if n not in used) + free
                resource.setrlimit(resource.RLIMIT_NOFILE, (highest, limits[1]))
                try:
                    way()
                except OSError as error:
                    pass
                else:
                    break
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                free += 1
                # It is free for another client at once.
                second.connect("127.0.0.1", int(sys.argv[1]))
                second.close()
            begun.append(free > 2)
            first.close()
            first.loop_stop()
        say(*begun)
    """
    with ScriptedBroker() as broker, running(code, broker.port, file) as script:
        script.expect("True True")


@pytest.mark.slow
def test_a_new_client_waits_for_the_file_of_one_that_ends(tmp_path: Path) -> None:
    file = tmp_path / "messages.db"

    def made() -> Client:
        client = Client(client_id="me")
        client.configure(persistence=str(file))
        return client

    # It reads nothing, so the DISCONNECT takes its time.
    with ScriptedBroker() as broker:
        old = made()
        old.connect("127.0.0.1", broker.port)
        broker.wait_for("CONNECT")
        broker.pause()
        for _ in range(200):
            old.publish("t", b"x" * 100_000)
        del old
        with ScriptedBroker() as other:
            new = made()
            new.connect("127.0.0.1", other.port)
            new.close()


def test_ctrl_c_in_a_first_connect_lets_go_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    app_file = tmp_path / "messages.db"
    with unanswered_port() as port:
        client = Client(client_id="me")
        client.configure(persistence=str(app_file))
        with monkeypatch.context() as patched:
            patched.setattr("flask_mqtt.connection.connection.wait_for", interrupted)
            with pytest.raises(KeyboardInterrupt):
                client.connect("127.0.0.1", port)
    with ScriptedBroker() as broker, connected(make_app(broker.port, persistence=app_file)):
        assert client is not None, "whose file it was"
