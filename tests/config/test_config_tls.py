"""The keys for TLS: what they accept, and what bad input gets."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt.config import read

if TYPE_CHECKING:
    from flask_mqtt.config.options import TlsOptions

pytestmark = pytest.mark.smoke

PEM = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"


def tls_options(**keys: Any) -> TlsOptions:
    given = {f"MQTT_TLS_{key.upper()}": value for key, value in keys.items()}
    return read({"MQTT_TLS_ENABLED": True, **given}, "MQTT").connect_options().tls


def refusal(error: type[Exception], **keys: Any) -> str:
    with pytest.raises(error) as caught:
        tls_options(**keys)
    assert caught.type is error
    message = str(caught.value)
    assert "hunter2" not in message
    assert all(f"MQTT_TLS_{key.upper()}" in message for key in keys)
    return message


def test_the_defaults_verify_everything_from_tls_1_2_up() -> None:
    options = tls_options()
    assert (options.verify, options.verify_host) == (True, True)
    assert (options.lowest, options.highest) == (ssl.TLSVersion.TLSv1_2, None)
    assert options.ca_certs is options.certfile is options.keyfile is options.ciphers is None
    assert options.alpn == []


@pytest.mark.parametrize("key", ["ca_certs", "certfile", "keyfile"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("dir/file.pem", "dir/file.pem"),
        (Path("dir") / "file.pem", "dir/file.pem"),
        (PEM, PEM.encode()),
        (PEM.encode(), PEM.encode()),
        (None, None),
    ],
)
def test_a_file_is_a_path_or_its_text(key: str, value: object, expected: object) -> None:
    keys = {"certfile": "client.crt", key: value} if key == "keyfile" else {key: value}
    assert getattr(tls_options(**keys), key) == expected


@pytest.mark.parametrize("key", ["ca_certs", "certfile", "keyfile"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("a\0b", ValueError),
        ("hunter2\nhunter2", ValueError),
        (b"hunter2", ValueError),
        (5, TypeError),
        ([PEM], TypeError),
        (bytearray(PEM.encode()), TypeError),
    ],
)
def test_what_is_neither_path_nor_pem_is_refused(
    key: str, value: object, error: type[Exception]
) -> None:
    assert "PEM text" in refusal(error, **{key: value})


@pytest.mark.parametrize("key", ["keyfile", "keyfile_password"])
def test_a_key_without_its_certificate_is_refused_with_both_names(key: str) -> None:
    assert "MQTT_TLS_CERTFILE is not" in refusal(ValueError, **{key: "hunter2"})


@pytest.mark.parametrize("password", ["secret é", "secret é".encode()])
def test_the_password_of_a_key_is_text_or_bytes(password: object) -> None:
    options = tls_options(certfile="c", keyfile_password=password)
    assert options.keyfile_password == "secret é"


@pytest.mark.parametrize(
    ("password", "error"),
    [(["hunter2"], TypeError), ("hunter2\0", ValueError), (b"hunter2\xff", ValueError)],
)
def test_a_bad_password_of_a_key_is_refused(password: object, error: type[Exception]) -> None:
    refusal(error, keyfile_password=password)


@pytest.mark.parametrize(
    ("value", "verify"),
    [
        (ssl.CERT_NONE, False),
        (ssl.CERT_OPTIONAL, True),
        (ssl.CERT_REQUIRED, True),
        (0, False),
        ("2", True),
        (True, True),
        (False, False),
        (None, True),
    ],
)
def test_cert_reqs_says_whether_anything_is_verified(value: object, verify: bool) -> None:
    options = tls_options(cert_reqs=value)
    assert (options.verify, options.verify_host) == (verify, verify)


def test_insecure_leaves_out_the_host_name_only() -> None:
    options = tls_options(insecure=True)
    assert (options.verify, options.verify_host) == (True, False)


# The names of old versions are deprecated in the module, their numbers are not.
@pytest.mark.parametrize(
    ("version", "bounds"),
    [
        (ssl.PROTOCOL_TLS, (771, None)),
        (ssl.PROTOCOL_TLS_CLIENT, (771, None)),
        (ssl.PROTOCOL_TLSv1, (769, 769)),
        (ssl.PROTOCOL_TLSv1_1, (770, 770)),
        (ssl.PROTOCOL_TLSv1_2, (771, 771)),
        (ssl.TLSVersion.TLSv1, (769, 769)),
        (ssl.TLSVersion.TLSv1_1, (770, 770)),
        (ssl.TLSVersion.TLSv1_2, (771, 771)),
        (ssl.TLSVersion.TLSv1_3, (772, 772)),
        (ssl.TLSVersion.MINIMUM_SUPPORTED, (None, None)),
        (ssl.TLSVersion.MAXIMUM_SUPPORTED, (772, None)),
        (None, (771, None)),
        ("5", (771, 771)),
    ],
)
def test_every_version_has_its_bounds_as_a_constant_and_as_a_number(
    version: Any, bounds: tuple[int | None, int | None]
) -> None:
    for value in (version, version if version is None else int(version)):
        options = tls_options(version=value)
        assert (options.lowest, options.highest) == bounds


def test_every_protocol_of_the_module_is_known() -> None:
    for name in dir(ssl):
        if name.startswith("PROTOCOL_") and name != "PROTOCOL_TLS_SERVER":
            tls_options(version=getattr(ssl, name))
    for version in ssl.TLSVersion:
        if version is not ssl.TLSVersion.SSLv3:
            tls_options(version=version)


@pytest.mark.parametrize(
    ("version", "why"),
    [
        (ssl.PROTOCOL_TLS_SERVER, "for servers"),
        (0, "SSL 2"),
        (1, "SSL 3"),
        (ssl.TLSVersion.SSLv3, "SSL 3"),
        (6, "PROTOCOL_TLS_CLIENT"),
        ("TLSv2", "PROTOCOL_TLS_CLIENT"),
        ("SSLv3", "'SSLv3': SSL 3"),
        ("PROTOCOL_TLS_SERVER", "for servers"),
    ],
)
def test_another_version_is_refused(version: object, why: str) -> None:
    assert why in refusal(ValueError, version=version)


@pytest.mark.parametrize("version", [True, 1.5, [771]])
def test_a_version_of_another_type_is_refused(version: object) -> None:
    refusal(TypeError, version=version)


@pytest.mark.parametrize("value", [["a", "b"], ("a", "b"), "a,b", "a, b"])
def test_alpn_is_a_list_or_a_text_with_commas(value: object) -> None:
    assert tls_options(alpn=value).alpn == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("a,,b", ValueError),
        (["x" * 256], ValueError),
        (["é"], ValueError),
        ([b"a"], TypeError),
        (5, TypeError),
    ],
)
def test_bad_alpn_is_refused(value: object, error: type[Exception]) -> None:
    refusal(error, alpn=value)


@pytest.mark.parametrize(
    ("value", "error"), [("", ValueError), ("a\0", ValueError), (["AES"], TypeError)]
)
def test_bad_ciphers_are_refused(value: object, error: type[Exception]) -> None:
    refusal(error, ciphers=value)


def test_keys_for_tls_that_nothing_asks_for_are_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    read({"MQTT_TLS_CA_CERTS": "x", "MQTT_TLS_KEYFILE": PEM, "MQTT_TLS_INSECURE": False}, "MQTT")
    assert [record.getMessage() for record in caplog.records] == [
        "MQTT_TLS_CA_CERTS has no effect without MQTT_TLS_ENABLED",
        "MQTT_TLS_KEYFILE has no effect without MQTT_TLS_ENABLED",
    ]
    assert all(record.levelno == logging.WARNING for record in caplog.records)


@pytest.mark.parametrize("url", ["mqtts://broker", "mqtt://one, wss://two"])
def test_a_url_that_asks_for_tls_is_enough(url: str, caplog: pytest.LogCaptureFixture) -> None:
    config = read({"MQTT_BROKER_URL": url, "MQTT_TLS_CA_CERTS": "ca.crt"}, "MQTT")
    assert config.connect_options().tls.ca_certs == "ca.crt"
    # A list with a broker without TLS has a warning of its own.
    assert "no effect" not in caplog.text


def test_no_secret_is_in_a_representation() -> None:
    keys = {"CERTFILE": PEM, "KEYFILE": PEM, "KEYFILE_PASSWORD": "hunter2"}
    config = read({f"MQTT_TLS_{key}": value for key, value in keys.items()}, "MQTT")
    assert "hunter2" not in repr(config)
    assert "hunter2" not in repr(config.connect_options())
