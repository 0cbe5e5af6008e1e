"""Websockets, proxies, addresses and properties, and the options that all keys together make."""

from __future__ import annotations

import ipaddress
import logging
from typing import Any

import pytest

from flask_mqtt import MQTTv5, MQTTv311
from flask_mqtt._core import Properties
from flask_mqtt.config import Config, read
from flask_mqtt.config.options import ConnectOptions, Endpoint, TlsOptions, Will

pytestmark = pytest.mark.smoke


def config(**keys: Any) -> Config:
    return read({f"MQTT_{key.upper()}": value for key, value in keys.items()}, "MQTT")


def options(**keys: Any) -> ConnectOptions:
    return config(**keys).connect_options()


def refusal(error: type[Exception], **keys: Any) -> str:
    with pytest.raises(error) as caught:
        options(**keys)
    assert caught.type is error
    message = str(caught.value)
    assert "hunter2" not in message
    return message


def warnings_of(caplog: pytest.LogCaptureFixture, **keys: Any) -> list[str]:
    config(**keys)
    return [item.getMessage() for item in caplog.records if item.levelno == logging.WARNING]


def test_an_empty_configuration_makes_the_options_of_the_documents() -> None:
    assert options() == ConnectOptions(
        brokers=[Endpoint("tcp", False, "localhost", 1883, "/mqtt", None, None)],
        protocol_version=MQTTv311,
        client_id="",
        clean_session=True,
        clean_start_once=0,
        keepalive=60,
        connection_timeout=5,
        handshake_timeout=30,
        reconnect_delay_min=1,
        reconnect_delay_max=120,
        reconnect_on_failure=True,
        will=None,
        connect_properties=None,
        tls=TlsOptions(),
        websocket_headers=[],
        proxy=None,
        bind_address=None,
        tcp_nodelay=True,
        gather_time=0.0007,
        key_prefix="MQTT",
        max_packet_size=268_435_455,
        max_inflight=20,
        max_queued=0,
        max_outgoing_bytes=16_777_216,
        max_incoming_messages=20_000,
        max_incoming_bytes=16_777_216,
        incoming_overflow="block",
        persistence=None,
        persistence_fsync="normal",
    )


def test_every_key_gets_into_the_options() -> None:
    made = options(
        protocol_version=5,
        client_id="me",
        clean_session=False,
        keepalive=7,
        connection_timeout=2.5,
        handshake_timeout=3.5,
        last_will_topic="gone",
        last_will_message=5,
        last_will_qos=2,
        last_will_retain=True,
        last_will_properties={"WillDelayInterval": 3},
        connect_properties={"ReceiveMaximum": 4},
        proxy="http://proxy:3128",
        bind_address="127.0.0.1",
        tcp_nodelay=False,
        gather_time=0.002,
        max_packet_size=1000,
        reconnect_delay_min=0.5,
        reconnect_delay_max=30,
        reconnect_on_failure=False,
        max_inflight=7,
        max_queued=8,
        max_outgoing_bytes=9,
        max_incoming_messages=10,
        max_incoming_bytes=11,
        incoming_overflow="drop-oldest",
        persistence="messages.db",
        persistence_fsync="always",
    )
    assert made.will == Will("gone", b"5", 2, True, {"WillDelayInterval": 3})  # type: ignore[arg-type]
    assert made.connect_properties == {"ReceiveMaximum": 4}
    assert made.protocol_version == MQTTv5
    assert (made.client_id, made.clean_session, made.keepalive) == ("me", False, 7)
    assert (made.connection_timeout, made.handshake_timeout) == (2.5, 3.5)
    assert made.max_packet_size == 1000
    assert (made.proxy, made.bind_address) == ("http://proxy:3128", "127.0.0.1")
    assert (made.tcp_nodelay, made.gather_time) == (False, 0.002)
    assert (made.reconnect_delay_min, made.reconnect_delay_max) == (0.5, 30)
    assert made.reconnect_on_failure is False
    assert (made.max_inflight, made.max_queued, made.max_outgoing_bytes) == (7, 8, 9)
    assert (made.max_incoming_messages, made.max_incoming_bytes) == (10, 11)
    assert made.incoming_overflow == "drop-oldest"
    assert (made.persistence, made.persistence_fsync) == ("messages.db", "always")


def test_the_prefix_of_the_keys_is_kept_for_messages() -> None:
    assert read({}, "MQTT2").connect_options().key_prefix == "MQTT2"


# -- websockets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/mqtt", "/a/b?c=d&e=%20"])
def test_the_path_of_a_websocket_may_have_a_query(path: str) -> None:
    assert options(transport="websockets", ws_path=path).brokers[0].path == path


