"""What is asked of TLS, by the keys, and what can be read from an `ssl.SSLContext`."""

from __future__ import annotations

import logging
import ssl
import weakref

from .keys import TlsKeys
from .options import TlsOptions
from .own_certificate import has_certificate
from .tls_checks import TLS_1_2, TLS_1_3, VERSIONS

logger = logging.getLogger("flask_mqtt")

#: The contexts whose certificate was told of.
_told: weakref.WeakSet[ssl.SSLContext] = weakref.WeakSet()

_NO_VERSION = {
    768: ssl.OP_NO_SSLv3,
    769: ssl.OP_NO_TLSv1,
    770: ssl.OP_NO_TLSv1_1,
    TLS_1_2: ssl.OP_NO_TLSv1_2,
    TLS_1_3: ssl.OP_NO_TLSv1_3,
}

#: What a context says, so that no key may.
_READ_FROM_CONTEXT = (
    "tls_ca_certs", "tls_cert_reqs", "tls_version", "tls_ciphers", "tls_insecure",
)  # fmt: skip


def tls_options(values: TlsKeys) -> TlsOptions:
    """Return what TLS is asked for.

    Raises:
        ValueError: Two keys do not go together, or the context cannot be read.
    """
    if values.tls_certfile is None:
        for name in ("tls_keyfile", "tls_keyfile_password"):
            if getattr(values, name) is not None:
                raise ValueError(
                    f"{values.key(name)} is set and {values.key('tls_certfile')} is not: "
                    "a private key needs its certificate"
                )
    options = _from_keys(values) if values.tls_context is None else _from_context(values)
    options.certfile = values.tls_certfile
    options.keyfile = values.tls_keyfile
    options.keyfile_password = values.tls_keyfile_password
    options.alpn = list(values.tls_alpn or [])
    return options


def verifies(values: TlsKeys) -> bool:
    """Whether the broker's certificate is verified, by the keys."""
    return values.tls_cert_reqs != ssl.CERT_NONE


def _from_keys(values: TlsKeys) -> TlsOptions:
    lowest, highest = VERSIONS[values.tls_version]
    verify = verifies(values)
    return TlsOptions(
        ca_certs=values.tls_ca_certs,
        verify=verify,
        verify_host=verify and not values.tls_insecure,
        lowest=lowest,
        highest=highest,
        ciphers=values.tls_ciphers,
    )


def _from_context(values: TlsKeys) -> TlsOptions:
    key = values.key("tls_context")
    for name in _READ_FROM_CONTEXT:
        if values.is_set(name):
            raise ValueError(
                f"{key} and {values.key(name)} are both set: leave one out, "
                "the context says this itself"
            )
    if values.tls_certfile is None and values.tls_context is not None:
        tell_of_certificate(
            values.tls_context, values.key("tls_certfile"), values.key("tls_keyfile")
        )
    try:
        return read_context(values.tls_context)
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
        "The ssl.SSLContext has a client certificate, which cannot be read from it, so it is "
        "not sent: set %s and %s too",
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
    only_low, only_high = VERSIONS.get(int(context.protocol), (None, None))
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
    return spoken[0], None if spoken[-1] == TLS_1_3 else spoken[-1]


def _context_ciphers(context: ssl.SSLContext) -> str | None:
    # Python's own list, pinned by name, would leave out what a newer OpenSSL adds to it.
    usual = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    names = [str(cipher["name"]) for cipher in context.get_ciphers()]
    usual_names = [str(cipher["name"]) for cipher in usual.get_ciphers()]
    if names == usual_names and context.security_level == usual.security_level:
        return None
    return ":".join([*names, f"@SECLEVEL={context.security_level}"])
