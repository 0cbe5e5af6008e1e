"""What is read from an `ssl.SSLContext`, and what cannot be."""

from __future__ import annotations

import logging
import ssl
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt.config import read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask_mqtt.config.options import TlsOptions

pytestmark = pytest.mark.smoke

AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBiTCCAS+gAwIBAgIUKy0Buc2900H9adFBZfJLDhJxeIkwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOdGVzdCBhdXRob3JpdHkwIBcNMjYxMTIxMDgwODA5WhgPMjEy
NjEwMjgwODA4MDlaMBkxFzAVBgNVBAMMDnRlc3QgYXV0aG9yaXR5MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAES4wVgcNzQe/3/+2nqeQQgg8VdipKpoqLDaGHWHkG
Twhv812s4YJrlWrJLv6OE4BjxEXsqhN44wfPfmUGoh3n96NTMFEwHQYDVR0OBBYE
FIBijlozlGnHHX0IVtFnWjkaZsOWMB8GA1UdIwQYMBaAFIBijlozlGnHHX0IVtFn
WjkaZsOWMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAK4nb5Iw
wtJM7iCMaDPzpkiUdYUEpjQFuQQVlTfHq6PfAiB5cO2O/JRaGgztMMBQ1nozy9Aj
L4dlike+RYkfPBacEw==
-----END CERTIFICATE-----
"""


def tls_options(**keys: Any) -> TlsOptions:
    given = {f"MQTT_TLS_{key.upper()}": value for key, value in keys.items()}
    return read({"MQTT_TLS_ENABLED": True, **given}, "MQTT").connect_options().tls


def refusal(**keys: Any) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the callers look at the message
        tls_options(**keys)
    message = str(caught.value)
    assert all(f"MQTT_TLS_{key.upper()}" in message for key in keys)
    return message


def context(**attributes: Any) -> ssl.SSLContext:
    made = ssl.create_default_context()
    with warnings.catch_warnings():
        # Old versions are asked for on purpose.
        warnings.simplefilter("ignore", DeprecationWarning)
        for name, value in attributes.items():
            setattr(made, name, value)
    return made


def test_the_context_of_create_default_context_changes_nothing() -> None:
    assert tls_options(context=ssl.create_default_context()) == tls_options()


def test_a_context_that_verifies_nothing_is_taken_so() -> None:
    options = tls_options(context=context(check_hostname=False, verify_mode=ssl.CERT_NONE))
    assert (options.verify, options.verify_host, options.ca_certs) == (False, False, None)


def test_a_context_without_the_host_name_is_taken_so() -> None:
    options = tls_options(context=context(check_hostname=False))
    assert (options.verify, options.verify_host) == (True, False)


@pytest.mark.parametrize(
    ("attributes", "bounds"),
    [
        ({}, (771, None)),
        ({"minimum_version": ssl.TLSVersion.TLSv1_3}, (772, None)),
        ({"maximum_version": ssl.TLSVersion.TLSv1_2}, (771, 771)),
        ({"minimum_version": ssl.TLSVersion.TLSv1}, (769, None)),
        ({"options": ssl.OP_ALL | ssl.OP_NO_TLSv1_2}, (772, None)),
        ({"options": ssl.OP_ALL | ssl.OP_NO_TLSv1_3}, (771, 771)),
    ],
)
def test_the_versions_of_a_context_are_read(
    attributes: dict[str, Any], bounds: tuple[int, int | None]
) -> None:
    options = tls_options(context=context(**attributes))
    assert (options.lowest, options.highest) == bounds


def test_the_version_that_a_context_was_made_of_is_read() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made = ssl.SSLContext(ssl.PROTOCOL_TLSv1_2)
    options = tls_options(context=made)
    assert (options.lowest, options.highest) == (771, 771)


def test_the_ciphers_of_a_context_are_read_if_they_were_set() -> None:
    made = context()
    made.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    ciphers = tls_options(context=made).ciphers
    assert ciphers is not None
    assert "ECDHE-RSA-AES128-GCM-SHA256" in ciphers.split(":")
    assert "ECDHE-RSA-AES256-GCM-SHA384" not in ciphers.split(":")


def test_the_security_level_of_a_context_is_read() -> None:
    made = context()
    made.set_ciphers("DEFAULT@SECLEVEL=0")
    ciphers = tls_options(context=made).ciphers
    assert ciphers is not None
    assert ciphers.endswith(":@SECLEVEL=0")


def test_the_ca_certificates_of_a_context_are_read_as_pem() -> None:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(cadata=AUTHORITY)
    assert tls_options(context=made).ca_certs == AUTHORITY.encode()


def crl_check(made: ssl.SSLContext) -> None:
    made.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


def hole(made: ssl.SSLContext) -> None:
    made.minimum_version = ssl.TLSVersion.TLSv1_1
    made.options |= ssl.OP_NO_TLSv1_2


def nothing_left(made: ssl.SSLContext) -> None:
    made.options |= ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (crl_check, "revocation lists"),
        (hole, "between two others"),
        (nothing_left, "no version of TLS"),
    ],
)
def test_a_context_with_what_cannot_be_done_is_refused(
    change: Callable[[ssl.SSLContext], None], why: str
) -> None:
    made = ssl.create_default_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        change(made)
    assert why in refusal(context=made)


def test_a_context_with_a_callback_for_names_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made = ssl.SSLContext(ssl.PROTOCOL_TLS)
    made.sni_callback = lambda *_: None
    assert "sni_callback" in refusal(context=made)


def test_a_context_whose_ca_certificates_cannot_be_read_is_refused(tmp_path: Path) -> None:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(capath=tmp_path)
    assert "capath" in refusal(context=made)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ca_certs", "ca.crt"),
        ("cert_reqs", ssl.CERT_REQUIRED),
        ("version", ssl.PROTOCOL_TLS),
        ("ciphers", "DEFAULT"),
        ("insecure", False),
    ],
)
def test_a_context_and_a_key_that_says_the_same_are_refused(key: str, value: object) -> None:
    assert "both set" in refusal(context=context(), **{key: value})


def test_a_context_goes_with_certificate_key_and_alpn(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "flask_mqtt"):
        options = tls_options(context=context(), certfile="c", keyfile="k", alpn="mqtt")
    assert (options.certfile, options.keyfile, options.alpn) == ("c", "k", ["mqtt"])
    [record] = caplog.records
    assert record.getMessage() == (
        "A client certificate and ALPN cannot be read from MQTT_TLS_CONTEXT; name them in "
        "MQTT_TLS_CERTFILE, MQTT_TLS_KEYFILE and MQTT_TLS_ALPN"
    )


def test_a_context_for_servers_is_refused() -> None:
    refusal(context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_reading_keys_for_tls_warns_of_nothing_deprecated() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tls_options(version=3)
        tls_options(context=ssl.create_default_context())
    assert caught == []
