"""The keys for TLS, and what can be read from an `ssl.SSLContext`."""

from __future__ import annotations

import logging
import os
import ssl
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import checks
from .base import Settings
from .checks import wrong_type, wrong_value
from .options import TlsOptions
from .own_certificate import has_certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from .options import Pem

logger = logging.getLogger("flask_mqtt")

#: The contexts whose certificate was told of.
_told: weakref.WeakSet[ssl.SSLContext] = weakref.WeakSet()

_BEGIN = "-----BEGIN"

_TLS_1_2 = 771
_TLS_1_3 = 772

#: Lowest and highest version by the number of a constant of `ssl`; None is no bound. Numbers, so
#: that no deprecated name is touched.
_VERSIONS: dict[int, tuple[int | None, int | None]] = {
    2: (_TLS_1_2, None),  # PROTOCOL_TLS
    16: (_TLS_1_2, None),  # PROTOCOL_TLS_CLIENT
    3: (769, 769),  # PROTOCOL_TLSv1
    4: (770, 770),
    5: (_TLS_1_2, _TLS_1_2),
    769: (769, 769),  # TLSVersion.TLSv1
    770: (770, 770),
    _TLS_1_2: (_TLS_1_2, _TLS_1_2),
    _TLS_1_3: (_TLS_1_3, _TLS_1_3),
    -2: (None, None),  # TLSVersion.MINIMUM_SUPPORTED
    -1: (_TLS_1_3, None),  # TLSVersion.MAXIMUM_SUPPORTED
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

_NO_VERSION = {
    768: ssl.OP_NO_SSLv3,
    769: ssl.OP_NO_TLSv1,
    770: ssl.OP_NO_TLSv1_1,
    _TLS_1_2: ssl.OP_NO_TLSv1_2,
    _TLS_1_3: ssl.OP_NO_TLSv1_3,
}

#: What a context says, so that no key may.
_READ_FROM_CONTEXT = (
    "tls_ca_certs", "tls_cert_reqs", "tls_version", "tls_ciphers", "tls_insecure",
)  # fmt: skip


@dataclass
class TlsSettings(Settings):
    """The values of the keys for TLS."""

    tls_ca_certs: Pem | None = field(default=None, repr=False)
    tls_certfile: Pem | None = field(default=None, repr=False)
    tls_keyfile: Pem | None = field(default=None, repr=False)
    tls_keyfile_password: str | None = field(default=None, repr=False)
    tls_cert_reqs: int = ssl.CERT_REQUIRED
    tls_version: int = ssl.PROTOCOL_TLS_CLIENT
    tls_ciphers: str | None = None
    tls_insecure: bool = False
    tls_alpn: list[str] | None = None
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)

    def tls_options(self) -> TlsOptions:
        """Return what TLS is asked for.

        Raises:
            ValueError: Two keys do not go together, or the context cannot be read.
        """
        if self.tls_certfile is None:
            for name in ("tls_keyfile", "tls_keyfile_password"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{self.key(name)} is set and {self.key('tls_certfile')} is not: "
                        "a private key needs its certificate"
                    )
        options = self._from_keys() if self.tls_context is None else self._from_context()
        options.certfile = self.tls_certfile
        options.keyfile = self.tls_keyfile
        options.keyfile_password = self.tls_keyfile_password
        options.alpn = list(self.tls_alpn or [])
        return options

    @property
    def verifies(self) -> bool:
        """Whether the broker's certificate is verified, by the keys."""
        return self.tls_cert_reqs != ssl.CERT_NONE

    def _from_keys(self) -> TlsOptions:
        lowest, highest = _VERSIONS[self.tls_version]
        verify = self.verifies
        return TlsOptions(
            ca_certs=self.tls_ca_certs,
            verify=verify,
            verify_host=verify and not self.tls_insecure,
            lowest=lowest,
            highest=highest,
            ciphers=self.tls_ciphers,
        )

    def _from_context(self) -> TlsOptions:
        key = self.key("tls_context")
        for name in _READ_FROM_CONTEXT:
            if self.is_set(name):
                raise ValueError(
                    f"{key} and {self.key(name)} are both set: leave one out, "
                    "the context says this itself"
                )
        if self.tls_certfile is None and self.tls_context is not None:
            tell_of_certificate(self.tls_context, self.key("tls_certfile"), self.key("tls_keyfile"))
        try:
            return read_context(self.tls_context)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None


