"""Requests of green threads: python green_admin.py HUB early|late PORT USER PASSWORD.

Prints what came, and whether another green thread had turns while one waited in vain.
"""

from __future__ import annotations

import sys
from typing import Any

hub, when, port, user, password = sys.argv[1:]


def patch() -> None:
    if hub == "eventlet":
        import eventlet

        eventlet.monkey_patch()
    elif hub == "gevent":
        import gevent.monkey

        gevent.monkey.patch_all()


if when == "early":
    patch()

import threading  # noqa: E402
import time  # noqa: E402

from flask_mqtt import Client  # noqa: E402
from flask_mqtt.dynsec import DynamicSecurity, DynsecTimeoutError  # noqa: E402

if when == "late":
    patch()

client = Client(client_id="green-admin")
client.username_pw_set(user, password)
client.connect("127.0.0.1", int(port))
client.loop_start()
dynsec = DynamicSecurity(client)
results: list[Any] = []
threads = [
    threading.Thread(target=lambda: results.append(list(dynsec.list_roles()))) for _ in range(10)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(results == [["admin"]] * 10, flush=True)

turns = 0
waiting = True


def turn() -> None:
    global turns  # noqa: PLW0603 - a script
    while waiting:
        # Others have their turn.
        time.sleep(0.01)
        turns += 1


dynsec._control._receive = lambda *_: None  # type: ignore[method-assign]
dynsec.close()
dynsec.timeout = 0.5
other = threading.Thread(target=turn)
other.start()
try:
    dynsec.list_roles()
except DynsecTimeoutError:
    print("timeout", turns > 5, flush=True)
waiting = False
other.join()
client.disconnect()
client.loop_stop()
