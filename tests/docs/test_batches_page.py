"""The snippets of docs/batches.md, run as they stand there."""

from __future__ import annotations

import re
import sqlite3
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.wait import wait_until

if TYPE_CHECKING:
    import pytest

    from support.scripted import ScriptedBroker

PAGE = (Path(__file__).parents[2] / "docs" / "batches.md").read_text()
RECORDER, ORDERS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_recorder_writes_readings_and_orders_are_tried_again(
    scripted: ScriptedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect("readings.db") as database:
        database.execute("CREATE TABLE readings (sensor INT, value REAL)")
    where = f"MQTT_BROKER_URL='{scripted.host}', MQTT_BROKER_PORT={scripted.port}"
    module: Any = types.ModuleType("snippet")
    monkeypatch.setitem(sys.modules, "snippet", module)
    begun = f"app.config.update({where})\nmqtt.init_app"
    exec(RECORDER.replace("mqtt.init_app", begun), vars(module))
    with module.mqtt:
        wait_until(lambda: module.mqtt.connected)
        exec(ORDERS, vars(module))
        scripted.wait_for("SUBSCRIBE", 2)
        for payload in (b'{"sensor": 1, "value": 21.5}', b"?", b'{"sensor": 2, "value": 4}'):
            scripted.publish("sensors/1/temperature", payload, qos=1)
        scripted.publish("orders/7", b"", qos=1)
        scripted.wait_for("PUBACK", 4)
        assert module.mqtt.stats()["routes"]["invalid"] == 1
    rows = sqlite3.connect("readings.db").execute("SELECT * FROM readings").fetchall()
    assert rows == [(1, 21.5), (2, 4.0)]