@pytest.mark.parametrize("path", ["mqtt", "/a b", "/a#b", "/é", "/a\n", "ws://broker/"])
def test_what_is_no_path_is_refused(path: str) -> None:
    assert "MQTT_WS_PATH = " in refusal(ValueError, ws_path=path)


def test_a_bad_path_is_shown_without_its_query() -> None:
    assert "'/a b'" in refusal(ValueError, ws_path="/a b?signature=hunter2")


def test_headers_are_a_dict() -> None:
    headers = {"Authorization": "Bearer hunter2", "X-Empty": "", "Origin": "https://me"}
    assert options(transport="websockets", ws_headers=headers).websocket_headers == list(
        headers.items()
    )


def test_a_callable_gets_the_usual_headers_and_says_what_to_send() -> None:
    got: list[dict[str, str]] = []

    def headers(usual: dict[str, str]) -> dict[str, str]:
        got.append(dict(usual))
        return usual | {"Origin": "https://me", "X-Token": "hunter2"}

    made = options(broker_url="wss://broker:8443", ws_headers=headers)
    assert made.websocket_headers == [("Origin", "https://me"), ("X-Token", "hunter2")]
    assert got == [
        {
            "Host": "broker:8443",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Origin": "https://broker:8443",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Protocol": "mqtt",
        }
    ]


@pytest.mark.parametrize(
    ("url", "host"),
    [("ws://broker", "broker"), ("wss://[::1]", "[::1]"), ("ws://[::1]:443", "[::1]:443")],
)
def test_the_usual_host_has_a_port_where_it_is_not_the_usual_one(url: str, host: str) -> None:
    got: list[str] = []

    def headers(usual: dict[str, str]) -> dict[str, str]:
        got.append(usual["Host"])
        return usual

    assert options(broker_url=url, ws_headers=headers).websocket_headers == []
    assert got == [host]


def test_a_callable_is_not_called_while_keys_are_read_or_without_a_websocket() -> None:
    def headers(usual: dict[str, str]) -> dict[str, str]:
        raise AssertionError

    config(transport="websockets", ws_headers=headers)
    options(ws_headers=headers)


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        (["hunter2"], TypeError),
        ({"X": b"hunter2"}, TypeError),
        ({"X": "hunter2\r\nY: z"}, ValueError),
        ({"X": "hunter2\0"}, ValueError),
        ({"X": "hunter2 é"}, ValueError),
        ({"X Y": "hunter2"}, ValueError),
        ({"": "hunter2"}, ValueError),
        ({5: "hunter2"}, ValueError),
        ({"connection": "hunter2"}, ValueError),
        ({"Sec-WebSocket-Key": "hunter2"}, ValueError),
    ],
)
def test_bad_headers_are_refused_also_from_a_callable(headers: Any, error: type[Exception]) -> None:
    for given in (headers, lambda _: headers):
        message = refusal(error, transport="websockets", ws_headers=given)
        assert message.startswith("MQTT_WS_HEADERS ")


def test_keys_for_websockets_that_nothing_asks_for_are_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys = {"ws_path": "/x", "ws_headers": {"X": "hunter2"}}
    assert warnings_of(caplog, **keys) == [
        "MQTT_WS_PATH has no effect without MQTT_TRANSPORT = 'websockets'",
        "MQTT_WS_HEADERS has no effect without MQTT_TRANSPORT = 'websockets'",
    ]
    caplog.clear()
    assert warnings_of(caplog, broker_url="ws://broker", **keys) == []


# -- the network ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "proxy", ["http://proxy", "socks5://me:hunter2@proxy:1080", " socks5h://[::1]:1 ", None]
)
def test_a_proxy_is_a_url(proxy: str | None) -> None:
    made = options(proxy=proxy)
    assert made.proxy == (proxy and proxy.strip())
    assert "hunter2" not in repr(made)


@pytest.mark.parametrize(
    ("proxy", "error"),
    [
        ("proxy:1080", ValueError),
        ("https://me:hunter2@proxy", ValueError),
        ("http://me:hunter2@proxy/path", ValueError),
        (b"http://me:hunter2@proxy", TypeError),
        (["http://me:hunter2@proxy"], TypeError),
        (5, TypeError),
    ],
)
def test_what_is_no_proxy_is_refused(proxy: object, error: type[Exception]) -> None:
    assert "MQTT_PROXY" in refusal(error, proxy=proxy)


