"""The snippets of docs/payloads.md, run as they stand there."""

from __future__ import annotations

import contextlib
import re
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.packets import MQTT5
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

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


def test_payloads_by_annotation(scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture) -> None:
    with running("Payloads by annotation", scripted) as module:
        module.app.logger.setLevel("INFO")
        scripted.publish("sensors/7/temperature", b'{"value": 21.5}')
        wait_until(lambda: "sensor 7: 21.5 C" in caplog.messages)


def test_the_line_in_the_log_is_as_shown(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    [shown] = re.findall(r"^```text\n(Invalid payload.*)\n```", PAGE, re.MULTILINE)
    with running("Payloads by annotation", scripted):
        scripted.publish("sensors/7/temperature", b'{"value": "warm"}')
        wait_until(lambda: shown.replace("app.", "snippet.") in caplog.messages)


def test_invalid_payloads(scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture) -> None:
    with running("Invalid payloads", scripted):
        scripted.publish("sensors/7", b"{}", qos=1)
        wait_until(lambda: "sensors/7: missing at $.value" in caplog.messages)
        packet = scripted.wait_for("PUBLISH")
        assert (packet.topic, packet.payload, packet.qos) == ("errors/sensors/7", b"{}", 1)


def test_responses(scripted5: ScriptedBroker) -> None:
    with running("Responses", scripted5):
        properties = (("ResponseTopic", "answers/1"), ("CorrelationData", b"4711"))
        scripted5.send(MQTT5.publish("lamp/desk/get", properties=properties))
        packet = scripted5.wait_for("PUBLISH")
        assert (packet.topic, packet.payload) == ("answers/1", b'{"name": "desk", "on": true}')
        assert dict(packet.properties)["CorrelationData"] == b"4711"


def test_json_out(scripted: ScriptedBroker) -> None:
    with running("JSON out", scripted):
        scripted.wait_for("PUBLISH", count=2)
        assert [(one.topic, one.payload) for one in scripted.of("PUBLISH")] == [
            ("sensors/attic", b'{"unit": "C", "value": 21.5}'),
            ("sensors/state", b'{"online": true}'),
        ]
