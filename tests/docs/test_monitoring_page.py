"""docs/monitoring.md: its tables have all there is, and its code does what it says."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints, is_typeddict

import pytest
from flask import Flask, Response

from flask_mqtt import Mqtt, Stats
from support.apps import make_app
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.scripted import ScriptedBroker

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "monitoring.md").read_text()
CODE = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
NUMBERS, RECORDS = PAGE.split("## Log records")
ROW = re.compile(r"^\| `([\w.]+)` \|", re.MULTILINE)
SAMPLE = re.compile(r'(mqtt_\w+)(\{\w+="\w+"\})? ([\d.e-]+)')
EVENT_NAMES = re.compile(
    r'notice\(\s*LogLevel::\w+,\s*"(\w+)"|last_notice\(&self.*?"(\w+)"|=> \("(\w+)",'
    r'|(?:fields|_lines\.write)\(\s*[\w.]+,\s*"(\w+)"|log_change\(\s*"(\w+)"|\{\s*\("(\w+)", Some',
    re.DOTALL,
)


def entries(kind: Any, path: str = "") -> Iterator[str]:
    """List the numbers and texts of a TypedDict, in the order of the names."""
    for name, hint in get_type_hints(kind).items():
        [nested] = [kind for kind in (hint, *getattr(hint, "__args__", ())) if is_typeddict(kind)][
            :1
        ] or [None]
        if nested is None:
            yield f"{path}{name}"
        else:
            yield from entries(nested, f"{path}{name}.")


def events_of_the_code() -> set[str]:
    files = [*(ROOT / "src/core").rglob("*.rs"), *(ROOT / "python/flask_mqtt").rglob("*.py")]
    found = (EVENT_NAMES.findall(path.read_text().split("#[cfg(test)]")[0]) for path in files)
    return {name for matches in found for names in matches for name in names if name}


def run(mqtt: Mqtt, app: Flask) -> dict[str, Any]:
    names = {"app": app, "mqtt": mqtt, "Response": Response, "logging": logging, "json": json}
    for code in CODE:
        exec(code, names)
    return names


@pytest.fixture(autouse=True)
def _logger_as_before() -> Iterator[None]:
    logger = logging.getLogger("flask_mqtt")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_the_table_of_numbers_has_every_entry() -> None:
    assert sorted(ROW.findall(NUMBERS)) == sorted(entries(Stats))


def test_the_table_of_records_has_every_event() -> None:
    assert set(ROW.findall(RECORDS)) - {"mqtt_event"} == events_of_the_code()


def test_the_health_check_tells_what_is_wrong(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, reconnect_delay_min=5)
    mqtt = Mqtt()
    run(mqtt, app)
    client = app.test_client()
    assert client.get("/health").json == {"problems": ["there is no connection yet"]}
    mqtt.init_app(app)
    with mqtt:
        wait_until(lambda: mqtt.connected)
        answer = client.get("/health")
        assert (answer.status_code, answer.json) == (200, {"problems": []})
        scripted.drop()
        wait_until(lambda: not mqtt.connected and mqtt.stats()["last_error"])
        answer = client.get("/health")
        assert answer.status_code == 503
        assert answer.json == {"problems": ["connection closed by the broker"]}


def test_prometheus_gets_the_numbers(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port)
    with connected(app) as mqtt:
        run(mqtt, app)
        mqtt.publish("t", b"x", 1)
        wait_until(lambda: mqtt.stats()["published"]["messages"]["qos1"] == 1)
        answer = app.test_client().get("/metrics")
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    kinds: dict[str, str] = {}
    values: dict[str, str] = {}
    last = ""
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            last, kind = line.removeprefix("# TYPE ").split()
            assert last not in kinds, "the samples of a metric stand together"
            kinds[last] = kind
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        assert sample[1] == last
        values[sample[1] + (sample[2] or "")] = sample[3]
    assert all((kind == "counter") == name.endswith("_total") for name, kind in kinds.items())
    assert values["mqtt_connected"] == "1"
    assert values['mqtt_published_messages_total{qos="1"}'] == "1"
    assert values['mqtt_dropped_total{reason="unsent"}'] == "0"


def test_a_record_is_a_line_of_json_as_the_page_shows(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, client_id="shop")
    names = run(Mqtt(), app)
    lines = io.StringIO()
    names["handler"].setStream(lines)
    with connected(app) as mqtt:
        mqtt.client._parts.events.guarded(lambda: 1 / 0)
    first, failure, *_ = [json.loads(line) for line in lines.getvalue().splitlines()]
    [shown] = re.findall(r"^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert first.keys() == json.loads(shown).keys()
    assert first["text"] == f"Connected to 127.0.0.1:{scripted.port} as 'shop'"
    assert first["mqtt_session_present"] is False
    assert "ZeroDivisionError" in failure["traceback"]
