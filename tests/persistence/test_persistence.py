"""MQTT_PERSISTENCE: messages that wait in a file for the next process."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import re
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_ERRNO, MQTT_ERR_NO_CONN, MQTT_ERR_QUEUE_SIZE, Client, Mqtt
from support.apps import make_app
from support.running import closing, connected
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.mosquitto import Mosquitto


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "messages.db"


def payloads(broker: ScriptedBroker) -> list[bytes]:
    return [packet.payload for packet in broker.of("PUBLISH")]


def rows(file: Path, table: str) -> int:
    """Count what is in a file that is closed."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        [(count,)] = database.execute(f"SELECT count(*) FROM {table}")
    return int(count)


@pytest.mark.smoke
def test_what_was_not_confirmed_is_sent_by_the_next_client(file: Path) -> None:
    with ScriptedBroker(withhold={"PUBACK", "PUBREC"}) as broker:
        app = make_app(broker.port, persistence=file)
        with connected(app) as mqtt:
            for number in range(30):
                assert mqtt.publish("t", str(number), qos=1 + number % 2)[0] == 0
            mqtt.publish("t", "not kept")
        assert rows(file, "outgoing") == 30
    published: list[int] = []
    with ScriptedBroker() as broker:
        mqtt = Mqtt()
        mqtt.on_publish()(lambda _client, _userdata, mid: published.append(mid))
        mqtt.init_app(make_app(broker.port, persistence=file))
        wait_until(lambda: len(published) == 30)
        assert mqtt.publish("t", "new", qos=1)[0] == 0
        wait_until(lambda: len(published) == 31)
        mqtt.close()
        expected = [str(number).encode() for number in range(30)]
        assert payloads(broker) == [*expected, b"new"]
        assert sorted(published[:30]) == list(range(1, 31))
    assert rows(file, "outgoing") == 0


def test_messages_published_without_a_broker_are_kept(file: Path, scripted: ScriptedBroker) -> None:
    offline = Client(client_id="me")
    offline._parts.settings.change(persistence=str(file))
    offline.connect_async("127.0.0.1", 1)
    offline.loop_start()
    with closing(offline):
        assert offline.publish("t", "kept", 1)[0] == MQTT_ERR_NO_CONN
    with connected(make_app(scripted.port, persistence=file)):
        scripted.wait_for("PUBLISH")
    assert payloads(scripted) == [b"kept"]


def test_a_message_can_be_waited_for_and_awaited_as_ever(file: Path, broker: Mosquitto) -> None:
    with connected(make_app(broker.port, persistence=file, persistence_fsync="always")) as mqtt:
        info = mqtt.publish("persistence/t", "x", qos=2)
        info.wait_for_publish(20)
        assert info.is_published()
        assert mqtt.publish("persistence/t", "x")[0] == 0, "QoS 0"


def test_a_closed_client_goes_on_where_it_was(file: Path) -> None:
    with ScriptedBroker(withhold={"PUBACK"}) as broker:
        app = make_app(broker.port, persistence=file)
        mqtt = Mqtt(app)
        info = mqtt.publish("t", "before", qos=1)
        mqtt.close()
        assert rows(file, "outgoing") == 1
        assert mqtt.publish("t", "between", qos=1)[0] == MQTT_ERR_NO_CONN
        broker.withhold.clear()
        mqtt.init_app(app)
        info.wait_for_publish(20)
        mqtt.publish("t", "after", qos=1).wait_for_publish(20)
        mqtt.close()
        assert payloads(broker)[-3:] == [b"before", b"between", b"after"]


