"""``on_leader`` and ``is_leader`` in one process: another mode, no handler, no folder of slots."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt
from support.apps import make_app
from support.running import connected

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto


@pytest.mark.usefixtures("slots_folder")
def test_another_mode_has_no_leader(broker: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    mqtt = Mqtt()
    mqtt.on_leader()(lambda _client, _userdata: None)
    assert not mqtt.is_leader
    with mqtt:
        mqtt.init_app(make_app(broker.port))
        leads = mqtt.is_leader
    assert not leads
    [warning] = [one for one in caplog.records if vars(one).get("mqtt_event") == "no_leader"]
    assert warning.levelno == logging.WARNING
    assert "MQTT_WORKER_MODE is 'all'" in warning.getMessage()


def test_a_handler_that_cannot_be_called_is_refused() -> None:
    mqtt = Mqtt()
    no_handler: Any = lambda: None  # noqa: E731
    with pytest.raises(TypeError, match=r"on_leader .* it is called with \(client, userdata\)"):
        mqtt.on_leader()(no_handler)
    without_parentheses: Any = mqtt.on_leader
    with pytest.raises(TypeError, match=r"needs parentheses: @mqtt.on_leader\(\)"):
        without_parentheses(no_handler)


def test_without_a_folder_each_worker_leads(
    broker: Mosquitto,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    with connected(make_app(broker.port, worker_mode="leader")) as mqtt:
        leads = mqtt.is_leader
    assert (leads, mqtt.is_leader) == (True, False)
    [record] = [one for one in caplog.records if vars(one).get("mqtt_event") == "no_slot"]
    assert record.levelno == logging.ERROR
    assert "each process of this application handles messages" in record.getMessage()
