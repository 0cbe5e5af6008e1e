"""A publish that waits for room while others run: python waiting_publisher.py HUB.

The broker confirms the first message late, and until then no other has room.
"""

import os
import sys

hub = sys.argv[1]
if hub == "eventlet":
    import eventlet

    eventlet.monkey_patch()
elif hub == "gevent":
    import gevent.monkey

    gevent.monkey.patch_all()

import threading  # noqa: E402
import time  # noqa: E402

from flask_mqtt import Client  # noqa: E402

client = Client(client_id="waiting-publisher")
client.configure(max_outgoing_bytes=1, publish_timeout=0)
connected = threading.Event()
client.on_connect = lambda *_: connected.set()
client.connect("127.0.0.1", int(os.environ["BROKER_PORT"]))
client.loop_start()
assert connected.wait(10)
client.publish("t", b"first", 1)
print("refused", int(client.publish("t", b"none", 1)[0]), flush=True)

client.configure(publish_timeout=10)
waits = threading.Event()


def turn() -> None:
    for _ in range(10):
        # Turns are counted, and each sleep is one.
        time.sleep(0.01)
    print("turns", "meanwhile" if waits.is_set() else "afterwards", flush=True)


other = threading.Thread(target=turn)
other.start()
waits.set()
code = int(client.publish("t", b"second", 1)[0])
waits.clear()
print("waited", code)
other.join()
client.disconnect()
client.loop_stop()
