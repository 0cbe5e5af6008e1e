"""An attempt that the application makes itself and that fails: what goes on, and what is told."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, Mqtt
from support.apps import make_app
from support.ports import closed_port
from support.running import closing, connected
from support.script import running
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.mosquitto import Mosquitto

HOST = "127.0.0.1"

#: Seconds between automatic attempts, as the extension is told and as a client is.
DELAYS: dict[str, Any] = {"reconnect_delay_min": 0.1, "reconnect_delay_max": 0.1}


@contextlib.contextmanager
def connected_client(port: int) -> Iterator[Client]:
    with closing(Client()) as client:
        client.reconnect_delay_set(0.1, 0.1)
        client.connect(HOST, port)
        client.loop_start()
        wait_until(client.is_connected)
        yield client


# -- it does not end the automatic ones -----------------------------------------------------------

EXPLICIT: dict[str, Callable[[Mqtt, int], Any]] = {
    "reconnect": lambda mqtt, _: mqtt.client.reconnect(),
    "connect": lambda mqtt, port: mqtt.client.connect(HOST, port),
    "_connect": lambda mqtt, _: mqtt._connect(),
    "init_app": lambda mqtt, port: mqtt.init_app(make_app(port, **DELAYS)),
}


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "connected"])
@pytest.mark.parametrize("call", EXPLICIT.values(), ids=EXPLICIT)
def test_automatic_attempts_go_on(
    scripted: ScriptedBroker, call: Callable[[Mqtt, int], Any], is_lost: bool
) -> None:
    with connected(make_app(scripted.port, **DELAYS)) as mqtt:
        scripted.stop_listening()
        if is_lost:
            scripted.drop()
            wait_until(lambda: not mqtt.connected)
        with pytest.raises(ConnectionRefusedError):
            call(mqtt, scripted.port)
        assert not mqtt.connected
        scripted.listen()
        scripted.wait_for("CONNECT", 2)
        wait_until(lambda: mqtt.connected)
        scripted.publish("t")


@pytest.mark.slow
def test_fifty_rounds_make_a_connection_each(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port, **DELAYS)) as mqtt:
        for number in range(50):
            scripted.stop_listening()
            scripted.drop()
            wait_until(lambda: not mqtt.connected)
            for _ in range(3):
                with pytest.raises(ConnectionRefusedError):
                    mqtt.client.reconnect()
            scripted.listen()
            scripted.wait_for("CONNECT", number + 2)
            wait_until(lambda: mqtt.connected)
        assert scripted.connections == 51


def test_one_in_on_disconnect_does_not_end_them_either(scripted: ScriptedBroker) -> None:
    failed: list[Exception] = []
    with connected(make_app(scripted.port, **DELAYS)) as mqtt:

        @mqtt.on_disconnect()
        def handler(client: Client, _userdata: Any, _rc: int) -> None:
            try:
                client.reconnect()
            except OSError as error:
                failed.append(error)

        scripted.stop_listening()
        scripted.drop()
        wait_until(lambda: failed)
        scripted.listen()
        scripted.wait_for("CONNECT", 2)
        wait_until(lambda: mqtt.connected)
        mqtt.on_disconnect()(lambda: None)


def test_they_are_made_with_the_new_arguments(scripted: ScriptedBroker) -> None:
    other = closed_port()
    with connected_client(scripted.port) as client:
        with pytest.raises(ConnectionRefusedError):
            client.connect(HOST, other)
        with ScriptedBroker(port=other) as broker:
            broker.wait_for("CONNECT")
        assert scripted.connections == 1


def test_none_follow_where_none_are_wanted(scripted: ScriptedBroker) -> None:
    with connected_client(scripted.port) as client:
        client.configure(reconnect_on_failure=False)
        with pytest.raises(ConnectionRefusedError):
            client.connect(HOST, closed_port())
        wait_until(lambda: not client._parts.holder.core.is_running())


def test_disconnect_ends_them(scripted: ScriptedBroker) -> None:
    with connected_client(scripted.port) as client:
        scripted.stop_listening()
        with pytest.raises(ConnectionRefusedError):
            client.reconnect()
        client.disconnect()
        wait_until(lambda: not client._parts.holder.core.is_running())


# -- where there was no connection ----------------------------------------------------------------


def test_the_first_attempt_of_an_application_is_the_only_one() -> None:
    mqtt = Mqtt()
    with pytest.raises(ConnectionRefusedError):
        mqtt.init_app(make_app(closed_port(), **DELAYS))
    wait_until(lambda: not mqtt.client._parts.holder.core.is_running())
    assert not mqtt.client._parts.dispatcher.running
    assert not mqtt.connected


@pytest.mark.parametrize("is_first", [True, False], ids=["loop first", "connect first"])
def test_a_loop_goes_on_after_a_connect_that_raised(is_first: bool) -> None:
    port = closed_port()
    with closing(Client()) as client:
        client.reconnect_delay_set(0.1, 0.1)
        if is_first:
            client.loop_start()
        with pytest.raises(ConnectionRefusedError):
            client.connect(HOST, port)
        if not is_first:
            client.loop_start()
        with ScriptedBroker(port=port) as broker:
            broker.wait_for("CONNECT")
            wait_until(client.is_connected)


def test_loop_forever_goes_on_after_a_connect_that_raised() -> None:
    port = closed_port()
    client = Client()
    client.reconnect_delay_set(0.1, 0.1)
    client.on_connect = lambda client, *_: client.disconnect()
    with pytest.raises(ConnectionRefusedError):
        client.connect(HOST, port)
    with ScriptedBroker(port=port) as broker:
        client.loop_forever()
        broker.wait_for("DISCONNECT")


def has(items: list[int], count: int) -> bool:
    return len(items) == count


# -- what is told ---------------------------------------------------------------------------------


def test_a_connection_that_is_replaced_counts_until_the_next_is_accepted() -> None:
    seen: list[bool] = []
    with ScriptedBroker(connack=[0, None]) as broker, connected(make_app(broker.port)) as mqtt:
        mqtt.on_disconnect()(lambda: seen.append(True))
        mqtt.client.reconnect()
        broker.wait_for("CONNECT", 2)
        wait_until(lambda: not mqtt.connected)
        assert seen == []


def test_close_of_the_client_counts(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.client.close()
        assert not mqtt.connected


def test_on_disconnect_hears_of_a_disconnect_that_a_connect_follows_at_once(
    scripted: ScriptedBroker,
) -> None:
    codes: list[int] = []
    accepted: list[int] = []
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_connect()(lambda *_: accepted.append(1))
        mqtt.on_disconnect()(lambda _client, _userdata, rc: codes.append(rc))
        for number in range(20):
            mqtt.client.disconnect()
            mqtt.client.reconnect()
            wait_until(partial(has, accepted, number + 2))
        wait_until(lambda: len(codes) == 20)
    assert codes == [0] * 21


# -- nothing left to begin with -------------------------------------------------------------------

#: What takes something away that an attempt needs, and what gives it back.
SHORTAGES = {
    "descriptors": (
        (
            "import resource; limits = resource.getrlimit(resource.RLIMIT_NOFILE); "
            "resource.setrlimit(resource.RLIMIT_NOFILE, (LEAST, limits[1]))"
        ),
        "resource.setrlimit(resource.RLIMIT_NOFILE, limits)",
    ),
    "threads": (
        (
            "import resource; limits = resource.getrlimit(resource.RLIMIT_AS); "
            "size = int(open('/proc/self/statm').read().split()[0]) * 4096; "
            "resource.setrlimit(resource.RLIMIT_AS, (size + 1_000_000, limits[1]))"
        ),
        "resource.setrlimit(resource.RLIMIT_AS, limits)",
    ),
}

STATES = """
        def threads():
            tasks = ("/proc/self/task/" + task + "/comm" for task in os.listdir("/proc/self/task"))
            return sum("mqtt-connection" in open(task).read() for task in tasks)

        def free():
            # The first number that the next descriptor would have.
            probe = os.dup(0)
            os.close(probe)
            return probe
