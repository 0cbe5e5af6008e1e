"""Where the brokers are: hosts, sockets, URLs, lists of them, and the keys that win over a URL."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client
from flask_mqtt.config import read

if TYPE_CHECKING:
    from flask_mqtt.config.options import Endpoint

pytestmark = pytest.mark.smoke


def endpoints(**keys: Any) -> list[Endpoint]:
    config = read({f"MQTT_{key.upper()}": value for key, value in keys.items()}, "MQTT")
    return config.connect_options().brokers


def endpoint(**keys: Any) -> Endpoint:
    [one] = endpoints(**keys)
    return one


def parts(**keys: Any) -> tuple[str, bool, str, int]:
    one = endpoint(**keys)
    return one.transport, one.tls, one.host, one.port


def refusal(**keys: Any) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the callers look at the message
        endpoints(**keys)
    assert caught.type is ValueError
    return str(caught.value)


def remarks(caplog: pytest.LogCaptureFixture, **keys: Any) -> list[str]:
    with caplog.at_level(logging.INFO, "flask_mqtt"):
        endpoints(**keys)
    return [record.getMessage() for record in caplog.records]


def test_without_any_key_it_is_this_machine() -> None:
    assert parts() == ("tcp", False, "localhost", 1883)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("broker", "broker"),
        (" broker.example.com\n", "broker.example.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_a_host_is_a_name_or_an_address(text: str, host: str) -> None:
    assert endpoint(broker_url=text).host == host


@pytest.mark.parametrize(("transport", "tls"), [("tcp", True), ("websockets", False)])
def test_a_host_keeps_its_port_whatever_it_is_reached_by(transport: str, tls: bool) -> None:
    assert parts(transport=transport, tls_enabled=tls) == (transport, tls, "localhost", 1883)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://broker", ("tcp", False, "broker", 1883)),
        ("mqtts://broker", ("tcp", True, "broker", 8883)),
        ("ws://broker", ("websockets", False, "broker", 80)),
        ("wss://broker", ("websockets", True, "broker", 443)),
        ("WSS://broker:8443/x", ("websockets", True, "broker", 8443)),
        ("mqtt://[::1]:1884", ("tcp", False, "::1", 1884)),
        ("unix:///run/broker.sock", ("unix", False, "/run/broker.sock", 0)),
    ],
)
def test_a_url_says_transport_tls_host_and_port(
    url: str, expected: tuple[str, bool, str, int]
) -> None:
    assert parts(broker_url=url) == expected


def test_a_url_may_have_a_user_a_password_and_a_path() -> None:
    one = endpoint(broker_url="wss://me:pass%40word@broker/ws?a=b")
    assert (one.username, one.password, one.path) == ("me", "pass@word", "/ws?a=b")


@pytest.mark.parametrize("keys", [{}, {"transport": "websockets"}, {"broker_url": "ws://broker"}])
def test_the_usual_path_of_a_websocket_is_mqtt(keys: dict[str, Any]) -> None:
    assert endpoint(**keys).path == "/mqtt"


def test_separate_keys_win_over_the_parts_of_a_url(caplog: pytest.LogCaptureFixture) -> None:
    url = "wss://me:secret@broker:8443/theirs"
    keys = {"username": "you", "password": "other", "broker_port": 9001, "ws_path": "/mine"}
    one = endpoint(broker_url=url, **keys)
    assert (one.username, one.password, one.port, one.path) == ("you", "other", 9001, "/mine")
    caplog.clear()
    said = remarks(caplog, broker_url=url, **keys)
    assert said == [
        "MQTT_BROKER_PORT (9001) overrides port 8443 in MQTT_BROKER_URL",
        "MQTT_USERNAME overrides the user name in MQTT_BROKER_URL",
        "MQTT_PASSWORD overrides the password in MQTT_BROKER_URL",
        "MQTT_WS_PATH ('/mine') overrides path '/theirs' in MQTT_BROKER_URL",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


@pytest.mark.parametrize(
    "urls", ["mqtt://one:1885,mqtt://two:1886", ["mqtt://one:1885", "mqtt://two:1886"]]
)
def test_a_key_that_wins_over_several_urls_is_told_once(
    urls: Any, caplog: pytest.LogCaptureFixture
) -> None:
    said = remarks(caplog, broker_url=urls, broker_port="1883")
    assert said == ["MQTT_BROKER_PORT (1883) overrides ports 1885 and 1886 in MQTT_BROKER_URL"]


def test_what_is_overridden_is_told_without_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    keys = {"username": "token-1", "password": "secret-1", "ws_path": "/a?sig=secret-2"}
    said = remarks(caplog, broker_url="ws://token-2:secret-3@broker/b?sig=secret-4", **keys)
    assert len(said) == 3
    assert not re.search("token|secret", " ".join(said))


def test_a_client_says_which_argument_overrides_the_url(caplog: pytest.LogCaptureFixture) -> None:
    Client().connect_async("mqtt://broker:1885", 1884)
    assert [record.getMessage() for record in caplog.records] == [
        "broker_port (1884) overrides port 1885 in broker_url"
    ]


def test_a_key_wins_with_its_default_too() -> None:
    assert endpoint(broker_url="mqtt://broker:1884", broker_port=1883).port == 1883


def test_a_key_that_agrees_with_the_url_is_not_worth_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys = {"username": "me", "broker_port": 1884}
    assert remarks(caplog, broker_url="mqtt://me@broker:1884", **keys) == []


def test_a_password_of_its_own_goes_with_the_user_of_the_url() -> None:
    one = endpoint(broker_url="mqtt://me@broker", password="secret")
    assert (one.username, one.password) == ("me", "secret")


def test_a_key_that_is_none_leaves_the_url_alone() -> None:
    one = endpoint(broker_url="mqtts://me:secret@broker", username=None, password=None)
    assert (one.username, one.password) == ("me", "secret")
    assert parts(broker_url="mqtts://broker", tls_enabled=None)[1] is True


@pytest.mark.parametrize(
    "given",
    [
        ["mqtt://one", "mqtts://two:1", "three"],
        ("mqtt://one", "mqtts://two:1", "three"),
        "mqtt://one, mqtts://two:1,three",
    ],
)
def test_several_brokers_stay_in_their_order(given: Any) -> None:
    found = [(one.host, one.port, one.tls) for one in endpoints(broker_url=given)]
    assert found == [("one", 1883, False), ("two", 1, True), ("three", 1883, False)]


def test_a_key_wins_over_every_url_of_a_list() -> None:
    found = endpoints(broker_url=["mqtt://me@one:1", "mqtt://two:2"], broker_port=3, username="you")
    assert [(one.port, one.username) for one in found] == [(3, "you"), (3, "you")]


@pytest.mark.parametrize("transport", ["unix", "UNIX"])
def test_a_path_is_a_socket_with_the_transport_unix(transport: str) -> None:
    found = parts(transport=transport, broker_url="/run/broker.sock", broker_port=1)
    assert found == ("unix", False, "/run/broker.sock", 0)


def test_a_socket_with_a_comma_in_its_path_goes_into_a_list() -> None:
    assert endpoint(transport="unix", broker_url=["/run/a,b"]).host == "/run/a,b"


def test_the_path_of_a_socket_has_a_bounded_length() -> None:
    assert endpoint(transport="unix", broker_url="/" + "x" * 102).transport == "unix"
    for keys in ({"broker_url": "unix:///" + "x" * 103}, {"broker_url": "/" + "é" * 52}):
        assert "at most 103 bytes" in refusal(**keys | {"transport": "unix"})


@pytest.mark.parametrize(
    "host", ["a b", "a@b", "a?b", "a#b", "a\\b", "[a]", "[::1", "a\tb", "a,,b"]
)
def test_what_cannot_be_a_host_is_refused(host: str) -> None:
    assert "MQTT_BROKER_URL = " in refusal(broker_url=host)


@pytest.mark.parametrize("text", ["broker:1884", "[::1]:1884", "1.2.3.4:1", "::12345"])
def test_a_host_with_a_port_is_told_of_the_port_s_key_and_of_urls(text: str) -> None:
    message = refusal(broker_url=text)
    assert "MQTT_BROKER_PORT" in message
    assert "mqtt://host:1883" in message
    assert repr(text) in message


@pytest.mark.parametrize(
    ("transport", "url", "agrees"),
    [
        ("tcp", "mqtts://broker", True),
        ("Websockets", "wss://broker", True),
        ("unix", "unix:///run/x", True),
        ("tcp", "ws://broker", False),
        ("websockets", "mqtt://broker", False),
        ("unix", "mqtt://broker", False),
        ("tcp", "unix:///run/x", False),
    ],
)
def test_the_transport_must_not_contradict_a_url(transport: str, url: str, agrees: bool) -> None:
    if agrees:
        endpoint(transport=transport, broker_url=url)
    else:
        message = refusal(transport=transport, broker_url=url)
        assert f"MQTT_TRANSPORT = {transport!r}" in message
        assert f"MQTT_BROKER_URL = {url!r}" in message


@pytest.mark.parametrize(
    ("enabled", "url", "agrees"),
    [
        (True, "mqtts://broker", True),
        (False, "ws://broker", True),
        (True, "ws://broker", False),
        ("off", "wss://broker", False),
        (True, "unix:///run/x", False),
    ],
)
def test_tls_enabled_must_not_contradict_a_url(enabled: object, url: str, agrees: bool) -> None:
    if agrees:
        endpoint(tls_enabled=enabled, broker_url=url)
    else:
        message = refusal(tls_enabled=enabled, broker_url=url)
        assert "MQTT_TLS_ENABLED = " in message
        assert f"MQTT_BROKER_URL = {url!r}" in message


def test_the_prefix_is_in_every_message() -> None:
    keys = {"MQTT2_TRANSPORT": "unix", "MQTT2_TLS_ENABLED": True, "MQTT2_BROKER_URL": "/run/x"}
    with pytest.raises(ValueError, match="MQTT2_TRANSPORT = 'unix' and MQTT2_TLS_ENABLED = True"):
        read(keys, "MQTT2")


def test_a_password_that_goes_nowhere_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    said = remarks(caplog, password="secret")
    assert said == ["MQTT_PASSWORD has no effect without MQTT_USERNAME"]


def test_a_password_never_gets_into_a_representation(caplog: pytest.LogCaptureFixture) -> None:
    urls = ["mqtt://hunter1:hunter2@broker", "wss://broker/x?token=hunter3"]
    config = read(
        {"MQTT_BROKER_URL": urls, "MQTT_USERNAME": "me", "MQTT_PASSWORD": "hunter4"}, "MQTT"
    )
    shown = repr(config) + repr(config.connect_options()) + caplog.text
    assert "hunter" not in shown
