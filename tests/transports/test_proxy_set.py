"""`proxy_set`: a proxy in the words of PySocks, which paho needs for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client
from support.proxy import HttpProxy, SocksProxy
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto
    from support.proxy import Proxy

PROXY = {"proxy_type": 3, "proxy_addr": "proxy.lan"}


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (PROXY, "http://proxy.lan:8080"),
        ({**PROXY, "proxy_type": 2}, "socks5://proxy.lan:1080"),
        ({**PROXY, "proxy_type": "SOCKS5", "proxy_port": 9}, "socks5://proxy.lan:9"),
        ({**PROXY, "proxy_type": "http", "proxy_rdns": True}, "http://proxy.lan:8080"),
        ({**PROXY, "proxy_addr": "::1"}, "http://[::1]:8080"),
        ({**PROXY, "proxy_username": "a@b"}, "http://a%40b@proxy.lan:8080"),
        (
            {**PROXY, "proxy_username": "ann", "proxy_password": "p:/@"},
            "http://ann:p%3A%2F%40@proxy.lan:8080",
        ),
    ],
)
def test_a_proxy_is_taken_as_pysocks_does(arguments: dict[str, Any], url: str) -> None:
    client = Client()
    client.proxy_set(**arguments)
    assert client._parts.settings.config.proxy == url
    assert "p%3A" not in repr(client._parts.settings.config)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({}, ValueError, "proxy_type None: it must be"),
        ({**PROXY, "proxy_type": 1}, ValueError, "proxy_type 1: SOCKS 4 is not supported"),
        ({**PROXY, "proxy_type": "socks4"}, ValueError, "SOCKS 4 is not supported"),
        ({**PROXY, "proxy_type": "ftp"}, ValueError, "proxy_type 'ftp': it must be"),
        ({**PROXY, "proxy_addr": ""}, ValueError, "proxy_addr ''"),
        ({**PROXY, "proxy_port": "x"}, TypeError, "proxy_port 'x'"),
        ({**PROXY, "proxy_port": 70_000}, ValueError, "proxy"),
        ({**PROXY, "proxy_rdns": False}, ValueError, "proxy_rdns False"),
        ({**PROXY, "proxy_password": "hunter2"}, ValueError, "without a proxy_username"),
        ({**PROXY, "proxy_username": 5}, TypeError, "proxy_username is of type int"),
        (
            {**PROXY, "proxy_username": "u", "proxy_password": ["x"]},
            TypeError,
            "proxy_password is of type list",
        ),
        ({**PROXY, "proxy_name": "x"}, TypeError, "proxy_name: there is no such argument"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused(
    arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    client = Client()
    with pytest.raises(error, match=text) as caught:
        client.proxy_set(**arguments)
    assert "hunter2" not in str(caught.value)
    assert client._parts.settings.config.proxy is None


@pytest.mark.parametrize(("kind", "number"), [(SocksProxy, 2), (HttpProxy, 3)])
def test_the_connection_goes_through_it(
    broker: Mosquitto, tmp_path: Path, kind: type[Proxy], number: int
) -> None:
    with kind(tmp_path, "ann", "pass-word_1.2") as proxy:
        client = Client()
        client.proxy_set(
            proxy_type=number,
            proxy_addr="127.0.0.1",
            proxy_port=proxy.port,
            proxy_username="ann",
            proxy_password="pass-word_1.2",
        )
        client.connect(broker.host, broker.port)
        wait_until(client.is_connected)
        client.close()
        proxy.wait_until_used_for(broker.port)