def tell_of_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Log a warning, once, where a context has a client certificate, since that cannot be read.

    Args:
        context: The context.
        certificate: What is to be set in its place.
        key: So with the private key.
    """
    if context in _told or not has_certificate(context):
        return
    _told.add(context)
    logger.warning(
        "The ssl.SSLContext has a client certificate, which cannot be read from it, so the broker "
        "does not get it: set %s and %s too",
        certificate,
        key,
    )


def read_context(context: ssl.SSLContext | None) -> TlsOptions:
    """Return what can be read from a context.

    Raises:
        ValueError: It says what has no counterpart, or does not let itself be read.
    """
    if context is None:
        return TlsOptions()
    if context.verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN:
        raise ValueError(
            "revocation lists (VERIFY_CRL_CHECK_LEAF or _CHAIN) cannot be read from it"
        )
    if context.sni_callback is not None:
        raise ValueError("it has an sni_callback, which is for servers")
    lowest, highest = _context_versions(context)
    return TlsOptions(
        ca_certs=_context_authorities(context),
        verify=context.verify_mode != ssl.CERT_NONE,
        verify_host=context.check_hostname,
        lowest=lowest,
        highest=highest,
        ciphers=_context_ciphers(context),
    )


def _context_authorities(context: ssl.SSLContext) -> bytes | None:
    authorities = set(context.get_ca_certs(binary_form=True))
    usual = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    usual.load_default_certs()
    is_usual = authorities == set(usual.get_ca_certs(binary_form=True))
    if is_usual or context.verify_mode == ssl.CERT_NONE:
        return None
    if not authorities:
        raise ValueError(
            "no CA certificate can be read from it: load a file or load_default_certs(); "
            "a directory (capath) cannot be read"
        )
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in sorted(authorities)).encode()


def _context_versions(context: ssl.SSLContext) -> tuple[int | None, int | None]:
    # Besides its bounds, a context has one flag for each version, and the protocol it is made of.
    low, high = int(context.minimum_version), int(context.maximum_version)
    only_low, only_high = _VERSIONS.get(int(context.protocol), (None, None))
    if only_high is None:
        only_low = None
    spoken = [
        version
        for version, flag in _NO_VERSION.items()
        if not context.options & flag
        and max(low, only_low or 0) <= version
        and (high < 0 or version <= high)
        and (only_high is None or version <= only_high)
    ]
    if not spoken:
        raise ValueError("it leaves no version of TLS")
    if len([version for version in _NO_VERSION if spoken[0] <= version <= spoken[-1]]) != len(
        spoken
    ):
        raise ValueError("it leaves out a version of TLS between two others")
    return spoken[0], None if spoken[-1] == _TLS_1_3 else spoken[-1]


def _context_ciphers(context: ssl.SSLContext) -> str | None:
    # Python's own list, pinned by name, would leave out what a newer OpenSSL adds to it.
    usual = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    names = [str(cipher["name"]) for cipher in context.get_ciphers()]
    usual_names = [str(cipher["name"]) for cipher in usual.get_ciphers()]
    if names == usual_names and context.security_level == usual.security_level:
        return None
    return ":".join([*names, f"@SECLEVEL={context.security_level}"])


def _pem(key: str, value: object) -> Pem | None:
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
    return checks.text(key, value)


def _key_password(key: str, value: object) -> str | None:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
        if "\ufffd" in value:
            raise wrong_value(key, value, "it must be UTF-8")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise wrong_type(key, value, "a string, bytes or None")
    return checks.written(key, value)


def _cert_reqs(key: str, value: object) -> int:
    if value is None:
        return ssl.CERT_REQUIRED
    if isinstance(value, bool):
        # The example of Flask-MQTT has True, which is 1.
        value = int(value)
    wanted = "ssl.CERT_NONE (0), ssl.CERT_OPTIONAL (1) or ssl.CERT_REQUIRED (2)"
    # None as text is a mistake, and it must not switch verification off.
    if isinstance(value, str) and value.strip() != str(None):
        value = _CERT_REQS_WORDS.get(_bare(value), value)
    return ssl.VerifyMode(checks.number(range(3), wanted)(key, value))


def _version(key: str, value: object) -> int:
    if value is None:
        return ssl.PROTOCOL_TLS_CLIENT
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
    if isinstance(value, str) or value not in _VERSIONS:
        raise wrong_value(key, value, f"it must be {wanted}")
    return value


def _bare(text: str) -> str:
    """Return a name of `ssl` as it is in the tables here: ``ssl.PROTOCOL_TLSv1_2`` as tlsv1.2."""
    bare = text.strip().lower().removeprefix("ssl.")
    for prefix in ("tlsversion.", "verifymode.", "_sslmethod.", "protocol_", "cert_"):
        bare = bare.removeprefix(prefix)
    return bare.replace("_", ".")


def _ciphers(key: str, value: object) -> str | None:
    wanted = "a list of ciphers as OpenSSL writes it, as in 'ECDHE+AESGCM:!aNULL', or None"
    if value is not None and not isinstance(value, str):
        raise wrong_type(key, value, wanted)
    if value is not None and (not value.strip() or not value.isascii() or "\0" in value):
        raise wrong_value(key, value, f"it must be {wanted}")
    return value


def _alpn(key: str, value: object) -> list[str] | None:
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


def _context(key: str, value: object) -> ssl.SSLContext | None:
    if value is not None and not isinstance(value, ssl.SSLContext):
        raise wrong_type(key, value, "an ssl.SSLContext or None")
    if value is not None and value.protocol == ssl.PROTOCOL_TLS_SERVER:
        raise ValueError(f"{key} is a context for servers: make one with create_default_context()")
    return value


#: The check of each key.
CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "tls_ca_certs": _pem,
    "tls_certfile": _pem,
    "tls_keyfile": _pem,
    "tls_keyfile_password": _key_password,
    "tls_cert_reqs": _cert_reqs,
    "tls_version": _version,
    "tls_ciphers": _ciphers,
    "tls_insecure": checks.boolean,
    "tls_alpn": _alpn,
    "tls_context": _context,
}
