"""Checks of single values for TLS, as those in `checks`."""

from __future__ import annotations

import os
import ssl

from . import checks
from .shown import is_encoded, wrong_type, wrong_value

#: A `str` is a path; `bytes` are the PEM text itself.
Pem = str | bytes

_BEGIN = "-----BEGIN"

TLS_1_2 = 771
TLS_1_3 = 772

#: Lowest and highest version by the number of a constant of `ssl`; None is no bound. Numbers, so
#: that no deprecated name is touched.
VERSIONS: dict[int, tuple[int | None, int | None]] = {
    2: (TLS_1_2, None),  # PROTOCOL_TLS
    16: (TLS_1_2, None),  # PROTOCOL_TLS_CLIENT
    3: (769, 769),  # PROTOCOL_TLSv1
    4: (770, 770),
    5: (TLS_1_2, TLS_1_2),
    769: (769, 769),  # TLSVersion.TLSv1
    770: (770, 770),
    TLS_1_2: (TLS_1_2, TLS_1_2),
    TLS_1_3: (TLS_1_3, TLS_1_3),
    -2: (None, None),  # TLSVersion.MINIMUM_SUPPORTED
    -1: (TLS_1_3, None),  # TLSVersion.MAXIMUM_SUPPORTED
}

_REFUSED_VERSIONS = {
    0: "SSL 2 is not spoken any more",
    1: "SSL 3 is not spoken any more",
    768: "SSL 3 is not spoken any more",
    17: "it is for servers",
}

#: The same by name, as text of the environment has it.
_VERSION_WORDS = {
    "tls": 2, "tls.client": 16, "tls.server": 17, "sslv2": 0, "sslv3": 768, "sslv23": 2,
    "minimum.supported": -2, "maximum.supported": -1,
    **{f"{start}{end}": version
       for start in ("tlsv", "tls", "tls ", "")
       for end, version in (("1", 769), ("1.0", 769), ("1.1", 770), ("1.2", 771), ("1.3", 772))
       if start or "." in end},
}  # fmt: skip

_CERT_REQS_WORDS = {
    "none": 0, "optional": 1, "required": 2, "false": 0, "no": 0, "off": 0, "true": 1, "yes": 1,
    "on": 1,
}  # fmt: skip


def pem(key: str, value: object) -> Pem | None:
    """Check a path or PEM text: `str` for the path, `bytes` for the text."""
    wanted = "a path, PEM text (str or bytes) or None"
    if isinstance(value, os.PathLike):
        value = os.fsdecode(value)
    if value is None:
        return None
    if isinstance(value, str) and _BEGIN in value:
        value = value.encode(errors="replace")
    if isinstance(value, bytes):
        if _BEGIN.encode() not in value:
            raise wrong_value(key, value, "there is no -----BEGIN in it, so it is no PEM text")
        return value
    if not isinstance(value, str):
        raise wrong_type(key, value, wanted)
    if not value.strip() or "\0" in value or "\n" in value:
        raise wrong_value(key, value, f"it must be {wanted}")
    if is_encoded(value) and not os.path.exists(value):  # noqa: PTH110 - it may be too long for one
        # The error of a missing file would show a key.
        reason = "there is no such file, and no -----BEGIN in it, so it is no PEM text"
        raise wrong_value(key, value, reason)
    return checks.text(key, value)


def key_password(key: str, value: object) -> str | None:
    """Check the password of a private key."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
        if "\ufffd" in value:
            raise wrong_value(key, value, "it must be UTF-8")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise wrong_type(key, value, "a string, bytes or None")
    return checks.written(key, value)


def cert_reqs(key: str, value: object) -> int:
    """Check whether certificates are verified: a constant of `ssl`, or its name."""
    if isinstance(value, bool):
        # The example of Flask-MQTT has True, which is 1.
        value = int(value)
    wanted = "ssl.CERT_NONE (0), ssl.CERT_OPTIONAL (1) or ssl.CERT_REQUIRED (2)"
    # None as text is a mistake, and it must not switch verification off.
    if isinstance(value, str) and value.strip() != str(None):
        value = _CERT_REQS_WORDS.get(_bare(value), value)
    return ssl.VerifyMode(checks.number(range(3), wanted)(key, value))


def version(key: str, value: object) -> int:
    """Check a version of TLS: a constant of `ssl`, or its name."""
    given = value
    wanted = (
        "ssl.PROTOCOL_TLS_CLIENT or another PROTOCOL_TLS constant of ssl, an ssl.TLSVersion, or a "
        "name as 'TLSv1_2'"
    )
    if isinstance(value, float):
        # From the environment.
        value = _VERSION_WORDS.get(str(value), value)
    if isinstance(value, str):
        value = _VERSION_WORDS.get(_bare(value), value)
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip())
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise wrong_type(key, value, wanted)
    if value in _REFUSED_VERSIONS:
        reason = f"{_REFUSED_VERSIONS[int(value)]}; it must be {wanted}"
        raise wrong_value(key, given, reason)
    if isinstance(value, str) or value not in VERSIONS:
        raise wrong_value(key, value, f"it must be {wanted}")
    return value


def _bare(text: str) -> str:
    """Return a name of `ssl` as it is in the tables here: ``ssl.PROTOCOL_TLSv1_2`` as tlsv1.2."""
    bare = text.strip().lower().removeprefix("ssl.")
    for prefix in ("tlsversion.", "verifymode.", "_sslmethod.", "protocol_", "cert_"):
        bare = bare.removeprefix(prefix)
    return bare.replace("_", ".")


def ciphers(key: str, value: object) -> str | None:
    """Check a list of ciphers."""
    wanted = "a list of ciphers as OpenSSL writes it, as in 'ECDHE+AESGCM:!aNULL', or None"
    if value is not None and not isinstance(value, str):
        raise wrong_type(key, value, wanted)
    if value is not None and (not value.strip() or not value.isascii() or "\0" in value):
        raise wrong_value(key, value, f"it must be {wanted}")
    return value


def alpn(key: str, value: object) -> list[str] | None:
    """Check names of protocols."""
    if value is None:
        return None
    wanted = "a list of strings, a string with commas, or None"
    value = checks.from_json(key, value)
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise wrong_type(key, value, wanted)
    names = [name.strip() for name in names]
    if not all(name.isascii() and 1 <= len(name) <= 255 for name in names):  # noqa: PLR2004
        raise wrong_value(key, value, "each protocol must have 1 to 255 ASCII characters")
    return names


def context(key: str, value: object) -> ssl.SSLContext | None:
    """Check a context: what it says is read when it is used."""
    if value is not None and not isinstance(value, ssl.SSLContext):
        raise wrong_type(key, value, "an ssl.SSLContext or None")
    if value is not None and value.protocol == ssl.PROTOCOL_TLS_SERVER:
        raise ValueError(f"{key} is a context for servers: make one with create_default_context()")
    return value
