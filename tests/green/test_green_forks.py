"""A forked child has copies of its parent's green threads, which live on there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.script import running

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

PATCHES = {
    "eventlet": "import eventlet; eventlet.monkey_patch()",
    "gevent": "from gevent import monkey; monkey.patch_all()",
}


@pytest.mark.parametrize("kind", PATCHES)
def test_handlers_of_the_parent_are_called_while_a_child_waits(
    kind: str, broker: Mosquitto
) -> None:
    code = f"""
{PATCHES[kind]}
import signal, time
mqtt = Mqtt(app)
got = []

@mqtt.on_message()
def handle(client, userdata, message):
    got.append(message.payload)

topic = f"forked/green/{kind}/{{os.getpid()}}"
until(lambda: mqtt.connected)
mqtt.subscribe(topic, 1)

def send():
    before = len(got)
    mqtt.publish(topic, "x", 1)
    until(lambda: len(got) > before, 20)

send()
for number in range(3):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        while True:
            # All green threads have their turn.
            time.sleep(0.01)
    for _ in range(50):
        send()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
say("all")
mqtt.close()
"""
    with running(code, broker.port) as script:
        script.expect("all")
        assert script.finish() == 0, script.errors
