"""Set-ups of TLS that cannot work, and what is said about them."""

from __future__ import annotations

import ssl
from typing import Any, NamedTuple

from flask_mqtt import WebsocketConnectionError

#: A wrong password, where there is one.
SECRET = "hunter2"

VERIFY = "TLS: certificate verify failed: "
REMEDY = (
    "name that authority's certificate in MQTT_TLS_CA_CERTS, or have the broker send those in "
    "between (unable to get local issuer certificate)"
)
CLIENT = {"TLS_CERTFILE": "client.pem", "TLS_KEYFILE": "client-key.pem"}
OTHER_CLIENT = {"TLS_CERTFILE": "other-client.pem", "TLS_KEYFILE": "other-client-key.pem"}
PROTOCOL_TLSV1_2 = 5  # its name is deprecated in the module


class BadSetup(NamedTuple):
    """A server, keys without their prefix, and what they get.

    In the keys, a name that ends with .pem is a file of Certificates. In the message, {port} stands
    for the port, {files} for the directory of the files and {date} for any date.
    """

    name: str
    server: str
    keys: dict[str, Any]
    error: type[Exception]
    message: str


def bad_file(key: str, file: str, error: type[Exception], message: str) -> BadSetup:
    """Return a set-up with a client certificate where one file is another one."""
    return BadSetup(f"{key}: {file}", "mutual", {**CLIENT, key: file}, error, message)


def authority(file: str, issuer: str) -> str:
    return (
        f"{VERIFY}the broker's certificate comes from an authority that is not in "
        f'"{{files}}/{file}" ("{issuer}"): {REMEDY}'
    )


def missing(key: str) -> str:
    return f"[Errno 2] MQTT_{key}: No such file or directory: '{{files}}/missing.pem'"


def damaged(key: str) -> str:
    return f'TLS: MQTT_{key}: "{{files}}/garbage.pem": a certificate is damaged ({{any}})'


VERSION = (
    "TLS: the broker speaks no version of TLS that is asked for ({}): look at MQTT_TLS_VERSION; "
    'TLS 1.0 and 1.1 also need "@SECLEVEL=0" in MQTT_TLS_CIPHERS'
)
REFUSED = (
    "TLS: the broker refuses the handshake (handshake failure): it does not accept a client "
    "without a certificate (set MQTT_TLS_CERTFILE and MQTT_TLS_KEYFILE), or none of the ciphers "
    "(MQTT_TLS_CIPHERS)"
)
OTHER_REFUSED = (
    "TLS: the broker does not accept the client's certificate (unknown ca): look at "
    "MQTT_TLS_CERTFILE and MQTT_TLS_KEYFILE"
)
HUNG_UP = (
    "the broker closed the connection before CONNACK; possibly it wants TLS on this port "
    "(MQTT_TLS_ENABLED), or does not speak MQTT 3.1.1 (MQTT_PROTOCOL_VERSION), or does not let "
    "this client in (MQTT_CLIENT_ID and MQTT_USERNAME); its log may say so"
)

#: The broker's certificate.
UNTRUSTED = [
    BadSetup(
        "expired",
        "expired",
        {},
        ssl.SSLCertVerificationError,
        f'{VERIFY}the certificate of "expired" expired on {{date}}: the broker needs a new one',
    ),
    BadSetup(
        "not yet valid",
        "not_yet_valid",
        {},
        ssl.SSLCertVerificationError,
        f'{VERIFY}the certificate of "not-yet-valid" is not valid before {{date}}: '
        "is this machine's clock right?",
    ),
    BadSetup(
        "self-signed",
        "self_signed",
        {},
        ssl.SSLCertVerificationError,
        f'{VERIFY}the broker\'s certificate is self-signed, and not in "{{files}}/ca.pem": '
        "name it in MQTT_TLS_CA_CERTS to trust it",
    ),
    BadSetup(
        "unknown authority",
        "tls",
        {"TLS_CA_CERTS": "other-ca.pem"},
        ssl.SSLCertVerificationError,
        authority("other-ca.pem", "Test CA"),
    ),
    BadSetup(
        "unknown to the system",
        "tls",
        {"TLS_CA_CERTS": None},
        ssl.SSLCertVerificationError,
        f"{VERIFY}the broker's certificate comes from an authority that is not among the system's "
        f'CA certificates{{any}} ("Test CA"): {REMEDY}',
    ),
    BadSetup(
        "missing intermediate",
        "unchained",
        {},
        ssl.SSLCertVerificationError,
        authority("ca.pem", "Intermediate CA"),
    ),
    BadSetup(
        "wrong host",
        "wrong_host",
        {"BROKER_URL": "localhost"},
        ssl.SSLCertVerificationError,
        f'{VERIFY}the broker\'s certificate is not for "localhost" but for "other.example": '
        "connect to a name that it has, or set MQTT_TLS_INSECURE to True to take it for any",
    ),
    BadSetup(
        "wrong address",
        "wrong_host",
        {},
        ssl.SSLCertVerificationError,
        f'{VERIFY}the broker\'s certificate is not for "127.0.0.1" but for "other.example": '
        "connect to a name that it has, or set MQTT_TLS_INSECURE to True to take it for any",
    ),
]

