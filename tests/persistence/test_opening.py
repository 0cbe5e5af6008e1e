"""Opening the file in a thread of its own, as for green threads: see tests/green too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flask_mqtt._core import Client
from flask_mqtt.config import read

if TYPE_CHECKING:
    from pathlib import Path

    from flask_mqtt.config.options import ConnectOptions


@pytest.fixture
def options(tmp_path: Path) -> ConnectOptions:
    keys = {"MQTT_CLIENT_ID": "opener", "MQTT_PERSISTENCE": str(tmp_path / "messages.db")}
    return read(keys, "MQTT").connect_options()


def opened(client: Client, options: ConnectOptions) -> bool:
    """Open the file, and wait for that."""
    opening = client.open_file(options)
    assert opening.waiter().wait(20, False)
    return opening.outcome()


def test_whoever_opens_a_file_hears_whether_it_was_open(options: ConnectOptions) -> None:
    client = Client()
    assert opened(client, options)
    assert client.is_keeping()
    assert not opened(client, options)
    waiter = client.close_file()
    assert waiter is not None
    assert waiter.wait(20, False)


@pytest.mark.parametrize("is_over", [True, False], ids=["when it is open", "before"])
def test_a_file_that_nobody_waits_for_any_more_is_closed(
    options: ConnectOptions, is_over: bool
) -> None:
    client, other = Client(), Client()
    opening = client.open_file(options)
    waiter = opening.waiter()
    if is_over:
        assert waiter.wait(20, False)
    # As an interruption drops it.
    del opening
    assert waiter.wait(20, False)
    assert opened(other, options)
    other.close_file()


def test_a_file_that_another_client_has_is_refused(options: ConnectOptions) -> None:
    client = Client()
    assert opened(client, options)
    with pytest.raises(OSError, match="MQTT_PERSISTENCE: another process has this file open"):
        opened(Client(), options)
    client.close_file()