"""


@pytest.mark.slow
@pytest.mark.parametrize("spare", [0, 1, 2])
@pytest.mark.parametrize("call", ["mqtt.client.reconnect()", "mqtt._connect()"])
def test_without_descriptors_the_connection_that_there_is_stays(
    broker: Mosquitto, call: str, spare: int
) -> None:
    take, give = SHORTAGES["descriptors"]
    take = take.replace("LEAST", "free() + spare")
    code = f"""
        {STATES}
        spare = {spare}
        app.config["MQTT_RECONNECT_DELAY_MIN"] = 0.1
        mqtt = Mqtt(app)
        until(lambda: mqtt.connected)
        {take}
        try:
            {call}
            failed = False
        except OSError:
            failed = True
        kept = mqtt.client.is_connected()
        same = mqtt.connected == kept
        {give}
        until(lambda: mqtt.connected and threads() == 1)
        mqtt.publish("short/t", b"x", 1).wait_for_publish(20)
        say(failed, same, kept)
        mqtt.close()
        until(lambda: threads() == 0)
        say(mqtt.connected)
    """
    with running(code, broker.port) as script:
        script.expect("True True True")
        script.expect("False")
        assert script.finish() == 0, script.errors


@pytest.mark.slow
def test_without_threads_the_connection_that_there_is_stays(broker: Mosquitto) -> None:
    take, give = SHORTAGES["threads"]
    code = f"""
        {STATES}
        mqtt = Mqtt(app)
        until(lambda: mqtt.connected)
        {take}
        try:
            mqtt.client.reconnect()
        except OSError as error:
            say("failed")
        kept = mqtt.connected and mqtt.client.is_connected()
        {give}
        say(kept, threads())
        mqtt.client.reconnect()
        until(lambda: mqtt.connected and threads() == 1)
        mqtt.publish("short/t", b"x", 1).wait_for_publish(20)
        mqtt.close()
        say(mqtt.connected)
    """
    with running(code, broker.port) as script:
        script.expect("failed")
        script.expect("True 1")
        script.expect("False")
        assert script.finish() == 0, script.errors


@pytest.mark.slow
def test_a_loop_that_cannot_start_says_so_and_starts_later(broker: Mosquitto) -> None:
    take, give = SHORTAGES["threads"]
    code = f"""
        {STATES}
        client = flask_mqtt.Client()
        seen = []
        client.on_connect = lambda *_: seen.append(True)
        client.connect("127.0.0.1", int(sys.argv[1]))
        {take}
        try:
            client.loop_start()
        except (OSError, RuntimeError):
            say("failed")
        {give}
        say(int(client.loop_start()))
        until(lambda: seen)
        client.disconnect()
        client.loop_stop()
    """
    with running(code, broker.port) as script:
        script.expect("failed")
        script.expect("0")
        assert script.finish() == 0, script.errors
