"""A broker that uses a packet identifier again while a message is handled, as rumqttd does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.apps import make_app
from support.pool import Gate
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.scripted import ScriptedBroker

MID = 5


def give(broker: ScriptedBroker, topic: str, payload: bytes) -> None:
    """Send a message of QoS 2 with the one identifier, and release it."""
    count = len(broker.of("PUBREC"))
    broker.publish(topic, payload, qos=2, mid=MID)
    broker.wait_for("PUBREC", count + 1)
    broker.ack("PUBREL", MID)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("kept", [False, True], ids=["memory", "file"])
def test_each_message_is_handled_and_each_pubrel_answered(
    scripted: ScriptedBroker, tmp_path: Path, threads: int, *, kept: bool
) -> None:
    settings: dict[str, Any] = {"handler_threads": threads}
    if kept:
        settings["persistence"] = str(tmp_path / "session")
        settings["client_id"] = "reader"
    scripted.withhold.add("PUBREL")
    gate = Gate()
    with connected(make_app(scripted.port, **settings)) as mqtt:
        mqtt.on_message()(gate.handle)
        give(scripted, "shut/1", b"0")
        wait_until(lambda: gate.entered)
        give(scripted, "shut/1", b"1")
        give(scripted, "shut/1", b"2")
        give(scripted, "shut/2", b"3")
        if threads > 1:  # its PUBCOMP waits for those before
            wait_until(lambda: "shut/2" in gate.entered)
            gate.open("shut/2")
            wait_until(lambda: gate.seen == [("shut/2", b"3")])
            mqtt.publish("marker")
            scripted.wait_for("PUBLISH")
            assert not scripted.of("PUBCOMP")
        gate.open("shut/2")
        gate.open("shut/1")
        scripted.wait_for("PUBCOMP", 4)
        assert sorted(gate.seen) == [
            *(("shut/1", payload) for payload in (b"0", b"1", b"2")),
            ("shut/2", b"3"),
        ]
        give(scripted, "open", b"4")
        scripted.wait_for("PUBCOMP", 5)
        assert gate.seen[-1] == ("open", b"4")


def test_at_qos_1_each_message_gets_its_puback(scripted: ScriptedBroker) -> None:
    gate = Gate()
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_message()(gate.handle)
        for payload in (b"0", b"1", b"2"):
            scripted.publish("shut", payload, qos=1, mid=MID)
        gate.open("shut")
        scripted.wait_for("PUBACK", 3)
        assert [payload for _, payload in gate.seen] == [b"0", b"1", b"2"]
