"""Routes under eventlet and gevent: registered by green threads, called in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.script import running

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker

PATCHES = {
    "eventlet": "import eventlet; eventlet.monkey_patch()",
    "gevent": "from gevent import monkey; monkey.patch_all()",
}

CODE = """
mqtt = Mqtt()
seen = []

@mqtt.topic("a/<int:x>", qos=1)
def handle(client, message, x):
    # Other green threads have their turn meanwhile.
    time.sleep(0.001)
    seen.append(x)
    client.publish(mqtt.topic_for("answer", x=x), "ok", 1)

mqtt.topic("answers/<int:x>", name="answer")(lambda *_, x: seen.append(-x))
mqtt.init_app(app)
until(lambda: mqtt.connected)

def register(number):
    time.sleep(0)
    mqtt.topic(f"a/<int:y{number}>", qos=1)(lambda *_, **values: seen.append(values))

threads = [threading.Thread(target=register, args=(number,)) for number in range(10)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
say("ready")
until(lambda: len(seen) == 11)
say(sorted(name for values in seen[1:] for name in values) == [f"y{n}" for n in range(10)])
say(mqtt.stats()["routes"]["routes"])
mqtt.close()
say("closed")
"""


@pytest.mark.slow
@pytest.mark.parametrize("library", PATCHES)
def test_routes_in_green_threads(scripted: ScriptedBroker, library: str) -> None:
    with running(f"{PATCHES[library]}\n{CODE}", scripted.port) as script:
        script.expect("ready")
        scripted.publish("a/5", qos=1)
        packet = scripted.wait_for("PUBLISH")
        assert packet.topic == "answers/5"
        script.expect("True")
        script.expect("12")
        script.expect("closed")
        assert script.finish() == 0, script.errors
