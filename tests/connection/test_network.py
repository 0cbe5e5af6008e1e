"""Addresses and time: IPv6, names, the local address, TCP_NODELAY, and what each timeout names."""

from __future__ import annotations

import errno
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_CONN_LOST, Client, Mqtt
from support.apps import app_for, make_app
from support.exchange import round_trip
from support.mosquitto import Listener, Mosquitto
from support.ports import free_port, has_ipv6, silent_port, unanswered_port
from support.relay import Relay
from support.running import connected
from support.scripted import ScriptedBroker
from support.server import HOST
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


@pytest.fixture(scope="module")
def v6_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A mosquitto whose listeners v6 and ws are at ::1 only."""
    listeners = {"v6": Listener(host="::1"), "ws": Listener("websockets", host="::1")}
    with Mosquitto(tmp_path_factory.mktemp("mosquitto"), listeners=listeners) as mosquitto:
        yield mosquitto


# -- IPv6 and names -------------------------------------------------------------------------------


@needs_ipv6
@pytest.mark.parametrize("host", ["::1", "[::1]", "0:0:0:0:0:0:0:1"])
def test_an_ipv6_address_is_a_host(v6_broker: Mosquitto, host: str) -> None:
    with connected(app_for(host, broker_port=v6_broker.listeners["v6"].port)) as mqtt:
        round_trip(mqtt)


@needs_ipv6
@pytest.mark.parametrize(("scheme", "name"), [("mqtt", "v6"), ("ws", "ws")])
def test_an_ipv6_address_may_be_in_a_url(v6_broker: Mosquitto, scheme: str, name: str) -> None:
    with connected(app_for(f"{scheme}://[::1]:{v6_broker.listeners[name].port}")) as mqtt:
        round_trip(mqtt)


@needs_ipv6
def test_an_ipv6_address_that_refuses_is_shown_in_brackets() -> None:
    port = free_port("::1")
    with pytest.raises(ConnectionRefusedError, match=rf"cannot connect to \[::1\]:{port}: "):
        Mqtt(app_for(f"mqtt://[::1]:{port}"))


def addresses_of_localhost() -> set[str]:
    found = socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)
    return {str(address[0]) for *_, address in found}


@pytest.mark.parametrize("host", [HOST, "::1"])
def test_a_name_works_at_whichever_of_its_addresses_the_broker_is(
    broker: Mosquitto, v6_broker: Mosquitto, host: str
) -> None:
    if host not in addresses_of_localhost():
        pytest.skip(f"localhost is not {host} on this machine")
    port = broker.port if host == HOST else v6_broker.listeners["v6"].port
    with connected(app_for("localhost", broker_port=port)) as mqtt:
        round_trip(mqtt)


# -- the local address ----------------------------------------------------------------------------


@pytest.fixture
def local_address() -> str:
    """Another address of this machine: Linux has all of 127.0.0.0/8."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.2", 0))
        except OSError:
            pytest.skip("this machine has no 127.0.0.2")
    return "127.0.0.2"


def test_a_connection_comes_from_the_local_address_that_is_asked_for(
    broker: Mosquitto, local_address: str
) -> None:
    with connected(make_app(broker.port, bind_address=local_address)) as mqtt:
        round_trip(mqtt)
        assert f"New connection from {local_address}:" in broker.log


def test_connect_takes_a_local_address_too(broker: Mosquitto, local_address: str) -> None:
    client = Client(client_id="bound-client")
    client.connect(HOST, broker.port, bind_address=local_address)
    client.loop_start()
    wait_until(client.is_connected)
    client.disconnect()
    client.loop_stop()
    wait_until(lambda: f"from {local_address}:" in line_of(broker, "bound-client"))


def line_of(broker: Mosquitto, client_id: str) -> str:
    lines = broker.log.splitlines()
    return next((line for line in lines if f" as {client_id} (" in line), "")


