"""What follows from a slot, without a process for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_mqtt import MQTTv5
from flask_mqtt.config import Config
from flask_mqtt.extension.worker import Worker
from flask_mqtt.process import slots

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def worker(slots_folder: Path) -> Iterator[Worker]:
    """A worker without a slot, in a folder of the test's own."""
    worker = Worker()
    yield worker
    worker.end()


@pytest.mark.parametrize(
    ("number", "client_id", "file", "own_id", "own_file"),
    [
        (0, "site", "messages.db", "site", "messages.db"),
        (1, "site", "messages.db", "site-1", "messages-1.db"),
        (12, "", "/a.b/messages", "", "/a.b/messages-12"),
        (1, "site", ".hidden", "site-1", ".hidden-1"),
        (1, "site", "a/messages.old.db", "site-1", "a/messages.old-1.db"),
    ],
)
def test_names(number: int, client_id: str, file: str, own_id: str, own_file: str) -> None:
    values = Config(client_id=client_id, persistence=file)
    own = Worker().values_of(values, number)
    assert (own.client_id, own.persistence) == (own_id, own_file)


def test_without_a_file_there_is_none() -> None:
    assert Worker().values_of(Config(client_id="site"), 3).persistence is None


@pytest.mark.parametrize(
    ("settings", "stays"),
    [
        ({}, False),
        ({"clean_session": False}, True),
        ({"persistence": "messages.db"}, True),
        ({"protocol_version": MQTTv5}, False),
        # The session lasts, as the client asks for it.
        ({"protocol_version": MQTTv5, "clean_session": False}, True),
        (
            {
                "protocol_version": MQTTv5,
                "clean_session": False,
                "connect_properties": {"SessionExpiryInterval": 0},
            },
            False,
        ),
        (
            {"protocol_version": MQTTv5, "connect_properties": {"SessionExpiryInterval": 60}},
            True,
        ),
        ({"protocol_version": MQTTv5, "connect_properties": {"ReceiveMaximum": 60}}, False),
    ],
)
def test_what_stays_behind_is_written_down(
    worker: Worker, settings: dict[str, Any], stays: bool
) -> None:
    values = Config(key_prefix="MQTT", client_id="site").updated(settings)
    worker.begin(Flask("app"), values)
    worker.mark(values)
    identity = worker.identity
    worker.end()
    assert slots.free_dirty(identity) == ([0] if stays else [])


def test_no_slot_is_taken_where_nothing_needs_one(worker: Worker, slots_folder: Path) -> None:
    worker.begin(Flask("app"), Config(clean_session=True))
    assert worker.slot is None
    assert not slots_folder.exists()


def test_a_slot_is_kept_until_the_configuration_needs_another(worker: Worker) -> None:
    app = Flask("app")
    worker.begin(app, Config(client_id="site"))
    slot = worker.slot
    worker.begin(app, Config(client_id="site", keepalive=10))
    assert worker.slot is slot
    worker.begin(app, Config(client_id="place"))
    assert worker.slot is not slot
    worker.begin(app, Config())
    assert worker.slot is None
