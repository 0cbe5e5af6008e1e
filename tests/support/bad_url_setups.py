"""Set-ups that cannot work, as their keys alone tell, and what is said about them."""

from __future__ import annotations

from typing import Any, NamedTuple

#: In every set-up that has a password, a token or a key, this is it.
SECRET = "hunter2"


class BadSetup(NamedTuple):
    """A configuration, without the prefix of its keys, and what it gets."""

    name: str
    keys: dict[str, Any]
    error: type[Exception]
    message: str


PASSWORD_HINT = (
    "the port must be a number from 1 to 65535, and : / ? # in a password percent-encoded"
)
LOGIN_HINT = (
    "it must be a host name or address; a user and a password need a URL, as in "
    "mqtt://user:password@host, with a comma as %2C"
)

SETUPS = [
    BadSetup(
        "the scheme of another library",
        {"BROKER_URL": f"ssl://me:{SECRET}@broker"},
        ValueError,
        'MQTT_BROKER_URL: "ssl://…@broker" is no URL of a broker: '
        "its scheme must be mqtt, mqtts, ws, wss or unix; use mqtts for ssl",
    ),
    BadSetup(
        "an unknown scheme",
        {"BROKER_URL": f"amqp://me:{SECRET}@broker"},
        ValueError,
        'MQTT_BROKER_URL: "amqp://…@broker" is no URL of a broker: '
        "its scheme must be mqtt, mqtts, ws, wss or unix",
    ),
    BadSetup(
        "a port that is none",
        {"BROKER_URL": f"mqtt://me:{SECRET}@broker:mqtt"},
        ValueError,
        f'MQTT_BROKER_URL: "mqtt://…@broker:…" is no URL of a broker: {PASSWORD_HINT}',
    ),
    BadSetup(
        "a port beyond the last one",
        {"BROKER_URL": f"mqtt://me:{SECRET}@broker:65536"},
        ValueError,
        f'MQTT_BROKER_URL: "mqtt://…@broker:65536" is no URL of a broker: {PASSWORD_HINT}',
    ),
    BadSetup(
        "a slash in the password",
        {"BROKER_URL": f"mqtt://me:{SECRET}/{SECRET}@broker"},
        ValueError,
        f'MQTT_BROKER_URL: "mqtt://…@broker" is no URL of a broker: {PASSWORD_HINT}',
    ),
    BadSetup(
        "a comma in the password",
        {"BROKER_URL": f"mqtt://me:{SECRET},{SECRET}@broker"},
        ValueError,
        f'MQTT_BROKER_URL: "mqtt://me:…" is no URL of a broker: {PASSWORD_HINT}',
    ),
    BadSetup(
        "a URL without a host",
        {"BROKER_URL": "mqtt://"},
        ValueError,
        'MQTT_BROKER_URL: "mqtt://" is no URL of a broker: it names no host',
    ),
    BadSetup(
        "a path where there can be none",
        {"BROKER_URL": "mqtt://broker/mqtt"},
        ValueError,
        'MQTT_BROKER_URL: "mqtt://broker/mqtt" is no URL of a broker: '
        "only a ws or wss URL has a path, a query or a fragment",
    ),
    BadSetup(
        "a space in a URL",
        {"BROKER_URL": f"mqtt://me:{SECRET} @broker"},
        ValueError,
        'MQTT_BROKER_URL: "mqtt://…@broker" is no URL of a broker: '
        "it has a space or control character in it; percent-encode it",
    ),
    BadSetup(
        "a unix URL with a host",
        {"BROKER_URL": "unix://run/broker.sock"},
        ValueError,
        'MQTT_BROKER_URL: "unix://run/broker.sock" is no URL of a broker: '
        "the absolute path of the socket must follow unix://, as in unix:///run/broker.sock",
    ),
    BadSetup(
        "a login without a scheme",
        {"BROKER_URL": f"me:{SECRET}@broker"},
        ValueError,
        f"MQTT_BROKER_URL = '…@broker': {LOGIN_HINT}",
    ),
    BadSetup(
        "a host with its port",
        {"BROKER_URL": "broker:8883"},
        ValueError,
        "MQTT_BROKER_URL = 'broker:8883': the host must not include a port; set "
        "MQTT_BROKER_PORT, or write a URL, as in mqtt://host:1883",
    ),
    BadSetup(
        "a broken one in a list",
        {"BROKER_URL": ["mqtt://broker", f"mqtt://me:{SECRET}@"]},
        ValueError,
        'MQTT_BROKER_URL: "mqtt://…@" is no URL of a broker: it names no host',
    ),
    BadSetup(
        "a list with something else in it",
        {"BROKER_URL": [f"mqtt://me:{SECRET}@broker", ("broker", 1883)]},
        TypeError,
        "MQTT_BROKER_URL is a list with a tuple in it: it must be a list of strings",
    ),
    BadSetup(
        "a URL as bytes",
        {"BROKER_URL": f"mqtt://me:{SECRET}@broker".encode()},
        TypeError,
        "MQTT_BROKER_URL = <hidden> is of type bytes: it must be a string or a list of strings",
    ),
    BadSetup(
        "another transport than the URL's",
        {"BROKER_URL": f"wss://me:{SECRET}@broker/x?token={SECRET}", "TRANSPORT": "tcp"},
        ValueError,
        "MQTT_TRANSPORT = 'tcp' and MQTT_BROKER_URL = 'wss://…@broker/x…' contradict each other: "
        "leave out MQTT_TRANSPORT, or write another scheme",
    ),
    BadSetup(
        "a URL with TLS and a key without",
        {"BROKER_URL": f"mqtts://me:{SECRET}@broker", "TLS_ENABLED": "false"},
        ValueError,
        "MQTT_TLS_ENABLED = False and MQTT_BROKER_URL = 'mqtts://…@broker' contradict each other: "
        "leave out MQTT_TLS_ENABLED, or write another scheme",
    ),
    BadSetup(
        "a key with TLS and a URL without",
        {"BROKER_URL": "mqtt://broker:8883", "TLS_ENABLED": True},
        ValueError,
        "MQTT_TLS_ENABLED = True and MQTT_BROKER_URL = 'mqtt://broker:8883' contradict each other: "
        "leave out MQTT_TLS_ENABLED, or write another scheme",
    ),
    BadSetup(
        "a password from an environment that is not UTF-8",
        {"BROKER_URL": "mqtt://me@broker", "PASSWORD": f"{SECRET}\udcff"},
        ValueError,
        "MQTT_PASSWORD = <hidden>: it must be text that UTF-8 can express, without surrogates",
    ),
    BadSetup(
        "a socket without its path",
        {"TRANSPORT": "unix"},
        ValueError,
        "MQTT_BROKER_URL = 'localhost': with MQTT_TRANSPORT = 'unix' it must be the path of the "
        "socket, as in /run/broker.sock",
    ),
    BadSetup(
        "a path without its transport",
        {"BROKER_URL": "/run/broker.sock"},
        ValueError,
        "MQTT_BROKER_URL = '/run/broker.sock': a host has no / in it; for the path of a socket set "
        "MQTT_TRANSPORT to 'unix'",
    ),
    BadSetup(
        "TLS on a socket",
        {"BROKER_URL": "/run/broker.sock", "TRANSPORT": "unix", "TLS_ENABLED": True},
        ValueError,
        "MQTT_TRANSPORT = 'unix' and MQTT_TLS_ENABLED = True contradict each other: there is no "
        "TLS on a unix socket",
    ),
    BadSetup(
        "a socket behind a proxy",
        {"BROKER_URL": "unix:///run/broker.sock", "PROXY": f"socks5://me:{SECRET}@proxy"},
        ValueError,
        "MQTT_PROXY is set and MQTT_BROKER_URL has a unix socket, which has neither proxy nor "
        "address: leave MQTT_PROXY out",
    ),
    BadSetup(
        "a proxy that is none",
        {"PROXY": f"https://me:{SECRET}@proxy:3128"},
        ValueError,
        'MQTT_PROXY: "https://…@proxy:3128" is no URL of a proxy: TLS to a proxy is not '
        "supported; its scheme must be http or socks5",
    ),
    BadSetup(
        "a path that is none",
        {"TRANSPORT": "websockets", "WS_PATH": f"mqtt?token={SECRET}"},
        ValueError,
        "MQTT_WS_PATH = 'mqtt': it must begin with / and have only ASCII characters without spaces "
        "and #",
    ),
    BadSetup(
        "a header with a line break",
        {"TRANSPORT": "websockets", "WS_HEADERS": {"Authorization": f"Bearer {SECRET}\n"}},
        ValueError,
        "MQTT_WS_HEADERS has a value for 'Authorization' that no header can have: it must have "
        "only ASCII characters, without line breaks and control characters",
    ),
    BadSetup(
        "a private key without its certificate",
        {"TLS_ENABLED": True, "TLS_KEYFILE": f"-----BEGIN PRIVATE KEY-----\n{SECRET}"},
        ValueError,
        "MQTT_TLS_KEYFILE is set and MQTT_TLS_CERTFILE is not: a private key needs its certificate",
    ),
    BadSetup(
        "a private key that is no PEM text",
        {"TLS_ENABLED": True, "TLS_CERTFILE": "client.crt", "TLS_KEYFILE": SECRET.encode()},
        ValueError,
        "MQTT_TLS_KEYFILE = <hidden>: there is no -----BEGIN in it, so it is no PEM text",
    ),
    BadSetup(
        "a version of TLS that nobody speaks any more",
        {"TLS_ENABLED": True, "TLS_VERSION": 1},
        ValueError,
        "MQTT_TLS_VERSION = 1: SSL 3 is not spoken any more; it must be ssl.PROTOCOL_TLS_CLIENT or "
        "another PROTOCOL_TLS constant of ssl, an ssl.TLSVersion, or a name as 'TLSv1_2'",
    ),
]