@needs_ipv6
def test_a_local_address_of_the_other_family_names_its_key(broker: Mosquitto) -> None:
    text = rf"MQTT_BIND_ADDRESS: cannot connect from ::1: {HOST} has no IPv6 address"
    with pytest.raises(OSError, match=text):
        Mqtt(make_app(broker.port, bind_address="::1"))
    text = rf"MQTT_BIND_ADDRESS: cannot connect from {HOST}: ::1 has no IPv4 address"
    with pytest.raises(OSError, match=text):
        Mqtt(app_for("::1", bind_address=HOST))


def test_a_local_address_of_another_machine_names_its_key(broker: Mosquitto) -> None:
    # 192.0.2.0/24 is for documentation.
    with pytest.raises(OSError, match=r"^.*MQTT_BIND_ADDRESS: .* 192\.0\.2\.1: ") as caught:
        Mqtt(make_app(broker.port, bind_address="192.0.2.1"))
    assert caught.value.errno == errno.EADDRNOTAVAIL


def socket_to(port: int) -> socket.socket:
    """Return a copy of the socket that this process has connected to a port."""
    for descriptor in Path("/dev/fd").iterdir():
        try:
            found = socket.socket(fileno=os.dup(int(descriptor.name)))
        except OSError:
            continue
        try:
            if found.getpeername()[1] == port:
                return found
        except (OSError, IndexError):
            pass
        found.close()
    msg = f"no socket of this process leads to port {port}"
    raise AssertionError(msg)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="descriptors cannot be listed")
@pytest.mark.parametrize("wanted", [None, True, False])
def test_small_packets_go_out_at_once_unless_they_are_not_to(
    broker: Mosquitto, wanted: bool | None
) -> None:
    config: dict[str, Any] = {} if wanted is None else {"tcp_nodelay": wanted}
    with connected(make_app(broker.port, **config)) as mqtt:
        round_trip(mqtt)
        with socket_to(broker.port) as ours:
            set_to = bool(ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    assert set_to is (wanted is not False)


# -- timeouts -------------------------------------------------------------------------------------

TIMEOUT = 0.4
TIMEOUTS: dict[str, Any] = {"connection_timeout": TIMEOUT, "handshake_timeout": TIMEOUT}
SILENT = [
    ("mqtts://{}", {}, "TLS handshake"),
    ("ws://{}", {}, "websocket handshake"),
    ("wss://{}", {}, "TLS handshake"),
    ("mqtt://127.0.0.1:1", {"proxy": "http://{}"}, "proxy connection"),
    ("mqtt://127.0.0.1:1", {"proxy": "socks5://me:hunter2@{}"}, "proxy connection"),
]


def timed_out(app: Flask) -> str:
    """Fail to connect within the timeout, and not much later; return the error."""
    began = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        Mqtt(app)
    assert caught.type is TimeoutError
    assert TIMEOUT * 0.9 < time.monotonic() - began < TIMEOUT + 2
    return str(caught.value)


@pytest.mark.parametrize("url", ["mqtt://{}", "mqtts://{}", "ws://{}"])
def test_an_address_that_does_not_answer_is_named_as_the_tcp_connection(url: str) -> None:
    with unanswered_port() as port:
        address = f"{HOST}:{port}"
        message = timed_out(app_for(url.format(address), connection_timeout=TIMEOUT))
    text = f"no TCP connection from {address} within {TIMEOUT} s (MQTT_CONNECTION_TIMEOUT). "
    assert message.startswith(text)


@pytest.mark.parametrize(("url", "keys", "step"), SILENT)
def test_the_step_that_is_waited_for_is_named(url: str, keys: dict[str, str], step: str) -> None:
    with silent_port() as port:
        address = f"{HOST}:{port}"
        filled = {name: value.format(address) for name, value in keys.items()}
        app = app_for(url.format(address), **TIMEOUTS, **filled)
        message = timed_out(app)
    text = f"no {step} from {address} within {TIMEOUT} s (MQTT_HANDSHAKE_TIMEOUT). "
    assert message.startswith(text)


def test_a_connack_that_does_not_come_is_logged_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ends: list[int] = []
    with ScriptedBroker(connack=None) as silent:
        mqtt = Mqtt()
        mqtt.on_disconnect()(lambda _client, _userdata, rc: ends.append(rc))
        mqtt.init_app(make_app(silent.port, **TIMEOUTS))
        with mqtt:
            silent.wait_connected(2, 10)
            assert not mqtt.connected
    text = f"no CONNACK from {HOST}:{silent.port} within {TIMEOUT} s (MQTT_HANDSHAKE_TIMEOUT). "
    assert f"{text}Does a broker" in caplog.text
    assert "; next attempt" in caplog.text
    assert ends[0] == MQTT_ERR_CONN_LOST


#: What a proxy says when it is connected.
ANSWER = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("scheme", "step"), [("mqtts", "TLS handshake"), ("ws", "websocket handshake")]
)
def test_all_steps_after_tcp_share_one_timeout(scheme: str, step: str) -> None:
    timeout, taken = 1.2, 0.9
    with Relay(answer=ANSWER, delay=taken) as proxy:
        app = app_for(
            f"{scheme}://broker.example:1",
            proxy=f"http://{HOST}:{proxy.port}",
            connection_timeout=timeout,
            handshake_timeout=timeout,
        )
        began = time.monotonic()
        with pytest.raises(TimeoutError, match=f"no {step} from broker.example:1 within 1.2 s"):
            Mqtt(app)
        assert timeout * 0.9 < time.monotonic() - began < timeout + taken


