"""Keys that are none: which key was meant, where one was."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

#: Names that other MQTT packages, brokers' images and compose files have for a key.
_OTHER_NAMES = {
    "broker_url": (
        "address", "broker", "brokers", "broker_address", "broker_addr", "broker_domain",
        "broker_host", "broker_hostname", "broker_ip", "broker_ip_address", "broker_server",
        "broker_uri", "connection_url", "endpoint", "host", "host_ip", "hostname", "host_name",
        "ip", "ip_address", "server", "uri", "url",
    ),
    "broker_port": ("port", "host_port", "tcp_port", "tls_port"),
    "username": (
        "user", "usr", "login", "auth_user", "auth_username", "broker_user", "broker_username",
        "client_user", "client_username", "user_id",
    ),
    "password": (
        "pass", "passwd", "pw", "pwd", "auth_pass", "auth_password", "broker_pass",
        "broker_password", "client_pass", "client_password", "user_password",
    ),
    "client_id": ("client_identifier", "broker_client_id"),
    "keepalive": ("broker_keepalive", "keepalive_interval", "keepalive_secs", "keepalive_seconds",
                  "keepalive_time", "ping_interval"),
    "clean_session": ("clean", "clean_start"),
    "protocol_version": ("protocol", "version", "mqtt_version", "broker_protocol"),
    "transport": ("transport_protocol", "transport_type", "use_ws", "ws", "ws_enabled"),
    "ws_path": ("broker_path",),
    "ws_headers": ("headers",),
    "connection_timeout": ("connect_timeout", "connection_time_out"),
    "reconnect_delay_min": ("reconnect_delay", "reconnect_interval", "reconnect_min"),
    "reconnect_delay_max": ("reconnect_max",),
    "max_inflight": ("max_inflight_messages",),
    "max_queued": ("max_queued_messages", "queue_size"),
    "last_will_topic": ("last_will", "last_will_and_testament"),
    "persistence": ("persistence_file", "persistence_path"),
    "proxy": ("http_proxy", "https_proxy", "proxy_url", "proxy_host", "proxy_addr", "socks_proxy"),
    "bind_address": ("bind", "bind_ip", "bind_host"),
    "tls_enabled": (
        "enable_tls", "encrypted", "encryption", "mqtts", "secure", "secure_connection",
        "tls", "tls_active", "tls_on", "tls_required", "use_mqtts", "use_tls", "with_tls",
        "broker_tls", "is_tls",
    ),
    "tls_ca_certs": (
        "ca", "cacert", "cacerts", "cafile", "capath", "ca_cert", "ca_certfile", "ca_certs",
        "ca_certificate",
        "ca_certificates", "ca_crt", "ca_file", "ca_path", "root_ca", "root_cert", "tls_ca",
        "tls_ca_certificate", "tls_ca_certfile", "tls_ca_crt", "tls_ca_file", "tls_ca_path",
        "tls_root_ca",
    ),
    "tls_certfile": (
        "cert", "certfile", "certificate", "cert_path", "client_cert", "client_certificate", "crt",
        "tls_cert", "tls_certificate", "tls_cert_path", "tls_client_cert", "tls_crt",
    ),
    "tls_keyfile": (
        "client_key", "keyfile", "key_path", "private_key", "tls_client_key", "tls_key",
        "tls_key_path", "tls_private_key",
    ),
    "tls_keyfile_password": (
        "keyfile_password", "key_password", "tls_key_password", "tls_passphrase", "tls_password",
    ),
    "tls_cert_reqs": (
        "cert_reqs", "cert_required", "reject_unauthorized", "tls_cert_required",
        "tls_require_cert", "tls_reject_unauthorized", "tls_verify", "verify",
        "verify_cert", "verify_tls", "tls_verify_mode", "tls_skip_verify", "skip_verify",
    ),
    "tls_insecure": (
        "allow_insecure", "insecure", "tls_allow_insecure", "tls_check_hostname",
        "tls_insecure_set",
    ),
    "tls_version": ("tls_protocol",),
    "tls_ciphers": ("ciphers", "cipher_suites", "tls_cipher_suites"),
    "tls_alpn": ("alpn", "alpn_protocols", "tls_alpn_protocols"),
    "tls_context": ("tls_ctx",),
}  # fmt: skip

_MEANT = {other: name for name, others in _OTHER_NAMES.items() for other in others}

#: Words that mean the same in a name.
_WORDS = {
    "addr": "address", "lastwill": "last_will", "lwt": "last_will", "msg": "message",
    "payload": "message", "ssl": "tls", "ver": "version", "websocket": "ws", "websockets": "ws",
}  # fmt: skip

_FIRST_WORDS = {"server": "broker", "will": "last_will"}

_FRONTS = {"broker", "client", "connection", "mqtt"}

#: From how many letters on a name may have one slip, and two.
_LONG, _VERY_LONG = 5, 10

#: From how many letters on a name of another package may have one.
_OTHER_LONG = 11

#: One or two letters from a key, and words of their own.
_OWN = {"browser_url", "persistent", "transports"}


def meant(name: str, known: Collection[str]) -> str | None:
    """Return the known name that an unknown one stands for.

    Args:
        name: Without its prefix, in lower case.
        known: The names of all keys.

    Returns:
        The name, or None where the unknown one is probably the application's own.
    """
    if name in _OWN:
        return None
    same = _same_words(name)
    for candidate in (name, same, *_without_front(same, known)):
        right = _MEANT.get(candidate) or _written_otherwise(candidate, known)
        if right is not None:
            return right
    ends = [key for key in known if same.endswith(f"_{key}")]
    if ends:
        # Probably of another extension, whose prefix begins as this one.
        known = [key for key in known if any(key.endswith(f"_{end}") for end in ends)]
    return _misspelled(same, known)


def _same_words(name: str) -> str:
    words = [_WORDS.get(word, word) for word in name.split("_")]
    return "_".join([_FIRST_WORDS.get(words[0], words[0]), *words[1:]])


def _without_front(name: str, known: Collection[str]) -> list[str]:
    """Return a name without a word before it that says nothing, as in ``broker_tls_enabled``."""
    front, _, rest = name.partition("_")
    is_key = rest in known or (front == "broker" and rest in _MEANT)
    return [rest] if front in _FRONTS and is_key else []


def _written_otherwise(name: str, known: Collection[str]) -> str | None:
    """Look for the same words: run together, taken apart, or in another order."""
    others = {**{key: key for key in known}, **_MEANT}
    letters, words = _letters(name), sorted(name.split("_"))
    for other, right in others.items():
        if _letters(other) == letters:
            return right
        # Words in another order have the same number of letters.
        if len(other) == len(name) and sorted(other.split("_")) == words:
            return right
    return None


def _misspelled(name: str, known: Collection[str]) -> str | None:
    letters = _letters(name)
    slips: dict[str, int] = {}
    others = [other for other, key in _MEANT.items() if key in known and len(other) >= _OTHER_LONG]
    for key in [*known, *others]:
        right = _letters(key)
        allowed = 1 if key in _MEANT else (len(key) >= _LONG) + (len(key) >= _VERY_LONG)
        # A slip changes the length by one at most, and two of the letters: most are none at a look.
        if abs(len(letters) - len(right)) > allowed or len(set(letters) ^ set(right)) > 2 * allowed:
            continue
        count = _slips(letters, right)
        if count <= allowed:
            meant_key = _MEANT.get(key, key)
            slips[meant_key] = min(count, slips.get(meant_key, count))
    return min(slips, key=lambda key: slips[key], default=None)


def _letters(name: str) -> str:
    return name.replace("_", "")


def _slips(one: str, two: str) -> int:
    """Count the letters that are wrong, missing, too many or swapped with the next one."""
    before: list[int] = []
    row = list(range(len(two) + 1))
    for index, (previous, letter) in enumerate(pairwise(f" {one}"), start=1):
        before, above, row = row, before, [index]
        for place, other in enumerate(two, start=1):
            cost = min(before[place] + 1, row[-1] + 1, before[place - 1] + (letter != other))
            if above and place > 1 and letter == two[place - 2] and previous == other:
                cost = min(cost, above[place - 2] + 1)
            row.append(cost)
    return row[-1]