#: What the two cannot agree on.
DISAGREED = [
    BadSetup("no client certificate, TLS 1.2", "mutual12", {"TLS_VERSION": PROTOCOL_TLSV1_2},
             ssl.SSLError, REFUSED),
    BadSetup("client certificate of another authority, TLS 1.2", "mutual12",
             {**OTHER_CLIENT, "TLS_VERSION": PROTOCOL_TLSV1_2}, ssl.SSLError, OTHER_REFUSED),
    BadSetup("the broker's version is too new", "tls13", {"TLS_VERSION": PROTOCOL_TLSV1_2},
             ssl.SSLError, VERSION.format("TLS 1.2")),
    BadSetup("the broker's version is too old", "old", {"TLS_VERSION": ssl.TLSVersion.TLSv1_3},
             ssl.SSLError, VERSION.format("TLS 1.3")),
    BadSetup("no cipher in common", "picky", {"TLS_CIPHERS": "ECDHE-ECDSA-AES128-GCM-SHA256"},
             ssl.SSLError, REFUSED),
    BadSetup(
        "no application protocol in common",
        "alpn",
        {"TLS_ALPN": ["http/9"]},
        ssl.SSLError,
        "TLS: the broker speaks none of the protocols that MQTT_TLS_ALPN offers (no application "
        'protocol): ["http/9"]',
    ),
    BadSetup(
        "a port without TLS",
        "plain",
        {},
        ssl.SSLError,
        "TLS: 127.0.0.1:{port} closed the connection in the handshake: possibly it does not "
        "speak TLS on this port (MQTT_TLS_ENABLED), or wants a client certificate "
        "(MQTT_TLS_CERTFILE and MQTT_TLS_KEYFILE)",
    ),
    BadSetup("a handshake without an answer", "silent",
             {"CONNECTION_TIMEOUT": 0.3, "HANDSHAKE_TIMEOUT": 0.3}, TimeoutError,
             "no TLS handshake from 127.0.0.1:{port} within 0.3 s (MQTT_HANDSHAKE_TIMEOUT). "
             "Does the broker speak TLS on this port? Check MQTT_BROKER_PORT and MQTT_TLS_ENABLED"),
    BadSetup(
        "another path of a websocket",
        "http",
        {"TRANSPORT": "websockets", "WS_PATH": "/nothing"},
        WebsocketConnectionError,
        "no websocket at 127.0.0.1:{port}: the server answered 404 Not Found; "
        "look at MQTT_WS_PATH",
    ),
    BadSetup(
        "a websocket where there is none",
        "tls",
        {"TRANSPORT": "websockets"},
        WebsocketConnectionError,
        "no websocket at 127.0.0.1:{port}: the connection was closed before an answer; look at the "
        "port, MQTT_TRANSPORT and MQTT_TLS_ENABLED",
    ),
    BadSetup(
        "a websocket without TLS",
        "wss",
        {"TRANSPORT": "websockets", "TLS_ENABLED": False},
        WebsocketConnectionError,
        "no websocket at 127.0.0.1:{port}: the connection was closed before an answer; look at the "
        "port, MQTT_TRANSPORT and MQTT_TLS_ENABLED",
    ),
]  # fmt: skip

