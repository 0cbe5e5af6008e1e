"""The snippets of docs/payloads.md, run as they stand there."""

from __future__ import annotations

import contextlib
import re
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.scripted import ScriptedBroker

PAGE = (Path(__file__).parents[2] / "docs" / "payloads.md").read_text()
SNIPPETS = {
    section.partition("\n")[0]: re.findall(
        r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL
    )
    for section in PAGE.split("\n## ")
}


@contextlib.contextmanager
def running(section: str, broker: ScriptedBroker) -> Iterator[Any]:
    """Run the snippets of a section as a module; the first one makes ``mqtt``."""
    address = f"app.config.update(MQTT_BROKER_URL='{broker.host}', MQTT_BROKER_PORT={broker.port})"
    module: Any = types.ModuleType("snippet")
    sys.modules["snippet"] = module
    code = "\n".join(SNIPPETS[section])
    try:
        exec(code.replace("mqtt = Mqtt(app)", f"{address}\nmqtt = Mqtt(app)"), vars(module))
        with module.mqtt:
            wait_until(lambda: module.mqtt.connected)
            yield module
    finally:
        del sys.modules["snippet"]


def test_json_out(scripted: ScriptedBroker) -> None:
    with running("JSON out", scripted):
        scripted.wait_for("PUBLISH", count=2)
        assert [(one.topic, one.payload) for one in scripted.of("PUBLISH")] == [
            ("sensors/attic", b'{"unit": "C", "value": 21.5}'),
            ("sensors/state", b'{"online": true}'),
        ]
