"""Health checks for orchestrators: a blueprint with ``/healthz`` and ``/readyz``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from flask import Blueprint, jsonify

from .extension import Mqtt
from .extension.health import Health, check_limits, health_of, is_alive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flask import Response

__all__ = ["Health", "blueprint"]


def blueprint(
    *extensions: Mqtt,
    max_age: float | None = None,
    timeout: float = 5.0,
    name: str = "mqtt_health",
) -> Blueprint:
    """Make a blueprint with two pages for an orchestrator, such as Kubernetes.

    ``/healthz`` answers 200 as long as the process serves requests and no thread of the extensions
    has ended by a fault. ``/readyz`` answers 200 if every extension is healthy: see
    :meth:`flask_mqtt.Mqtt.healthy`. Otherwise they answer 503. Both send a small JSON document that
    says why; it has no topics and nothing secret.

    Args:
        *extensions: The extensions to look at.
        max_age: As for :meth:`flask_mqtt.Mqtt.healthy`, in seconds. A page that is asked while the
            broker is silent then waits for the broker.
        timeout: As for :meth:`flask_mqtt.Mqtt.healthy`, in seconds, for each extension.
        name: The name of the blueprint.

    Returns:
        A blueprint for ``app.register_blueprint``, which also takes a ``url_prefix``.

    Raises:
        TypeError: There is no extension, or what is given is none, or a limit is not a number.
        ValueError: A limit is negative.
    """
    if not extensions:
        message = "blueprint() needs the extensions to look at: blueprint(mqtt)"
        raise TypeError(message)
    given: tuple[object, ...] = extensions
    for each in given:
        if not isinstance(each, Mqtt):
            message = (
                f"blueprint() needs objects of Mqtt, not {type(each).__name__}; of a MultiMQTT, "
                "give its attribute mqtt"
            )
            raise TypeError(message)
    check_limits(max_age, timeout)
    pages = Blueprint(name, __name__)

    @pages.get("/healthz")
    def healthz() -> Response:
        dead = [name for name, mqtt in _named(extensions) if not is_alive(mqtt)]
        reason = "the thread that calls the handlers has ended"
        return _answer("alive", dict.fromkeys(dead, reason))

    @pages.get("/readyz")
    def readyz() -> Response:
        looked = {name: health_of(mqtt, max_age, timeout) for name, mqtt in _named(extensions)}
        return _answer(
            "ready", {name: health.reason for name, health in looked.items() if not health}
        )

    return pages


def _named(extensions: Iterable[Mqtt]) -> Iterator[tuple[str, Mqtt]]:
    """Return the extensions with what the pages call them: their prefix, the second with a 2."""
    times: Counter[str] = Counter()
    for mqtt in extensions:
        prefix = mqtt.config_prefix
        times[prefix] += 1
        yield prefix if times[prefix] == 1 else f"{prefix}-{times[prefix]}", mqtt


def _answer(word: str, reasons: dict[str, str]) -> Response:
    response = jsonify({word: not reasons, "reasons": reasons})
    response.status_code = 503 if reasons else 200
    response.headers["Cache-Control"] = "no-store"
    return response
