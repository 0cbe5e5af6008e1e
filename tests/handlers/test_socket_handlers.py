"""`on_socket_open` and `on_socket_close`: the socket of a connection, to set its options."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, Mqtt
from support.apps import app_for, make_app
from support.proxy import HttpProxy
from support.running import closing, connected, echoes
from support.wait import wait_until

if TYPE_CHECKING:
    from support.certificates import Certificates
    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Log:
    """Handlers that write down what they are called with."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.events: list[str] = []
        self.sockets: list[socket.socket] = []
        self.threads: list[str] = []
        client.on_socket_open = self.opened
        client.on_socket_close = self.closed
        client.on_connect = lambda *_: self.events.append("connect")
        client.on_disconnect = lambda *_: self.events.append("disconnect")

    def opened(self, client: Client, userdata: Any, sock: socket.socket) -> None:
        assert client is self.client
        assert userdata is None
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.events.append("open")
        self.sockets.append(sock)
        self.threads.append(threading.current_thread().name)

    def closed(self, client: Client, userdata: Any, sock: socket.socket) -> None:
        assert sock is self.sockets[-1]
        assert sock.fileno() >= 0
        self.events.append("close")


def test_they_are_called_before_connect_returns_and_before_on_disconnect(
    scripted: ScriptedBroker,
) -> None:
    with closing(Client()) as client:
        log = Log(client)
        client.connect("127.0.0.1", scripted.port)
        assert log.events == ["open"]
        sock = log.sockets[0]
        assert sock.getpeername() == ("127.0.0.1", scripted.port)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert not sock.getblocking()
        client.loop_start()
        wait_until(lambda: "connect" in log.events)
        client.disconnect()
        client.loop_stop()
    assert log.events == ["open", "connect", "close", "disconnect"]
    assert log.threads == [threading.current_thread().name]
    assert sock.fileno() == -1


def test_automatic_attempts_call_them_on_the_dispatchers_thread(scripted: ScriptedBroker) -> None:
    mqtt = Mqtt()
    log = Log(mqtt.client)
    mqtt.init_app(make_app(scripted.port, reconnect_delay_min=0.05))
    with mqtt:
        wait_until(lambda: log.events == ["open", "connect"])
        scripted.drop()
        wait_until(lambda: log.events.count("connect") == 2)
    expected = ["open", "connect", "close", "disconnect", "open", "connect", "close"]
    assert log.events[:7] == expected
    assert log.threads == [threading.current_thread().name, "mqtt-dispatch"]
    assert [sock.fileno() for sock in log.sockets] == [-1, -1]


def test_without_waiting_the_dispatcher_calls_them(scripted: ScriptedBroker) -> None:
    with closing(Client()) as client:
        log = Log(client)
        client.connect_async("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(lambda: log.events == ["open", "connect"])
    assert log.threads == ["mqtt-dispatch"]


def test_reconnect_closes_the_socket_before(scripted: ScriptedBroker) -> None:
    with closing(Client()) as client:
        log = Log(client)
        client.connect("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(client.is_connected)
        client.reconnect()
        wait_until(lambda: log.events.count("connect") == 2)
        assert [event for event in log.events if event != "connect"] == ["open", "close", "open"]
        assert log.sockets[0].fileno() == -1
        assert log.sockets[1].fileno() >= 0


WAYS = ["tls", "ws", "wss", "unix"]


@pytest.mark.parametrize("way", WAYS)
def test_the_socket_is_that_below_tls_and_websockets(
    tls_broker: Mosquitto, certificates: Certificates, way: str
) -> None:
    listener = tls_broker.listeners[way]
    scheme = {"tls": "mqtts"}.get(way, way)
    url = f"unix://{listener.path}" if way == "unix" else f"{scheme}://localhost:{listener.port}"
    mqtt = Mqtt()
    log = Log(mqtt.client)
    mqtt.init_app(app_for(url, tls_ca_certs=str(certificates.ca)))
    with mqtt:
        wait_until(lambda: "connect" in log.events)
        assert echoes(mqtt)
        family = socket.AF_UNIX if way == "unix" else socket.AF_INET
        assert log.sockets[0].family == family
        if way != "unix":
            assert log.sockets[0].getpeername()[1] == listener.port
            log.sockets[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            log.sockets[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000)
        assert echoes(mqtt)


def test_through_a_proxy_it_is_the_socket_to_the_proxy(
    broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with HttpProxy(tmp_path_factory.mktemp("proxy")) as proxy:
        mqtt = Mqtt()
        log = Log(mqtt.client)
        mqtt.init_app(make_app(broker.port, proxy=f"http://127.0.0.1:{proxy.port}"))
        with mqtt:
            wait_until(lambda: "connect" in log.events)
            assert log.sockets[0].getpeername()[1] == proxy.port


def test_a_connection_that_is_over_is_over_for_the_broker_though_a_handler_has_the_socket(
    scripted: ScriptedBroker,
) -> None:
    blocked, go_on = threading.Event(), threading.Event()
    mqtt = Mqtt()
    Log(mqtt.client)

    @mqtt.on_message()
    def block(*_: Any) -> None:
        blocked.set()
        go_on.wait(10)

    mqtt.init_app(make_app(scripted.port, keepalive=1))
    with mqtt:
        wait_until(lambda: mqtt.connected)
        scripted.publish("t")
        assert blocked.wait(20)
        # The client gives the broker up; nobody calls `on_socket_close` before the handler returns.
        scripted.send(b"\xff\xff\xff\xff\xff\xff")
        scripted.wait_closed()
        go_on.set()


def test_a_handler_that_makes_the_socket_block_or_fails_does_no_harm(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Client()) as client:

        @client.socket_open_callback()
        def opened(_client: Any, _userdata: Any, sock: socket.socket) -> None:
            sock.setblocking(True)
            raise RuntimeError("broken")

        client.connect("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(client.is_connected)
        assert client.publish("t", "x", 1).wait_for_publish(20) is None
    assert "RuntimeError: broken" in caplog.text


def test_without_a_handler_there_is_no_descriptor_more(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        assert mqtt.client._parts.holder.core.socket() is None
        # Set later, it is for the next connection.
        mqtt.client.on_socket_open = print
        assert mqtt.client._parts.holder.core.socket() is None


def test_no_descriptor_is_left(scripted: ScriptedBroker) -> None:
    with closing(Client()) as client:
        log = Log(client)
        client.connect("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(client.is_connected)
        before = descriptors()
        for _ in range(10):
            client.reconnect()
            wait_until(client.is_connected)
        wait_until(lambda: descriptors() <= before, what="no descriptor is left")
        assert log.events.count("open") == 11


def test_the_other_handlers_of_sockets_stay_errors() -> None:
    client = Client()
    with pytest.raises(NotImplementedError, match="on_socket_open for its options"):
        client.on_socket_register_write = print
    with pytest.raises(TypeError, match=r"on_socket_open .*called with \(client, userdata, sock\)"):
        client.on_socket_open = lambda sock: None  # type: ignore[assignment]