@pytest.mark.slow
def test_a_file_is_for_one_client_at_a_time(file: Path, scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, persistence=file)
    with connected(app):
        with pytest.raises(OSError, match="another client of this one: give each a file") as caught:
            Mqtt(app)
        assert caught.value.filename == str(file)
        program = f"""
from flask_mqtt import Mqtt
from support.apps import make_app
# As the same application it would get a file of its own.
Mqtt(make_app({scripted.port}, client_id="another", persistence={str(file)!r}))
"""
        other = subprocess.run(
            [sys.executable, "-c", program],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        assert "MQTT_PERSISTENCE: another process has this file open" in other.stderr
    with connected(app):
        pass


def test_who_could_not_connect_lets_go_of_the_file(file: Path, scripted: ScriptedBroker) -> None:
    with pytest.raises(ConnectionRefusedError) as kept:
        Mqtt(make_app(1, persistence=file))
    with connected(make_app(scripted.port, persistence=file)):
        assert kept, "which has the client in its traceback"


def test_a_client_that_is_given_up_lets_go_of_its_file(
    file: Path, scripted: ScriptedBroker
) -> None:
    app = make_app(scripted.port, persistence=file)
    client = Client(client_id="me")
    client._parts.settings.change(persistence=str(file))
    client.connect("127.0.0.1", scripted.port)
    del client
    gc.collect()
    with connected(app):
        pass


@pytest.mark.parametrize(
    ("place", "error", "text"),
    [
        ("", IsADirectoryError, "MQTT_PERSISTENCE: Is a directory"),
        ("none/messages.db", FileNotFoundError, "MQTT_PERSISTENCE: No such file or directory"),
        ("text", ValueError, "MQTT_PERSISTENCE: this file is not one of this package's: name one"),
        (
            "other.db",
            ValueError,
            "MQTT_PERSISTENCE: this file is not one of this package's: name one",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(
    tmp_path: Path, place: str, error: type[Exception], text: str
) -> None:
    (tmp_path / "text").write_text("not a database, and long enough to be none of SQLite's" * 100)
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE others (id)")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(error, match=re.escape(text)) as caught:
        Mqtt(make_app(1, persistence=tmp_path / place))
    assert str(tmp_path / place) in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="MQTT_PERSISTENCE: Permission denied"):
        Mqtt(make_app(1, persistence=tmp_path / "messages.db"))


def test_only_the_owner_can_read_the_file(file: Path, scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port, persistence=file)):
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_leaves_the_file_alone(file: Path, scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, persistence=file)
    with connected(app) as mqtt:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                # As the same application it would get a file of its own.
                Mqtt(make_app(scripted.port, client_id="another", persistence=file))
            except OSError as error:
                mqtt.close()
                code = 0 if "had this file open" in str(error) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with pytest.raises(OSError, match="another process has this file open"):
            Mqtt(app)
        mqtt.publish("t", "x", qos=1).wait_for_publish(20)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_file_of_its_own_and_so_has_its_child(
    file: Path, scripted: ScriptedBroker
) -> None:
    def live(generation: int) -> int:
        app = make_app(scripted.port, persistence=f"{file}-{generation}")
        with connected(app) as mqtt:
            mqtt.publish("t", str(generation), qos=1).wait_for_publish(20)
            if generation == 2:
                return 0
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    code = live(generation + 1)
                finally:
                    os._exit(code)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            mqtt.publish("t", f"{generation} again", qos=1).wait_for_publish(20)
            return code

    assert live(0) == 0
    assert payloads(scripted) == [b"0", b"1", b"2", b"1 again", b"0 again"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_a_process_without_an_open_file_can_have_one(
    file: Path, scripted: ScriptedBroker
) -> None:
    app = make_app(scripted.port, persistence=file)
    with connected(app):
        pass
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with connected(app) as mqtt:
                mqtt.publish("t", "child", qos=1).wait_for_publish(20)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert payloads(scripted) == [b"child"]


@pytest.fixture
def full_disk(file: Path) -> Iterator[Any]:
    """Files cannot grow while this is on: call it with True and False."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(full: bool) -> None:
        largest = Path(f"{file}-wal").stat().st_size if full else before[0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))

    yield fill
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_refuses_messages_until_there_is_room(
    file: Path, scripted: ScriptedBroker, full_disk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flask_mqtt")
    with connected(make_app(scripted.port, persistence=file)) as mqtt:
        mqtt.publish("t", "before", qos=1).wait_for_publish(20)
        full_disk(True)
        # The last pages of the log may still have room.
        wait_until(lambda: mqtt.publish("t", "x" * 100_000, qos=1) == (MQTT_ERR_ERRNO, 0))
        assert mqtt.publish("t", "x" * 100_000, qos=2) == (MQTT_ERR_ERRNO, 0)
        assert mqtt.publish("t", "qos 0")[0] == 0
        full_disk(False)
        mqtt.publish("t", "after", qos=1).wait_for_publish(20)
        wait_until(lambda: "messages are stored again" in caplog.text)
    assert caplog.text.count("messages cannot be stored, and are refused") == 1
    assert payloads(scripted)[-2:] == [b"qos 0", b"after"]


def test_a_file_that_was_removed_refuses_messages(
    file: Path, scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(scripted.port, persistence=file)
    with connected(app) as mqtt:
        file.unlink()
        assert mqtt.publish("t", "x", qos=1) == (MQTT_ERR_ERRNO, 0)
        wait_until(lambda: "the file was removed or replaced" in caplog.text)
        assert mqtt.stats()["dropped"]["not_stored"] == 1
        mqtt.close()
        mqtt.init_app(app)
        mqtt.publish("t", "a new file", qos=1).wait_for_publish(20)
    assert payloads(scripted) == [b"a new file"]


def test_threads_publish_at_the_same_time(file: Path, broker: Mosquitto) -> None:
    results: list[int] = []

    def publish(mqtt: Mqtt) -> None:
        results.extend(mqtt.publish("persistence/many", "x", qos=1)[0] for _ in range(100))

    with connected(make_app(broker.port, persistence=file)) as mqtt:
        threads = [threading.Thread(target=publish, args=(mqtt,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert results == [0] * 800


def test_what_waits_in_the_file_counts_among_the_bytes_that_may_wait(file: Path) -> None:
    with ScriptedBroker(withhold={"PUBACK"}) as broker:
        app = make_app(
            broker.port, persistence=file, max_outgoing_bytes=100_000, publish_timeout=0.1
        )
        with connected(app) as mqtt:
            rcs = [mqtt.publish("t", "x" * 10_000, qos=1)[0] for _ in range(12)]
        assert rcs == [0] * 10 + [MQTT_ERR_QUEUE_SIZE] * 2


@pytest.mark.slow
def test_the_file_does_not_grow_with_what_passes_through(file: Path, broker: Mosquitto) -> None:
    with connected(make_app(broker.port, persistence=file)) as mqtt:
        for _ in range(300):
            mqtt.publish("persistence/size", "x" * 50_000, qos=1)
    assert file.stat().st_size < 2_000_000
    assert not Path(f"{file}-wal").exists()


def test_messages_are_handled_where_there_are_no_descriptors_to_wait_for_the_file_with(
    file: Path, scripted: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With no descriptor left nothing else would work either, the broker of the test included.
    def wait(*_: Any) -> bool:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("flask_mqtt.dispatch.acknowledging.wait_until_settled", wait)
    with connected(make_app(scripted.port, persistence=file)) as mqtt:
        mqtt.on_message()(lambda *_: None)
        for _ in range(2):
            scripted.publish("t", b"x", qos=2)
        wait_until(lambda: len(scripted.of("PUBCOMP")) == 2)


def test_waiting_for_the_file_is_not_the_time_of_handlers(
    file: Path, scripted: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In place of a disk that takes so long.
    monkeypatch.setattr(
        "flask_mqtt.dispatch.acknowledging.wait_until_settled", lambda *_: time.sleep(0.2)
    )
    with connected(make_app(scripted.port, persistence=file)) as mqtt:
        mqtt.on_message()(lambda *_: None)
        for _ in range(3):
            scripted.publish("t", b"x", qos=2)
        wait_until(lambda: mqtt.stats()["handlers"]["calls"] == 3)
        assert mqtt.stats()["handlers"]["longest"] < 0.2


@pytest.mark.slow
def test_a_qos_2_message_that_was_not_handled_comes_again(file: Path) -> None:
    program = """
import os, sys
from flask_mqtt import Client
client = Client(client_id="me", clean_session=False)
client._parts.settings.change(persistence=sys.argv[2])
client.on_connect = lambda *_: client.subscribe("t", 2)
client.on_message = lambda _client, _userdata, message: os._exit(message.payload == b"x")
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_forever()
"""
    command = [sys.executable, "-c", program]
    with (
        ScriptedBroker() as broker,
        subprocess.Popen([*command, str(broker.port), str(file)]) as process,
    ):
        try:
            broker.wait_for("SUBSCRIBE", timeout=30)
            broker.publish("t", b"x", qos=2)
            assert process.wait(10) == 1
        finally:
            process.kill()
    assert rows(file, "incoming") == 1
    seen: list[bytes] = []
    # This broker knows nothing of it.
    with ScriptedBroker() as broker, Mqtt() as mqtt:
        mqtt.on_message()(lambda _client, _userdata, message: seen.append(message.payload))
        mqtt.init_app(make_app(broker.port, persistence=file, client_id="me", clean_session=False))
        wait_until(lambda: seen)
    assert seen == [b"x"]
    assert rows(file, "incoming") == 0


def test_publishing_is_bounded_by_the_timeout(file: Path, scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port, persistence=file, publish_timeout=0)) as mqtt:
        start = time.monotonic()
        assert mqtt.publish("t", "x", qos=1)[0] == 0, "the file gets its time"
        assert time.monotonic() - start < 1
