"""Mode "all": every worker is connected, under its own client identifier."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt
from flask_multimqtt import MultiMQTT
from support.apps import make_app
from support.children import in_child
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker
    from support.workers import Workers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def connections(broker: Mosquitto) -> list[str]:
    """Return the client identifiers of all connections that the broker has accepted."""
    return re.findall(r"New client connected from \S+ as (\S+)", broker.log)


def send(broker: Mosquitto, topic: str, payload: str) -> None:
    """Publish a message with a client of no worker."""
    with connected(make_app(broker.port)) as mqtt:
        mqtt.publish(topic, payload, 1).wait_for_publish(20)


def test_each_worker_has_its_own_client_identifier(own: Mosquitto, workers: Workers) -> None:
    first = workers.start(own.port, client_id="site")
    assert first.client_id == "site"
    second = workers.start(own.port, client_id="site")
    assert second.client_id == "site-1"
    assert second.ask("mqtt.client_id") == "site"
    for worker in (first, second):
        worker.subscribe("all")
    second.tell("mqtt.publish('all', 'x', 1)")
    for worker in (first, second):
        worker.wait_for("got all x")
    assert connections(own) == ["site", "site-1"]
    assert "closing old connection" not in own.log
    for worker in (first, second):
        assert worker.end() == 0
        assert worker.messages == ["x"]


def test_a_killed_worker_gets_its_session_back(own: Mosquitto, workers: Workers) -> None:
    config: dict[str, Any] = {"client_id": "site", "clean_session": False}
    first, second = workers.pair(own.port, **config)
    second.subscribe("kept", 1)
    # It keeps its slot, and does not finish the session of the other one.
    first.stop()
    second.kill()
    send(own, "kept", "while away")
    again = workers.start(own.port, **config)
    assert again.client_id == "site-1"
    assert again.wait_for("got kept") == ["while away"]
    assert connections(own)[:2] == ["site", "site-1"]
    assert "closing old connection" not in own.log


def test_the_session_of_the_first_goes_to_its_successor(own: Mosquitto, workers: Workers) -> None:
    config: dict[str, Any] = {"client_id": "site", "clean_session": False}
    first, second = workers.pair(own.port, **config)
    assert second.client_id == "site-1"
    first.subscribe("kept", 1)
    second.stop()
    assert first.end() == 0
    send(own, "kept", "while away")
    again = workers.start(own.port, **config)
    assert again.client_id == "site"
    assert again.wait_for("got kept") == ["while away"]


def test_each_worker_has_its_own_file(own: Mosquitto, workers: Workers, tmp_path: Path) -> None:
    config = {"persistence": str(tmp_path / "messages.db"), "client_id": "site"}
    first, second = workers.pair(own.port, **config)
    assert second.client_id == "site-1"
    for worker in (first, second):
        assert worker.ask("mqtt.publish('t', 'x', 1).rc") == "0"
    found = {path.name for path in tmp_path.glob("*.db")}
    assert found == {"messages.db", "messages-1.db"}


def test_what_a_killed_worker_could_not_send_is_sent_by_its_successor(
    own: Mosquitto, workers: Workers, tmp_path: Path
) -> None:
    config = {"persistence": str(tmp_path / "messages.db")}
    first, second = workers.pair(own.port, **config)
    first.subscribe("stored", 1)
    second.wait_for("connected")
    second.tell("mqtt.client.disconnect()")
    assert second.ask("mqtt.publish('stored', 'from the file', 1).rc") == "4"
    second.kill()
    assert first.messages == []
    workers.start(own.port, **config)
    assert first.wait_for("got stored") == ["from the file"]


def test_without_a_client_identifier_there_is_no_slot(own: Mosquitto, workers: Workers) -> None:
    assert workers.start(own.port).client_id == ""
    assert not workers.folder.exists()


def test_a_place_that_cannot_be_used_is_told_once(own: Mosquitto, workers: Workers) -> None:
    workers.folder.mkdir()
    workers.folder.chmod(0o755)
    worker = workers.start(own.port, client_id="site")
    assert worker.client_id == "site"
    worker.tell("mqtt._disconnect(); mqtt._connect(); until(lambda: mqtt.connected)")
    assert worker.ask("1") == "1"
    [warning] = [line for line in worker.having("WARNING") if "told apart" in line]
    assert "its mode is 0755" in warning
    assert str(workers.folder) in warning
    assert warning.endswith("would use the same MQTT_CLIENT_ID")


def test_close_gives_the_slot_back(scripted: ScriptedBroker, workers: Workers) -> None:
    mqtt = Mqtt(make_app(scripted.port, client_id="site"))
    in_child(lambda: _is(scripted.port, "site-1"))
    mqtt.close()
    in_child(lambda: _is(scripted.port, "site"))
    # A second time it has it again.
    mqtt._connect()
    in_child(lambda: _is(scripted.port, "site-1"))
    mqtt.close()


def _is(port: int, client_id: str) -> None:
    with connected(make_app(port, client_id="site")) as mqtt:
        assert mqtt.client._client_id == client_id.encode()


def test_two_extensions_of_a_process_share(scripted: ScriptedBroker, workers: Workers) -> None:
    config = {"client_id": "site"}
    with connected(make_app(scripted.port, **config)) as first:
        with connected(make_app(scripted.port, **config)) as second:
            assert first.client._client_id == second.client._client_id == b"site"
        # The first one keeps the slot.
        in_child(lambda: _is(scripted.port, "site-1"))


def test_init_app_again_keeps_the_connection(own: Mosquitto, workers: Workers) -> None:
    _, second = workers.pair(own.port, client_id="site")
    assert second.client_id == "site-1"
    second.tell("mqtt.init_app(app)")
    assert second.ask("mqtt.connected") == "True"
    assert connections(own) == ["site", "site-1"]
    # With another setting it connects again, as who it was.
    second.tell("app.config['MQTT_KEEPALIVE'] = 30; mqtt.init_app(app)")
    wait_until(lambda: connections(own) == ["site", "site-1", "site-1"])
    assert second.ask("mqtt.client._client_id") == "b'site-1'"


def test_another_identifier_needs_another_slot(own: Mosquitto, workers: Workers) -> None:
    _, second = workers.pair(own.port, client_id="site")
    assert second.client_id == "site-1"
    second.tell("app.config['MQTT_CLIENT_ID'] = 'place'; mqtt.init_app(app)")
    wait_until(lambda: connections(own) == ["site", "site-1", "place"])
    assert workers.start(own.port, client_id="site").client_id == "site-1"


def test_a_forked_child_connects_as_another(own: Mosquitto, workers: Workers) -> None:
    with connected(make_app(own.port, client_id="site")) as mqtt:

        def child() -> None:
            mqtt.init_app(mqtt.app)
            wait_until(lambda: mqtt.connected)
            assert mqtt.client._client_id == b"site-1"
            mqtt.close()

        in_child(child)
        assert mqtt.connected
        assert mqtt.client._client_id == b"site"
    assert connections(own) == ["site", "site-1"]


def test_multimqtt_has_slots_too(own: Mosquitto, workers: Workers) -> None:
    def child() -> None:
        mqtt = MultiMQTT(make_app(own.port, client_id="site"))
        mqtt.connect()
        wait_until(lambda: connections(own) == ["site", "site-1"])

    with connected(make_app(own.port, broker_url="127.0.0.1", client_id="site")):
        in_child(child)
