"""After an attempt to connect that failed: on_connect_fail, delays, and when it was the last."""

from __future__ import annotations

import contextlib
import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_CONN_LOST, MQTT_ERR_CONN_REFUSED, Client, Mqtt
from support.apps import app_for, make_app
from support.ports import closed_port
from support.running import lose
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.scripted import ScriptedBroker

pytestmark = pytest.mark.usefixtures("short_delays")

HOST = "127.0.0.1"


# -- on_connect_fail ------------------------------------------------------------------------------


def failures(client: Client) -> list[str]:
    """Return the threads in which on_connect_fail is called."""
    threads: list[str] = []
    client.on_connect_fail = lambda *_: threads.append(threading.current_thread().name)
    return threads


def test_it_is_not_called_where_connect_raises(client: Client) -> None:
    failed = failures(client)
    # The automatic ones that follow do.
    client.reconnect_delay_set(60, 60)
    client.loop_start()
    with pytest.raises(ConnectionRefusedError):
        client.connect(HOST, closed_port())
    client.loop_stop()
    assert failed == []


def test_every_attempt_of_connect_async_that_fails_calls_it(client: Client) -> None:
    failed = failures(client)
    client.connect_async(HOST, closed_port())
    client.loop_start()
    wait_until(lambda: len(failed) >= 3)
    assert set(failed) == {"mqtt-dispatch"}


def test_automatic_attempts_that_fail_call_it(client: Client, scripted: ScriptedBroker) -> None:
    failed = failures(client)
    client.connect(HOST, scripted.port)
    client.loop_start()
    wait_until(client.is_connected)
    assert failed == []
    scripted.stop_listening()
    lose(scripted, client)
    wait_until(lambda: len(failed) >= 2)


def test_it_is_called_for_each_of_several_brokers(scripted: ScriptedBroker) -> None:
    urls = [f"mqtt://{HOST}:{port}" for port in (closed_port(), closed_port(), scripted.port)]
    mqtt = Mqtt(connect_async=True)
    failed = failures(mqtt.client)
    mqtt.init_app(app_for(urls))
    with mqtt:
        wait_until(lambda: mqtt.connected)
    assert len(failed) == 2


def test_a_refusal_is_on_connects_and_not_a_failure_to_connect(
    client: Client, scripted: ScriptedBroker
) -> None:
    scripted.connack = [5, 0]
    failed, codes = failures(client), list[int]()
    client.on_connect = lambda _client, _userdata, _flags, rc: codes.append(rc)
    client.connect_async(HOST, scripted.port)
    client.loop_start()
    wait_until(lambda: len(codes) == 2)
    assert codes == [5, 0]
    assert failed == []


# -- reconnect_on_failure -------------------------------------------------------------------------


@contextlib.contextmanager
def ending(client: Client) -> Iterator[list[int]]:
    """Give the codes of on_disconnect, and wait for the end of the connection's thread."""
    codes: list[int] = []
    client.on_disconnect = lambda _client, _userdata, rc: codes.append(rc)
    client.configure(reconnect_on_failure=False)
    yield codes
    wait_until(lambda: not client._parts.holder.core.is_running())


def last_warning(caplog: pytest.LogCaptureFixture) -> str:
    wait_until(lambda: "reconnect_on_failure is off, so there is no other attempt" in caplog.text)
    return caplog.messages[-1]


def test_a_lost_connection_is_not_made_again(
    client: Client, scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with ending(client) as codes:
        client.connect(HOST, scripted.port)
        client.loop_start()
        lose(scripted, client)
    wait_until(lambda: codes)
    assert codes == [MQTT_ERR_CONN_LOST]
    assert last_warning(caplog).startswith("connection closed by the broker; ")
    assert scripted.connections == 1
    client.reconnect()
    scripted.wait_for("CONNECT", 2)


def test_a_refused_connection_is_not_tried_again(
    client: Client, scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.connack = 5
    with ending(client) as codes:
        client.connect(HOST, scripted.port)
        client.loop_start()
    wait_until(lambda: codes)
    assert codes == [MQTT_ERR_CONN_REFUSED]
    assert "not authorized (code 5)" in last_warning(caplog)


def test_an_attempt_of_connect_async_that_fails_is_the_only_one(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    failed = failures(client)
    with ending(client) as codes:
        client.connect_async(HOST, closed_port())
        client.loop_start()
    wait_until(lambda: failed)
    assert "Connection refused" in last_warning(caplog)
    assert (len(failed), codes) == (1, [])


def test_the_key_says_so_for_an_application(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with Mqtt(make_app(scripted.port, reconnect_on_failure="off")) as mqtt:
        lose(scripted, mqtt.client)
        wait_until(lambda: not mqtt.client._parts.holder.core.is_running())
        wait_until(lambda: "MQTT_RECONNECT_ON_FAILURE is off" in caplog.text)
        assert not mqtt.connected


# -- delays ---------------------------------------------------------------------------------------


def test_the_delays_are_those_that_were_set(scripted: ScriptedBroker) -> None:
    scripted.connack = 3
    app = make_app(scripted.port, reconnect_delay_min=0.2, reconnect_delay_max=0.4)
    with Mqtt(app):
        scripted.wait_for("CONNECT", 5)
    times = [packet.at for packet in scripted.of("CONNECT")]
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert 0.15 <= gaps[0] < gaps[1]
    # The rest is the machine's.
    assert all(0.3 <= gap < 1 for gap in gaps[1:4])


@pytest.mark.parametrize(
    ("delays", "error", "text"),
    [
        ((5, 1), ValueError, "reconnect_delay_min = 5 and reconnect_delay_max = 1: the longest"),
        ((0, 1), ValueError, "reconnect_delay_min = 0: it must be a number of seconds above 0"),
        ((1, -1), ValueError, "reconnect_delay_max = -1: it must be a number of seconds above 0"),
        ((None, 1), TypeError, "reconnect_delay_min = None is of type NoneType"),
    ],
)
def test_delays_that_make_no_sense_are_refused_and_those_before_stay(
    delays: tuple[Any, Any], error: type[Exception], text: str
) -> None:
    client = Client()
    with pytest.raises(error, match=text):
        client.reconnect_delay_set(*delays)
    settings = client._parts.settings.config
    assert (settings.reconnect_delay_min, settings.reconnect_delay_max) == (1, 120)
