"""Topic filters without a connection: look-ups in an MQTTMatcher, and handlers that are registered.

values: filters, how many; kind: "hot", thirty topics again and again, "new", ever new ones, or
"add".
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import peers

HOT, NEW, SECONDS = 30, 100_000, 0.3
#: A third of the filters is exact, a third has a `+` and a third a `#`.
FILTERS = ("lamp/{}", "door/{}/+", "room/{}/#")


def run(name: str, values: dict[str, Any]) -> dict[str, float]:
    """Measure."""
    names = [FILTERS[i % 3].format(i // 3) for i in range(values["filters"])]
    return {"rate": add(names) if values["kind"] == "add" else match(name, names, values["kind"])}


def topics(count: int, kind: str) -> list[str]:
    """Return topics, each of which matches one of the filters."""
    places = max(1, count // 3)
    if kind == "hot":
        forms = itertools.cycle(("lamp/{}", "door/{}/x", "room/{}/x/y"))
        return [next(forms).format(i % places) for i in range(HOT)]
    forms = itertools.cycle(("door/{}/{}", "room/{}/{}/y"))
    return [next(forms).format(i % places, i) for i in range(NEW)]


def match(name: str, filters: list[str], kind: str) -> float:
    """Return look-ups per second."""
    matcher = new_matcher(name)
    for topic_filter in filters:
        matcher[topic_filter] = topic_filter
    names = topics(len(filters), kind)
    done, started = 0, time.monotonic()
    while time.monotonic() - started < SECONDS:
        for topic in names:
            for _ in matcher.iter_match(topic):
                pass
        done += len(names)
    return done / (time.monotonic() - started)


def new_matcher(name: str) -> Any:
    """Return the matcher of a client."""
    if name == peers.OURS:
        from flask_mqtt._core import MQTTMatcher

        return MQTTMatcher()
    from paho.mqtt.matcher import MQTTMatcher as PahoMatcher

    return PahoMatcher()


def add(filters: list[str]) -> float:
    """Return handlers registered per second: functions, as those of applications are."""
    from flask_mqtt import Mqtt

    def handle(client: object, userdata: object, message: object) -> None:
        pass

    mqtt = Mqtt()
    started = time.monotonic()
    for topic_filter in filters:
        mqtt.on_topic(topic_filter)(handle)
    return len(filters) / (time.monotonic() - started)
