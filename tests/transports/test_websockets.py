"""Websockets with mosquitto: the path, the headers, what the connection carries, and its end."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt
from support.apps import app_for, make_app
from support.exchange import new_topic, receive, round_trip
from support.mosquitto import Listener
from support.relay import Relay
from support.running import connected
from support.script import running
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.mosquitto import Mosquitto


@pytest.fixture
def relay(tls_broker: Mosquitto) -> Iterator[Relay]:
    """A port in front of mosquitto's websockets."""
    with Relay(tls_broker.listeners["ws"].port) as front:
        yield front


def headers_of(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")[1:-2]
    pairs = (line.split(": ", 1) for line in lines)
    return {name.lower(): value for name, value in pairs}


def path_of(head: bytes) -> str:
    method, path, version = head.decode().split("\r\n")[0].split()
    assert (method, version) == ("GET", "HTTP/1.1")
    return path


@pytest.mark.smoke
def test_messages_go_both_ways_with_every_qos(tls_broker: Mosquitto) -> None:
    port = tls_broker.listeners["ws"].port
    with connected(make_app(port, transport="websockets")) as mqtt:
        round_trip(mqtt)


def test_a_url_says_the_same(tls_broker: Mosquitto) -> None:
    with connected(app_for(f"ws://127.0.0.1:{tls_broker.listeners['ws'].port}/mqtt")) as mqtt:
        round_trip(mqtt)


def test_messages_go_both_ways_inside_tls(tls_broker: Mosquitto, certificates: Any) -> None:
    url = f"wss://127.0.0.1:{tls_broker.listeners['wss'].port}/mqtt"
    with connected(app_for(url, tls_ca_certs=certificates.ca)) as mqtt:
        round_trip(mqtt)


def test_a_message_of_many_reads_arrives_complete(tls_broker: Mosquitto) -> None:
    # mosquitto reads websockets slowly.
    payload = bytes(range(256)) * 180
    topic = new_topic()
    port = tls_broker.listeners["ws"].port
    with connected(make_app(port, transport="websockets")) as mqtt:
        messages = receive(mqtt, topic)
        mqtt.publish(topic, payload, 1)
        assert messages.get(timeout=30).payload == payload


def test_a_client_over_websockets_talks_with_one_over_tcp(tls_broker: Mosquitto) -> None:
    one, other = new_topic(), new_topic()
    with (
        connected(make_app(tls_broker.listeners["ws"].port, transport="websockets")) as web,
        connected(make_app(tls_broker.port)) as tcp,
    ):
        to_web, to_tcp = receive(web, one), receive(tcp, other)
        for qos in (0, 1, 2):
            tcp.publish(one, "from tcp", qos)
            web.publish(other, "from the web", qos)
            assert to_web.get(timeout=20).payload == b"from tcp"
            assert to_tcp.get(timeout=20).payload == b"from the web"


def test_a_ping_keeps_the_connection(tls_broker: Mosquitto) -> None:
    lines: list[str] = []
    mqtt = Mqtt()
    mqtt.on_log()(lambda _client, _userdata, _level, text: lines.append(text))
    mqtt.init_app(make_app(tls_broker.listeners["ws"].port, transport="websockets", keepalive=1))
    with mqtt:
        wait_until(lambda: lines.count("Received PINGRESP") >= 2, what="two PINGRESP")
        assert mqtt.connected


def test_the_disconnect_reaches_the_broker(tls_broker: Mosquitto) -> None:
    port = tls_broker.listeners["ws"].port
    with connected(make_app(port, transport="websockets", client_id="web-disconnect")):
        pass
    wait_until(lambda: "Received DISCONNECT from web-disconnect" in tls_broker.log)


def test_the_connection_is_made_again_after_the_broker_was_restarted(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    broker = broker_factory(listeners={"ws": Listener("websockets")})
    topic = new_topic()
    with connected(make_app(broker.listeners["ws"].port, transport="websockets")) as mqtt:
        messages = receive(mqtt, topic)
        broker.kill()
        wait_until(lambda: not mqtt.connected)
        mqtt.publish(topic, "kept", 1)
        broker.start()
        wait_until(lambda: mqtt.connected, what="connected again")
        assert messages.get(timeout=20).payload == b"kept"
        round_trip(mqtt)


# -- the request ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_path_is_mqtt_unless_a_key_or_the_url_says_another(relay: Relay) -> None:
    url = f"ws://127.0.0.1:{relay.port}"
    asked = [
        (app_for(url), "/mqtt"),
        (app_for(f"{url}/of/the/url?a=b"), "/of/the/url?a=b"),
        (app_for(url, ws_path="/of/the/key?token=%20"), "/of/the/key?token=%20"),
        (app_for(f"{url}/of/the/url", ws_path="/wins"), "/wins"),
        (make_app(relay.port, transport="websockets", ws_path="/"), "/"),
    ]
    for number, (app, path) in enumerate(asked, 1):
        with connected(app) as mqtt:
            assert path_of(relay.wait_for_head(number)) == path
            round_trip(mqtt)


def test_the_request_has_the_usual_headers_and_those_of_a_dict(relay: Relay) -> None:
    given = {"Authorization": "Bearer secret", "origin": "https://me.example", "X-Empty": ""}
    app = make_app(relay.port, transport="websockets", ws_headers=given)
    with connected(app):
        headers = headers_of(relay.wait_for_head())
    assert headers["host"] == f"127.0.0.1:{relay.port}"
    assert headers["upgrade"].lower() == "websocket"
    assert headers["sec-websocket-protocol"] == "mqtt"
    assert headers["authorization"] == "Bearer secret"
    assert headers["origin"] == "https://me.example"
    assert headers["x-empty"] == ""


#: Whose traceback shows what was wrong.
FAILED = "The new settings are invalid; keeping the previous ones"


class Tokens:
    """A callable for the headers, with another token for every call, or an error."""

    def __init__(self) -> None:
        self.calls = 0
        self.usual: dict[str, str] = {}
        self.error: Exception | None = None

    def __call__(self, usual: dict[str, str]) -> dict[str, str]:
        self.calls += 1
        self.usual = dict(usual)
        if self.error:
            raise self.error
        return usual | {"X-Token": f"token-{self.calls}"}


def test_a_callable_gets_the_usual_headers_and_is_called_for_every_connection(
    relay: Relay,
) -> None:
    tokens = Tokens()
    with connected(app_for(f"ws://127.0.0.1:{relay.port}", ws_headers=tokens)) as mqtt:
        host = f"127.0.0.1:{relay.port}"
        assert (tokens.usual["Host"], tokens.usual["Origin"]) == (host, f"http://{host}")
        for connection in (1, 2, 3):
            headers = headers_of(relay.wait_for_head(connection))
            assert headers["x-token"] == f"token-{connection}"
            wait_until(lambda: mqtt.connected)
            relay.drop()
            wait_until(lambda: not mqtt.connected)


def test_a_callable_that_fails_while_connecting_is_the_callers_error(relay: Relay) -> None:
    tokens = Tokens()
    tokens.error = KeyError("no token")
    with pytest.raises(KeyError, match="no token"):
        Mqtt(app_for(f"ws://127.0.0.1:{relay.port}", ws_headers=tokens))
    assert relay.heads == []


@pytest.mark.parametrize("returned", [None, {"X": 5}, {"X": "secret\r\n"}], ids=repr)
def test_a_callable_that_fails_later_is_logged_and_the_last_headers_stay(
    relay: Relay, caplog: pytest.LogCaptureFixture, returned: Any
) -> None:
    results = [{"X-Token": "first"}, returned]
    url = f"ws://127.0.0.1:{relay.port}"
    with connected(app_for(url, ws_headers=lambda _: results[min(len(relay.heads), 1)])) as mqtt:
        relay.drop()
        assert headers_of(relay.wait_for_head(2))["x-token"] == "first"
        wait_until(lambda: mqtt.connected)
        round_trip(mqtt)
    assert FAILED in caplog.messages
    assert "secret" not in caplog.text


def test_an_exception_of_a_callable_is_logged_and_does_not_end_the_client(
    relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = Tokens()
    with connected(app_for(f"ws://127.0.0.1:{relay.port}", ws_headers=tokens)) as mqtt:
        tokens.error = RuntimeError("the server for tokens is down")
        relay.drop()
        assert headers_of(relay.wait_for_head(2))["x-token"] == "token-1"
        wait_until(lambda: mqtt.connected)
        round_trip(mqtt)
        tokens.error = None
        relay.drop()
        assert headers_of(relay.wait_for_head(3))["x-token"] == "token-3"
    [record] = [item for item in caplog.records if item.levelno >= logging.ERROR]
    assert record.getMessage() == FAILED
    assert "the server for tokens is down" in str(record.exc_info)


def test_a_renewed_token_is_sent_after_a_refusal_for_the_old_one(relay: Relay) -> None:
    tokens = Tokens()
    url = f"ws://127.0.0.1:{relay.port}"
    relay.answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    with Mqtt(app_for(url, ws_headers=tokens), connect_async=True) as mqtt:
        assert headers_of(relay.wait_for_head(1))["x-token"] == "token-1"
        relay.answer = b""
        assert headers_of(relay.wait_for_head(2))["x-token"] == "token-2"
        wait_until(lambda: mqtt.connected)


REFUSALS = [
    (b"401 Unauthorized", "look at MQTT_USERNAME and MQTT_WS_HEADERS"),
    (b"404 Not Found", "look at MQTT_WS_PATH"),
    (b"503 Service Unavailable", "the server answered 503"),
]


@pytest.mark.parametrize(("status", "hint"), REFUSALS)
def test_a_server_that_refuses_is_a_connection_error_that_says_where_to_look(
    relay: Relay, caplog: pytest.LogCaptureFixture, status: bytes, hint: str
) -> None:
    relay.answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
    app = app_for(
        f"ws://me:hunter2@127.0.0.1:{relay.port}/x?token=hunter2",
        ws_headers={"Authorization": "hunter2"},
    )
    with pytest.raises(ConnectionError, match=f"127.0.0.1:{relay.port}") as caught:
        Mqtt(app)
    assert hint in str(caught.value)
    assert "hunter2" not in f"{caught.value!r} {caplog.text}"


def test_a_port_of_plain_mqtt_is_no_websocket(tls_broker: Mosquitto) -> None:
    app = make_app(tls_broker.port, transport="websockets")
    with pytest.raises(ConnectionError, match=f"no websocket at 127.0.0.1:{tls_broker.port}"):
        Mqtt(app)


# -- green threads --------------------------------------------------------------------------------

GREEN = """
    app.config["MQTT_TRANSPORT"] = "websockets"
    app.config["MQTT_WS_HEADERS"] = lambda usual: usual | {"X-Green": "yes"}
    mqtt = Mqtt(app)
    received = []
    mqtt.on_topic("green/web")(lambda client, userdata, m: received.append(int(m.payload)))

    @mqtt.on_subscribe()
    def subscribed(*_):
        for number in range(30):
            mqtt.publish("green/web", str(number), number % 3)

    @mqtt.on_connect()
    def connect(client, userdata, flags, rc):
        mqtt.subscribe("green/web", 2)

    until(lambda: len(received) == 30)
    mqtt.close()
    say(sorted(received) == list(range(30)))
"""
PATCHES = {
    "eventlet": "import eventlet; eventlet.monkey_patch()",
    "gevent": "from gevent import monkey; monkey.patch_all()",
}


@pytest.mark.parametrize("library", PATCHES)
def test_messages_go_both_ways_under_green_threads(tls_broker: Mosquitto, library: str) -> None:
    code = f"    {PATCHES[library]}\n{GREEN}"
    with running(code, tls_broker.listeners["ws"].port) as script:
        script.expect("True")
        assert script.finish() == 0


def test_functools_partial_is_a_callable_for_headers_too(relay: Relay) -> None:
    def headers(name: str, usual: dict[str, str]) -> dict[str, str]:
        return usual | {name: "yes"}

    app = app_for(
        f"ws://127.0.0.1:{relay.port}", ws_headers=functools.partial(headers, "X-Partial")
    )
    with connected(app):
        assert headers_of(relay.wait_for_head())["x-partial"] == "yes"
