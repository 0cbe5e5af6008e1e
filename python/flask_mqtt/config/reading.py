"""Reading the keys from ``app.config``."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from . import brokers, cleartext, suggestions, tls
from .keys import KEYS
from .options import Endpoint
from .shown import wrong_value
from .values import Config

logger = logging.getLogger("flask_mqtt")

#: The value of a key that others need.
_WANTED = {"transport": " = 'websockets'"}


def read(config: Mapping[str, Any], prefix: str) -> Config:
    """Read the keys that begin with ``prefix`` from a Flask configuration.

    Args:
        config: ``app.config``. Keys that mean nothing here are ignored; a warning says where one
            looks like a typo.
        prefix: ``MQTT``, or the ``config_prefix`` of one of several brokers.

    Returns:
        The values, checked.

    Raises:
        TypeError: A value has the wrong type. The message names the key and the value.
        ValueError: A value is not allowed. The message names the key, the value and what is.
    """
    given = _given(config, prefix)
    empty = [name for name, value in given.items() if _is_unset(name, value)]
    for name in empty:
        del given[name]
    _warn_of_unknown_keys(config, prefix)
    # A variable of the environment that is not there often becomes None.
    names = frozenset(
        name for name, value in given.items() if value is not None and not _is_blank(value)
    )
    result = Config(key_prefix=prefix, given=names).updated(given)
    endpoints = result.check()
    if brokers.any_tls(endpoints) and result.tls_context is None:
        _refuse_lost_trust(empty, result)
    _log_remarks(result, endpoints)
    return result


def _given(config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the values that are set by their name here, also those under a key in lower case."""
    given = {}
    for name in KEYS:
        key = f"{prefix}_{name.upper()}"
        if key in config:
            given[name] = config[key]
    for key, value in config.items():
        name = _name(key, prefix)
        if name in KEYS and name not in given:
            right = f"{prefix}_{name.upper()}"
            logger.warning("The configuration key %s is spelled %s; it was read anyway", right, key)
            given[name] = value
    return given


def _is_unset(name: str, value: object) -> bool:
    """Whether a value stands for none: an empty text mostly, as in an environment file."""
    if value is None:
        return KEYS[name].none_is_unset
    return not KEYS[name].empty_counts and _is_blank(value)


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def _refuse_lost_trust(empty: list[str], config: Config) -> None:
    # Otherwise a variable that got lost would widen what is trusted, without a word.
    for name in empty:
        usual = KEYS[name].lost
        counts = name != "tls_ca_certs" or tls.verifies(config)
        if usual is not None and counts:
            key = config.key(name)
            raise wrong_value(key, "", f"it must not be empty with TLS; without it {usual}")


def _warn_of_unknown_keys(config: Mapping[str, Any], prefix: str) -> None:
    """Say which key was meant: with ``MQTT_TLS_ENABLE`` alone the connection is in plaintext."""
    nested = config.get(prefix)
    if isinstance(nested, dict):
        # `from_prefixed_env` makes one of two underscores.
        for entry in nested:
            if isinstance(entry, str) and entry.lower() in KEYS:
                logger.warning(
                    "%s[%r] is not read; did you mean %s_%s, with one underscore?",
                    prefix,
                    entry,
                    prefix,
                    entry.upper(),
                )
    start = f"{_plain(prefix)}_"
    for key in config:
        if not isinstance(key, str) or _name(key, prefix) in KEYS:
            continue
        name = _plain(key)
        if not name.startswith(start):
            continue
        name = name[len(start) :]
        right = name if name in KEYS else suggestions.meant(name, KEYS)
        if right is not None and not _is_copied(config, key, f"{prefix}_{right.upper()}"):
            logger.warning(
                "%s is not a key of Flask-MQTT and has no effect; did you mean %s_%s?",
                # A space at its end would not be seen.
                key if key.isidentifier() else repr(key),
                prefix,
                right.upper(),
            )


def _is_copied(config: Mapping[str, Any], key: str, right: str) -> bool:
    """Whether an application has a value under both keys, as where one is made from the other."""
    return right in config and str(config[right]) == str(config[key])


def _plain(key: str) -> str:
    """Return a key in lower case, with one underscore for all that is no letter or digit."""
    return re.sub(r"[\W_]+", "_", key).strip("_").lower()


def _name(key: object, prefix: str) -> str:
    if isinstance(key, str) and key.upper().startswith(f"{prefix}_".upper()):
        return key[len(prefix) + 1 :].lower()
    return ""


def _log_remarks(config: Config, endpoints: list[Endpoint]) -> None:
    """Say in the log what the configuration has that comes to nothing."""
    for line in [*brokers.overridden(config), *cleartext.falls_back(config, endpoints)]:
        logger.warning("%s", line)
    with_tls = brokers.any_tls(endpoints)
    # A URL may say these as well.
    there = {
        "username": any(endpoint.username is not None for endpoint in endpoints),
        "transport": any(endpoint.transport == "websockets" for endpoint in endpoints),
        "tls_enabled": with_tls,
    }
    for name, entry in KEYS.items():
        if entry.needs is None or not config.is_changed(name) or getattr(config, name) == "":
            continue
        if not there.get(entry.needs, config.is_changed(entry.needs)):
            needed = f"{config.key(entry.needs)}{_WANTED.get(entry.needs, '')}"
            logger.warning("%s has no effect without %s", config.key(name), needed)
    if with_tls and config.tls_context is not None:
        logger.info(
            "A client certificate and ALPN cannot be read from %s; name them in %s, %s and %s",
            *map(config.key, ("tls_context", "tls_certfile", "tls_keyfile", "tls_alpn")),
        )
