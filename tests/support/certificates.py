"""Certificates and keys for tests, good ones and bad ones, made anew by every test run."""

from __future__ import annotations

import datetime as dt
import ipaddress
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .server_process import find_program

if TYPE_CHECKING:
    from pathlib import Path

    Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

PKCS8 = pem.PrivateFormat.PKCS8
TRADITIONAL = pem.PrivateFormat.TraditionalOpenSSL  # "BEGIN RSA/EC PRIVATE KEY"
DAY = dt.timedelta(days=1)
LOCAL = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)


@dataclass(frozen=True)
class KeyPair:
    """The files of a certificate (or a chain, its own certificate first) and of its key."""

    certificate: Path
    key: Path


class Certificates:
    """The files, all PEM, in one directory. `KeyPair` has .certificate and .key.

    ca: the CA that signs everything that is not said to be signed by another.
    other_ca: a CA that signed `other_client` and nothing else.
    ca_directory: `ca` alone, under the name that OpenSSL looks for in a directory.
    garbage: looks like PEM, and holds no certificate and no key.

    server: for localhost, 127.0.0.1 and ::1. As it but for one thing:
    chained: signed by an intermediate CA, whose certificate is in the file too.
    unchained: the same without the certificate of the intermediate CA.
    expired: yesterday. not_yet_valid: until tomorrow. wrong_host: for other.example.
    self_signed: signed by itself.
    forging: signed by an authority whose name has line breaks and codes for a terminal.
    forging_names: for such a name.

    client: the client's, with an elliptic-curve key in PKCS#8.
    other_client: signed by `other_ca`.
    client_rsa: with an RSA key in PKCS#8.
    key_sec1: the key of `client` as "EC PRIVATE KEY".
    key_pkcs1: the key of `client_rsa` as "RSA PRIVATE KEY".
    key_pkcs8_encrypted, key_sec1_encrypted: the key of `client` behind `password`.
    key_pkcs1_encrypted: the key of `client_rsa` behind `password`.
    key_of_another: belongs to none of the certificates.
    client_combined: certificate and key of `client` in one file.
    """

    password = "s3cret-of-the-key"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._make_cas()
        self._make_servers()
        self._make_clients()

    def _make_cas(self) -> None:
        key, self._ca_key = _ec_key(), _ec_key()
        self._ca = _certificate("Test CA", self._ca_key, authority=True)
        self._other_key = key
        self._other = _certificate("Other CA", key, authority=True)
        self.ca = self._write("ca.pem", _pem(self._ca))
        self.other_ca = self._write("other-ca.pem", _pem(self._other))
        self.garbage = self._write(
            "garbage.pem", b"-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"
        )
        command = [find_program("openssl", "openssl"), "x509", "-noout", "-hash", "-in"]
        name_hash = subprocess.run(
            [*command, str(self.ca)], check=True, capture_output=True, text=True
        )
        self.ca_directory = self.directory / "ca-directory"
        self.ca_directory.mkdir()
        (self.ca_directory / f"{name_hash.stdout.strip()}.0").write_bytes(_pem(self._ca))

    def _make_servers(self) -> None:
        now = dt.datetime.now(dt.timezone.utc)
        self.server = self._server("server")
        self.expired = self._server("expired", dates=(now - 2 * DAY, now - DAY))
        self.not_yet_valid = self._server("not-yet-valid", dates=(now + DAY, now + 2 * DAY))
        self.wrong_host = self._server("wrong-host", names=(x509.DNSName("other.example"),))
        key = _ec_key()
        own = _certificate("Self-signed", key, names=LOCAL, usage=ExtendedKeyUsageOID.SERVER_AUTH)
        self.self_signed = self._pair("self-signed", _pem(own), key)
        between_key, key = _ec_key(), _ec_key()
        between = _certificate(
            "Intermediate CA", between_key, (self._ca, self._ca_key), authority=True
        )
        leaf = _certificate(
            "Chained server",
            key,
            (between, between_key),
            names=LOCAL,
            usage=ExtendedKeyUsageOID.SERVER_AUTH,
        )
        self.chained = self._pair("chained", _pem(leaf) + _pem(between), key)
        self.unchained = self._pair("unchained", _pem(leaf), key)
        forged = "x\n2026-01-01 CRITICAL forged\x1b[31m"
        forger = _certificate(f"{forged}\u202e\x85", between_key, authority=True)
        leaf = _certificate("Forging", key, (forger, between_key), names=LOCAL)
        self.forging = self._pair("forging", _pem(leaf), key)
        self.forging_names = self._server("forging-names", names=(x509.DNSName(forged),))

    def _make_clients(self) -> None:
        usage, ca = ExtendedKeyUsageOID.CLIENT_AUTH, (self._ca, self._ca_key)
        key, rsa_key = _ec_key(), rsa.generate_private_key(public_exponent=65537, key_size=2048)
        certificate = _pem(_certificate("client", key, ca, usage=usage))
        self.client = self._pair("client", certificate, key)
        self.client_combined = self._write("client-combined.pem", certificate + _key_pem(key))
        self.client_rsa = self._pair(
            "client-rsa", _pem(_certificate("client-rsa", rsa_key, ca, usage=usage)), rsa_key
        )
        self.other_client = self._pair(
            "other-client",
            _pem(_certificate("client", key, (self._other, self._other_key), usage=usage)),
            key,
        )
        secret = self.password
        self.key_sec1 = self._write("key-sec1.pem", _key_pem(key, TRADITIONAL))
        self.key_pkcs1 = self._write("key-pkcs1.pem", _key_pem(rsa_key, TRADITIONAL))
        self.key_pkcs8_encrypted = self._write("key-pkcs8-enc.pem", _key_pem(key, PKCS8, secret))
        self.key_sec1_encrypted = self._write(
            "key-sec1-enc.pem", _key_pem(key, TRADITIONAL, secret)
        )
        self.key_pkcs1_encrypted = self._write(
            "key-pkcs1-enc.pem", _key_pem(rsa_key, TRADITIONAL, secret)
        )
        self.key_of_another = self._write("key-of-another.pem", _key_pem(_ec_key()))

    def _server(
        self,
        name: str,
        names: tuple[x509.GeneralName, ...] = LOCAL,
        dates: tuple[dt.datetime, dt.datetime] | None = None,
    ) -> KeyPair:
        key, ca = _ec_key(), (self._ca, self._ca_key)
        usage = ExtendedKeyUsageOID.SERVER_AUTH
        return self._pair(
            name, _pem(_certificate(name, key, ca, names=names, usage=usage, dates=dates)), key
        )

    def _pair(self, name: str, certificate: bytes, key: Key) -> KeyPair:
        return KeyPair(
            self._write(f"{name}.pem", certificate), self._write(f"{name}-key.pem", _key_pem(key))
        )

    def _write(self, name: str, content: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(content)
        return path


def _ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(pem.Encoding.PEM)


def _key_pem(key: Key, form: pem.PrivateFormat = PKCS8, password: str = "") -> bytes:
    encryption: pem.KeySerializationEncryption = pem.NoEncryption()
    if password:
        encryption = pem.BestAvailableEncryption(password.encode())
    return key.private_bytes(pem.Encoding.PEM, form, encryption)


def _certificate(
    common_name: str,
    key: Key,
    issuer: tuple[x509.Certificate, Key] | None = None,
    *,
    names: tuple[x509.GeneralName, ...] = (),
    usage: x509.ObjectIdentifier | None = None,
    authority: bool = False,
    dates: tuple[dt.datetime, dt.datetime] | None = None,
) -> x509.Certificate:
    """Make a certificate with what X509_V_FLAG_X509_STRICT asks for; no issuer: self-signed."""
    now = dt.datetime.now(dt.timezone.utc)
    first, last = dates or (now - DAY, now + DAY)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    signer_name, signer_key = (issuer[0].subject, issuer[1]) if issuer else (subject, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key()),
            critical=False,
        )
        .add_extension(_key_usage(authority=authority), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return builder.sign(signer_key, hashes.SHA256())


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
