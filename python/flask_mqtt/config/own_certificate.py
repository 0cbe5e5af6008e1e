"""Whether an `ssl.SSLContext` has a client certificate, which no attribute of it tells."""

from __future__ import annotations

import contextlib
import ssl
import tempfile

#: For a handshake with oneself, in memory: this key protects nothing.
_SERVER = """\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIEWXiT/dBMFO4OZ087A8Bo+ax2CmwbJFIpHqrtgpxXFDoAoGCCqGSM49
AwEHoUQDQgAERy58vkhyB2IthvJSolZeS4EtiOblVjjytWt9bKy3lF2CSHgdjvE9
Zp0QVdC7XwdyRMIWJOkBjjun6C4wJkxhIA==
-----END EC PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUGVnQBWR3Io0rrK+guDLaVifC6I4wCgYIKoZIzj0EAwIw
IjEgMB4GA1UEAwwXZmxhc2stbXF0dC1ycyBpbiBtZW1vcnkwIBcNMjYxMTI5MjAy
MjUyWhgPMjEyNjExMDUyMDIyNTJaMCIxIDAeBgNVBAMMF2ZsYXNrLW1xdHQtcnMg
aW4gbWVtb3J5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAERy58vkhyB2IthvJS
olZeS4EtiOblVjjytWt9bKy3lF2CSHgdjvE9Zp0QVdC7XwdyRMIWJOkBjjun6C4w
JkxhIKNTMFEwHQYDVR0OBBYEFM3lD8Gv9nCBgthMHJIlqvk+qsU9MB8GA1UdIwQY
MBaAFM3lD8Gv9nCBgthMHJIlqvk+qsU9MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI
zj0EAwIDRwAwRAIgE26Vpdps1UQxIOP9WHZMhEnxsssz79mLmkN4RkO3RIoCIBaG
TqwvE+StA236Pp8NfKa8xxMsrgmrekqBdW96b0Z1
-----END CERTIFICATE-----
"""

_ROUNDS = 10


def has_certificate(context: ssl.SSLContext) -> bool:
    """Find out whether a context has a certificate of a client, by a handshake in memory.

    The client takes the certificate from the context, and nothing else: it verifies nothing, and
    the context stays as it is. The server asks for a certificate and trusts none, so that its
    handshake fails with one.

    Args:
        context: The context.

    Returns:
        Whether it has one; False also where that cannot be found out.
    """
    try:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(_SERVER)
            file.flush()
            server.load_cert_chain(file.name)
        server.verify_mode = ssl.CERT_OPTIONAL
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        asking = client.wrap_bio(to_client, to_server)
        answering = server.wrap_bio(to_server, to_client, server_side=True)
        asking.context = context
        for _ in range(_ROUNDS):
            for side in (asking, answering):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLCertVerificationError:
        return True
    except (OSError, ValueError):
        # No temporary file, or a context that goes with no other.
        return False
    return False
