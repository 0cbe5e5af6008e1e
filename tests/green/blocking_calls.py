"""Calls that wait, while a green thread counts its turns: python blocking_calls.py HUB.

The broker is another green thread of this process. It answers late: when the one that counts has
had its turns. So a call that holds up the hub does not end. Prints one line of JSON for each call.
"""

import os
import sys

HUB = sys.argv[1]
if HUB == "eventlet":
    import eventlet

    eventlet.monkey_patch()
else:
    from gevent import monkey

    monkey.patch_all()

import contextlib  # noqa: E402
import json  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import ssl  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from typing import Any  # noqa: E402

from flask import Flask  # noqa: E402

from flask_mqtt import Mqtt  # noqa: E402
from support.codec import frame_length  # noqa: E402
from support.packets import MQTT311  # noqa: E402
from support.wait import wait_until  # noqa: E402

#: The peer answers after so many turns of another green thread.
TURNS = 10


class Turns:
    """Counts the turns of a green thread."""

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0.0

    def run(self) -> None:
        """Have one turn after the other."""
        last = time.monotonic()
        while True:
            time.sleep(0.001)
            now = time.monotonic()
            self.count += 1
            self.longest, last = max(self.longest, now - last), now

    def wait(self) -> None:
        """Wait for some."""
        enough = self.count + TURNS
        wait_until(lambda: self.count >= enough, 60, "turns")


turns = Turns()


class Broker:
    """Answers each packet of one client, late."""

    def __init__(self, pair: str = "", key: str = "") -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._context = None
        if pair:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(pair, key)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        peer, _ = self._listener.accept()
        if self._context is not None:
            turns.wait()
            peer = self._context.wrap_socket(peer, server_side=True)
        buffer = b""
        while data := peer.recv(65536):
            buffer += data
            while (length := frame_length(buffer)) is not None and len(buffer) >= length:
                packet, buffer = MQTT311.decode(buffer[:length]), buffer[length:]
                turns.wait()
                if packet.kind == "CONNECT":
                    peer.sendall(MQTT311.connack())
                elif packet.kind == "PUBLISH" and packet.qos:
                    peer.sendall(MQTT311.puback(packet.mid))
        peer.close()


@contextlib.contextmanager
def measured(call: str) -> Iterator[None]:
    """Count the turns during a call, and print what was found."""
    before, turns.longest, since = turns.count, 0.0, time.monotonic()
    yield
    seconds, count = time.monotonic() - since, turns.count - before
    found = {"call": call, "turns": count, "seconds": seconds, "longest": turns.longest}
    print(json.dumps(found), flush=True)


def application(port: int, **settings: Any) -> Flask:
    """Make one whose broker is at a port."""
    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = "localhost"
    app.config["MQTT_BROKER_PORT"] = port
    app.config["MQTT_CLIENT_ID"] = "waiting"
    app.config.update(settings)
    return app


def wait_for_the_broker() -> None:
    """Publish, wait for room, wait for acknowledgements, and close."""
    app = application(Broker().port, MQTT_MAX_OUTGOING_BYTES=1, MQTT_PUBLISH_TIMEOUT=60)
    mqtt = Mqtt(app)
    wait_until(lambda: mqtt.connected, 60, "connected")
    first = mqtt.publish("t", b"first", 1)
    with measured("a full outbox"):
        info = mqtt.publish("t", b"second", 1)
    assert info[0] == 0, info
    assert first.is_published()
    with measured("wait_for_publish"):
        info.wait_for_publish(60)
    mqtt.publish("t", b"third", 1)
    with measured("close"):
        mqtt.close()


def connect_with_tls() -> None:
    """Wait for the handshake."""
    pair, key, ca = (os.environ[name] for name in ("CERTIFICATE", "KEY", "CA"))
    app = application(Broker(pair, key).port, MQTT_TLS_ENABLED=True, MQTT_TLS_CA_CERTS=ca)
    with measured("connecting with TLS"):
        mqtt = Mqtt(app)
    mqtt.close()


def open_a_busy_file() -> None:
    """Wait for another process, which has the file of MQTT_PERSISTENCE."""

    def release() -> None:
        turns.wait()
        os.kill(int(os.environ["HOLDER"]), signal.SIGKILL)

    app = application(Broker().port, MQTT_PERSISTENCE=os.environ["FILE"])
    threading.Thread(target=release, daemon=True).start()
    # On a busy machine it is released after the second for which it is waited for.
    with measured("opening a busy file"), contextlib.suppress(OSError):
        Mqtt(app)


threading.Thread(target=turns.run, daemon=True).start()
wait_for_the_broker()
connect_with_tls()
open_a_busy_file()