#: What a broker objects to only after the connection is there.
LATER = [
    BadSetup(
        "no client certificate, TLS 1.3",
        "mutual",
        {},
        ssl.SSLError,
        "TLS: the broker wants a client certificate (certificate required): set MQTT_TLS_CERTFILE "
        "and MQTT_TLS_KEYFILE",
    ),
    BadSetup("client certificate of another authority, TLS 1.3", "mutual", OTHER_CLIENT,
             ssl.SSLError, OTHER_REFUSED),
    BadSetup("a port with TLS", "tls", {"TLS_ENABLED": False}, ConnectionError, HUNG_UP),
    BadSetup("a port for websockets", "wss", {}, ConnectionError,
             "protocol error: the broker answers with HTTP: look at the port and "
             "at MQTT_TRANSPORT"),
    BadSetup("a port with TLS that says so", "alpn", {"TLS_ENABLED": False}, ConnectionError,
             "protocol error: the broker answers with TLS: look at the port and "
             "at MQTT_TLS_ENABLED"),
]  # fmt: skip

#: Files, and what is in them: an exception at once, in each mode.
FILES = [
    bad_file("TLS_CA_CERTS", "missing.pem", FileNotFoundError, missing("TLS_CA_CERTS")),
    bad_file("TLS_CERTFILE", "missing.pem", FileNotFoundError, missing("TLS_CERTFILE")),
    bad_file("TLS_KEYFILE", "missing.pem", FileNotFoundError, missing("TLS_KEYFILE")),
    bad_file("TLS_CA_CERTS", "empty", ssl.SSLError,
             'TLS: MQTT_TLS_CA_CERTS: no PEM certificate in "{files}/empty"'),
    bad_file("TLS_CERTFILE", "empty", IsADirectoryError,
             "[Errno 21] MQTT_TLS_CERTFILE: Is a directory: '{files}/empty'"),
    bad_file("TLS_KEYFILE", "empty", IsADirectoryError,
             "[Errno 21] MQTT_TLS_KEYFILE: Is a directory: '{files}/empty'"),
    bad_file("TLS_CA_CERTS", "garbage.pem", ssl.SSLError, damaged("TLS_CA_CERTS")),
    bad_file("TLS_CERTFILE", "garbage.pem", ssl.SSLError, damaged("TLS_CERTFILE")),
    bad_file("TLS_KEYFILE", "garbage.pem", ssl.SSLError,
             'TLS: MQTT_TLS_KEYFILE: no PEM private key in "{files}/garbage.pem"'),
    bad_file("TLS_KEYFILE", "damaged-key.pem", ssl.SSLError,
             'TLS: MQTT_TLS_KEYFILE: the key in "{files}/damaged-key.pem" is damaged ({any})'),
    bad_file("TLS_KEYFILE", "key-of-another.pem", ssl.SSLError,
             "TLS: MQTT_TLS_KEYFILE does not match MQTT_TLS_CERTFILE: the key is another "
             "certificate's (the client's own certificate has to be the first in its file)"),
    BadSetup(
        "a certificate without its key",
        "mutual",
        {"TLS_CERTFILE": "client.pem"},
        ssl.SSLError,
        'TLS: MQTT_TLS_CERTFILE: no PEM private key in "{files}/client.pem": name its file in '
        "MQTT_TLS_KEYFILE",
    ),
    *(
        bad_file("TLS_KEYFILE", file, ssl.SSLError,
                 f'TLS: MQTT_TLS_KEYFILE: the key in "{{files}}/{file}" is encrypted: '
                 "set MQTT_TLS_KEYFILE_PASSWORD")
        for file in ("key-pkcs8-enc.pem", "key-sec1-enc.pem")
    ),
    *(
        BadSetup(
            f"a wrong password of {file}",
            "mutual",
            {**CLIENT, "TLS_KEYFILE": file, "TLS_KEYFILE_PASSWORD": SECRET},
            ssl.SSLError,
            "TLS: MQTT_TLS_KEYFILE: MQTT_TLS_KEYFILE_PASSWORD does not open the key in "
            f'"{{files}}/{file}"',
        )
        for file in ("key-pkcs8-enc.pem", "key-sec1-enc.pem")
    ),
    BadSetup("a cipher that there is not", "tls", {"TLS_CIPHERS": "ROT13"}, ssl.SSLError,
             'TLS: MQTT_TLS_CIPHERS "ROT13": no cipher of that name; `openssl ciphers` lists them'),
]  # fmt: skip

ALL = [*UNTRUSTED, *DISAGREED, *LATER, *FILES]
