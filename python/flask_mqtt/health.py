"""Health checks for orchestrators: a blueprint with ``/healthz`` and ``/readyz``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, jsonify

from .extension.health import Health, check_limits, health_of, is_alive

if TYPE_CHECKING:
    from flask import Response

    from .extension import Mqtt

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
        TypeError: There is no extension, or a limit is not a number.
        ValueError: A limit is negative.
    """
    if not extensions:
        message = "blueprint() needs the extensions to look at: blueprint(mqtt)"
        raise TypeError(message)
    check_limits(max_age, timeout)
    pages = Blueprint(name, __name__)

    @pages.get("/healthz")
    def healthz() -> Response:
        dead = [mqtt.config_prefix for mqtt in extensions if not is_alive(mqtt)]
        reason = "the thread that calls the handlers has ended"
        return _answer("alive", dict.fromkeys(dead, reason))

    @pages.get("/readyz")
    def readyz() -> Response:
        looked = {mqtt.config_prefix: health_of(mqtt, max_age, timeout) for mqtt in extensions}
        return _answer(
            "ready", {prefix: health.reason for prefix, health in looked.items() if not health}
        )

    return pages


def _answer(word: str, reasons: dict[str, str]) -> Response:
    response = jsonify({word: not reasons, "reasons": reasons})
    response.status_code = 503 if reasons else 200
    response.headers["Cache-Control"] = "no-store"
    return response
