"""The dashboard's page."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from models import Measurement, all_sensors, latest
from sensors import mqtt
from werkzeug.wrappers import Response

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def index() -> str:
    return render_template(
        "index.html", connected=mqtt.connected, curves=[latest(*sensor) for sensor in all_sensors()]
    )


@blueprint.post("/sensors/<room>/<int:sensor>/interval")
def set_interval(room: str, sensor: int) -> Response:
    seconds = request.form.get("seconds", 1.0, type=float)
    mqtt.publish(f"sensors/{room}/{sensor}/interval", {"seconds": seconds}, qos=1, retain=True)
    return redirect(url_for("pages.index"))


@blueprint.app_template_filter()
def points(curve: list[Measurement]) -> str:
    """Return the points of an SVG polyline, 300 wide and 80 high."""
    values = [measurement.celsius for measurement in curve]
    lowest, span = min(values), (max(values) - min(values)) or 1.0
    step = 300 / max(len(values) - 1, 1)
    return " ".join(
        f"{number * step:.1f},{75 - 70 * (value - lowest) / span:.1f}"
        for number, value in enumerate(values)
    )
