"""The configuration keys of Flask-MultiMQTT, as those of `flask_mqtt`."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from flask_mqtt.config.shown import Name, shown, without_userinfo, wrong_type, wrong_value

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger("flask_mqtt")

_URI = Name("MQTT_URI", without_userinfo)
_HOST = Name("MQTT_HOST", without_userinfo)
_BROKER_URL = Name("MQTT_BROKER_URL", without_userinfo)

#: Where there is no other word on it.
_DEFAULT_HOST = "127.0.0.1"
_TLS_PORT = 8883


class _Parts(NamedTuple):
    """What a URI says; None for what it does not."""

    tls: bool = False
    host: str | None = None
    port: int | None = None
    username: str | None = None
    password: str | None = None
    prefix: str | None = None


def as_mqtt(config: Mapping[str, Any], client_id: str | None) -> dict[str, Any]:
    """Return a configuration with the keys that `Mqtt` reads.

    Args:
        config: ``app.config``.
        client_id: In the place of ``MQTT_CLIENT_ID``, if it is not None.

    Raises:
        TypeError: A key has the wrong type. The message names it and the value.
        ValueError: The URI is none, or one of something else. The message does likewise.
    """
    made = dict(config)
    uri = _read_uri(made.pop(_URI, None))
    host = _read_host(made.pop(_HOST, None)) or uri.host
    if host is not None:
        _warn_of_another(made.get(_BROKER_URL), host)
        made[_BROKER_URL] = host
    made.setdefault(_BROKER_URL, _DEFAULT_HOST)
    if uri.tls:
        made["MQTT_TLS_ENABLED"] = True
        made.setdefault("MQTT_BROKER_PORT", _TLS_PORT)
    if uri.port is not None:
        made["MQTT_BROKER_PORT"] = uri.port
    # The separate keys override the parts of the URI.
    for name in ("username", "password", "prefix"):
        part = getattr(uri, name)
        if part is not None:
            made.setdefault(f"MQTT_{name.upper()}", part)
    made.setdefault("MQTT_JSON", True)
    if client_id is not None:
        made["MQTT_CLIENT_ID"] = client_id
    return made


def _read_uri(value: object) -> _Parts:
    if value is None or value == "":
        return _Parts()
    if not isinstance(value, str):
        raise wrong_type(_URI, value, "a string, as in 'mqtt://broker.example.com/prefix'")
    uri, port = _split(value.strip())
    return _Parts(
        tls=uri.scheme == "mqtts",
        host=uri.hostname or None,
        port=port,
        username=_decoded(uri.username),
        password=_decoded(uri.password),
        prefix=_decoded(uri.path.removeprefix("/")),
    )


def _split(value: str) -> tuple[SplitResult, int | None]:
    """Return the parts of a URI, and its port."""
    if not value.lower().startswith(("mqtt://", "mqtts://")):
        raise wrong_value(
            _URI, value, "it must begin with mqtt:// or mqtts://; MQTT_TRANSPORT has websockets"
        )
    found = None
    # What is raised here may show a password.
    with contextlib.suppress(ValueError):
        uri = urlsplit(value)
        found = uri, uri.port
    if found is None:
        raise wrong_value(_URI, value, "it must be mqtt://user:password@host:port/prefix")
    if uri.query or uri.fragment:
        raise wrong_value(
            _URI, value, "it must not have ? and #; in a password they are %3F and %23"
        )
    return found


def _decoded(text: str | None) -> str | None:
    return unquote(text) if text else None


def _read_host(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise wrong_type(_HOST, value, "a string")
    return value


def _warn_of_another(broker_url: object, host: str) -> None:
    if broker_url not in (None, "", host):
        logger.warning(
            "MQTT_BROKER_URL = %s has no effect: MQTT_URI or MQTT_HOST says %s",
            shown(_BROKER_URL, broker_url),
            shown(_HOST, host),
        )