@pytest.mark.parametrize("name", ["proxy", "bind_address"])
def test_a_unix_socket_has_neither_proxy_nor_address(name: str) -> None:
    value = {"proxy": "http://me:hunter2@proxy", "bind_address": "127.0.0.1"}[name]
    for keys in (
        {"broker_url": "unix:///run/x"},
        {"broker_url": ["mqtt://broker", "unix:///run/x"]},
        {"broker_url": "/run/x", "transport": "unix"},
    ):
        message = refusal(ValueError, **{name: value}, **keys)
        assert f"MQTT_{name.upper()}" in message
        assert "MQTT_BROKER_URL" in message


@pytest.mark.parametrize(
    "address", ["127.0.0.1", " ::1 ", ipaddress.ip_address("192.0.2.1"), "2001:0db8::0001"]
)
def test_a_local_address_is_ipv4_or_ipv6(address: Any) -> None:
    expected = str(ipaddress.ip_address(str(address).strip()))
    assert options(bind_address=address).bind_address == expected


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1:80", "[::1]", "fe80::1%eth0", "1"])
def test_what_is_no_local_address_is_refused(address: str) -> None:
    assert f"MQTT_BIND_ADDRESS = {address!r}" in refusal(ValueError, bind_address=address)


@pytest.mark.parametrize("address", [5, b"::1", ("127.0.0.1", 0)])
def test_a_local_address_of_another_type_is_refused(address: object) -> None:
    assert "MQTT_BIND_ADDRESS = " in refusal(TypeError, bind_address=address)


# -- properties -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["connect_properties", "last_will_properties"])
def test_properties_are_a_dict_or_an_object(key: str) -> None:
    given: dict[str, Any] = {"UserProperty": [("a", "b")]}
    for value in (given, Properties(**given), None):
        assert getattr(config(protocol_version=5, **{key: value}), key) == value


@pytest.mark.parametrize("key", ["connect_properties", "last_will_properties"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([("ReceiveMaximum", 1)], TypeError),
        ("hunter2", TypeError),
        ({5: "hunter2"}, TypeError),
        ({"UserProperty": "hunter2"}, TypeError),
        ({"NoSuch": "hunter2"}, ValueError),
        ({"TopicAlias": 1}, ValueError),
    ],
)
def test_bad_properties_are_refused(key: str, value: object, error: type[Exception]) -> None:
    message = refusal(error, protocol_version=5, **{key: value})
    assert message.startswith(f"MQTT_{key.upper()}")


@pytest.mark.parametrize("key", ["connect_properties", "last_will_properties"])
@pytest.mark.parametrize("version", [3, 4])
def test_properties_need_mqtt_5(key: str, version: int) -> None:
    value = {"UserProperty": [("a", "hunter2")]}
    message = refusal(ValueError, protocol_version=version, **{key: value})
    assert f"MQTT_{key.upper()}" in message
    assert f"MQTT_PROTOCOL_VERSION = {version}" in message


def test_an_authentication_that_would_go_on_after_the_connect_is_refused() -> None:
    given: dict[str, Any] = {"AuthenticationMethod": "SCRAM", "AuthenticationData": b"hunter2"}
    for value in (given, Properties(**given)):
        message = refusal(ValueError, protocol_version=5, connect_properties=value)
        assert "AuthenticationMethod is not supported" in message


def test_properties_of_a_will_without_its_topic_are_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = warnings_of(caplog, protocol_version=5, last_will_properties={"ContentType": "hunter2"})
    assert said == ["MQTT_LAST_WILL_PROPERTIES has no effect without MQTT_LAST_WILL_TOPIC"]


# -- attributes that were assigned since ----------------------------------------------------------


def test_assigned_attributes_are_checked_as_the_keys_are() -> None:
    changed = config(username="me").updated({"broker_port": "1884", "other": 1})
    assert (changed.broker_port, changed.username) == (1884, "me")
    with pytest.raises(TypeError, match="MQTT_BROKER_PORT = None"):
        changed.updated({"broker_port": None})


def test_values_may_be_checked_again_and_stay_the_same() -> None:
    first = config(
        broker_url=("mqtts://one", "wss://two"),
        tls_ca_certs="-----BEGIN CERTIFICATE-----",
        tls_cert_reqs=True,
        tls_alpn="a,b",
        tls_version="5",
    )
    assert first.updated(vars(first)) == first


def test_an_assigned_attribute_wins_over_a_url_as_its_key_does() -> None:
    changed = config(broker_url="mqtts://broker").updated({"broker_port": 1884})
    assert changed.connect_options().brokers[0].port == 1884


def test_values_without_a_prefix_are_named_as_arguments() -> None:
    with pytest.raises(ValueError, match=r"^tls_keyfile is set and tls_certfile is not"):
        Config(tls_enabled=True, tls_keyfile="key").connect_options()
    with pytest.raises(TypeError, match=r"^password = <hidden> is of type float"):
        Config().updated({"password": 1.5})