def test_the_connack_shares_the_timeout_too(caplog: pytest.LogCaptureFixture) -> None:
    timeout, taken = 1.2, 0.9
    with Relay(answer=ANSWER, delay=taken) as proxy:
        keys: dict[str, Any] = {
            "proxy": f"http://{HOST}:{proxy.port}",
            "connection_timeout": timeout,
            "handshake_timeout": timeout,
        }
        began = time.monotonic()
        with Mqtt(app_for("mqtt://broker.example:1", **keys)):
            wait_until(lambda: "no CONNACK from broker.example:1 within 1.2 s" in caplog.text)
            assert timeout * 0.9 < time.monotonic() - began < timeout + taken


def test_a_list_of_silent_brokers_takes_a_timeout_for_each(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with silent_port() as one, silent_port() as two:
        urls = [f"mqtts://{HOST}:{one}", f"ws://{HOST}:{two}"]
        began = time.monotonic()
        with pytest.raises(TimeoutError, match="no broker could be reached: ") as caught:
            Mqtt(app_for(urls, **TIMEOUTS))
        assert 2 * TIMEOUT * 0.9 < time.monotonic() - began < 2 * TIMEOUT + 2
    assert f"no TLS handshake from {HOST}:{one}" in str(caught.value)
    assert f"no websocket handshake from {HOST}:{two}" in str(caught.value)


#: Longer than `MQTT_CONNECTION_TIMEOUT` is by default.
SLOW = 7.0


@pytest.mark.slow
def test_a_broker_that_answers_the_connect_after_seven_seconds_is_reached() -> None:
    def answer_late(broker: ScriptedBroker, packet: Any) -> bool:
        if packet.kind == "CONNECT":
            time.sleep(SLOW)  # slow on purpose
        return False

    with ScriptedBroker(hook=answer_late) as broker, Mqtt(make_app(broker.port)) as mqtt:
        wait_until(lambda: mqtt.connected, SLOW + 5)
        assert broker.connections == 1


def test_a_short_connection_timeout_is_not_for_what_comes_after_tcp() -> None:
    with Relay(answer=ANSWER, delay=1.0) as proxy:
        app = app_for(
            "ws://broker.example:1",
            proxy=f"http://{HOST}:{proxy.port}",
            connection_timeout=0.3,
            handshake_timeout=2,
        )
        text = r"no websocket handshake from broker.example:1 within 2 s \(MQTT_HANDSHAKE_TIMEOUT\)"
        with pytest.raises(TimeoutError, match=text):
            Mqtt(app)


def test_a_longer_connection_timeout_is_for_what_comes_after_tcp_too() -> None:
    with silent_port() as port:
        app = app_for(f"mqtts://{HOST}:{port}", connection_timeout=0.6, handshake_timeout=0.1)
        text = rf"no TLS handshake from {HOST}:{port} within 0.6 s \(MQTT_CONNECTION_TIMEOUT\)"
        with pytest.raises(TimeoutError, match=text):
            Mqtt(app)
