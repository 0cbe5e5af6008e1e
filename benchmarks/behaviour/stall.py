"""Memory while a broker stalls for some seconds, beside Flask-MQTT: messages go both ways.

    ./scripts/bench stall

or, with an interpreter that has Flask-MQTT 1.3.0 and paho-mqtt 2.2.0 installed:

    FLASK_MQTT_ORIGINAL_PYTHON=path/to/python python benchmarks/behaviour/stall.py

The broker is a process of its own and costless: it sends packets that were encoded beforehand, and
counts what it gets. When half of the messages of either way are through it neither reads nor writes
for a while. The client is a process, too, and tells what its memory was when it was connected and
idle, and the most that it was after that.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from _sides import sides

TOPIC = "bench/topic"
BODY = len(TOPIC).to_bytes(2, "big") + TOPIC.encode()
REST = b"x" * 56
PAYLOAD = b"y" * 64
#: Messages of QoS 1 that the broker sends before it has the acknowledgement of the first of them.
WINDOW = 20_000
BLOCK = 1_000


class Broker:
    """Sends messages to one client, counts what that one publishes, and stalls in the middle."""

    def __init__(
        self, connection: socket.socket, messages: int, publish: int, qos: int, stall: float
    ) -> None:
        self.published = 0
        self.numbers = 0
        self._connection = connection
        self._left = messages
        self._halves = (messages // 2, publish // 2)
        self._qos = qos
        self._stall = stall
        self._acknowledged = 0
        self._sent = 0
        self._in = bytearray()
        self._out = bytearray()

    def serve(self) -> None:
        """Go on until the client ends the connection."""
        self._connection.setblocking(False)
        while True:
            if not self._out and self._left and self._sent - self._acknowledged < WINDOW:
                self._out += self._messages()
            writing = [self._connection] if self._out else []
            readable, writable, _ = select.select([self._connection], writing, [])
            if readable and not self._read():
                return
            if writable:
                del self._out[: self._connection.send(self._out)]
            half = self._left <= self._halves[0] or self.published >= self._halves[1]
            if self._stall and half:
                time.sleep(self._stall)
                self._stall = 0

    def _messages(self) -> bytes:
        self._left -= BLOCK
        if not self._qos:
            body = BODY + PAYLOAD
            return (bytes([0x30, len(body)]) + body) * BLOCK
        self._sent += BLOCK
        head = bytes([0x32, len(BODY) + 2 + len(PAYLOAD)]) + BODY
        first = self._sent % 60_000
        return b"".join(
            head + mid.to_bytes(2, "big") + PAYLOAD for mid in range(first + 1, first + BLOCK + 1)
        )

    def _read(self) -> bool:
        try:
            data = self._connection.recv(1 << 18)
        except ConnectionResetError:
            return False
        self._in += data
        start, end, buffer = 0, len(self._in), self._in
        # Nothing that comes is longer than 127 bytes, so that its length is one byte.
        while start + 2 <= end and (next_ := start + 2 + buffer[start + 1]) <= end:
            self._packet(buffer[start] >> 4, buffer[start + 2 : next_])
            start = next_
        del buffer[:start]
        return bool(data)

    def _packet(self, kind: int, body: bytearray) -> None:
        if kind == 3:
            at = len(BODY)
            if self._qos:
                self._out += b"\x40\x02" + body[at : at + 2]
                at += 2
            self.published += 1
            self.numbers += int.from_bytes(body[at : at + 8], "big")
        elif kind == 4:
            self._acknowledged += 1
        elif kind == 12:
            self._out += b"\xd0\x00"


def broker(messages: int, publish: int, qos: int, stall: float) -> None:
    """Run the broker; print its port, and at the end what it got."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"\x20\x02\x00\x00")
        subscribe = connection.recv(4096)
        connection.sendall(bytes([0x90, 3]) + subscribe[2:4] + bytes([qos]))
        serving = Broker(connection, messages, publish, qos, stall)
        serving.serve()
    print(json.dumps([serving.published, serving.numbers]), flush=True)


def memory(name: str) -> float:
    """Return a figure of this process's memory in MB: VmRSS now, VmHWM at most."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) / 1024


def client(port: int, messages: int, to_publish: int, qos: int) -> None:
    """Run the application; print what it received, how `publish` answered, and its memory."""
    from flask import Flask

    from flask_mqtt import Mqtt

    # Flask-MQTT has a line for each message that is refused.
    logging.disable()
    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = "127.0.0.1"
    app.config["MQTT_BROKER_PORT"] = port
    mqtt = Mqtt()
    received = 0
    done, subscribed = threading.Event(), threading.Event()

    @mqtt.on_connect()
    def handle_connect(client: object, userdata: object, flags: object, rc: int) -> None:
        mqtt.subscribe(TOPIC, qos)

    @mqtt.on_subscribe()
    def handle_subscribe(client: object, userdata: object, mid: int, granted: object) -> None:
        subscribed.set()

    @mqtt.on_message()
    def handle_message(client: object, userdata: object, message: object) -> None:
        nonlocal received
        received += 1
        if received == messages:
            done.set()

    mqtt.init_app(app)
    subscribed.wait()
    idle = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    codes: dict[int, int] = {}
    started = time.monotonic()
    for number in range(to_publish):
        rc = int(mqtt.publish(TOPIC, number.to_bytes(8, "big") + REST, qos)[0])
        codes[rc] = codes.get(rc, 0) + 1
    published = time.monotonic() - started
    # What is lost is not waited for.
    waited = (received, done.wait(20))
    while not waited[1] and waited[0] != received:
        waited = (received, done.wait(20))
    figures = {
        "idle_mb": round(idle, 1),
        "peak_above_idle_mb": round(memory("VmHWM") - idle, 1),
        "received": received,
        "publish_returned": codes,
        "publishing_took_s": round(published, 1),
    }
    print(json.dumps(figures), flush=True)
    sys.stdin.read(1)


def measure(python: str, qos: int, arguments: argparse.Namespace) -> dict[str, object]:
    """Run the broker and a client of it, and return what both of them tell."""
    sizes = ["--messages", arguments.messages, "--publish", arguments.publish]
    sizes += ["--qos", qos, "--stall", arguments.stall]
    command = [sys.executable, __file__, "--task", "broker", *map(str, sizes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        port = serving.stdout.readline().strip()
        command = [python, __file__, "--task", "client", "--port", port, *map(str, sizes)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as application:
            assert application.stdin is not None
            assert application.stdout is not None
            figures: dict[str, object] = json.loads(application.stdout.readline())
            # The end of the process writes what was accepted, if the broker takes it in time.
            time.sleep(2 if qos == 0 else 10)
            application.stdin.close()
        published, numbers = json.loads(serving.stdout.readline())
    whole = arguments.publish * (arguments.publish - 1) // 2
    return figures | {"arrived": published, "each_once": numbers == whole}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=["broker", "client"])
    parser.add_argument("--port", type=int)
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--publish", type=int, default=1_000_000)
    parser.add_argument("--qos", type=int, choices=[0, 1], action="append")
    parser.add_argument("--stall", type=float, default=5.0)
    arguments = parser.parse_args()
    levels = arguments.qos or [0, 1]
    if arguments.task == "broker":
        broker(arguments.messages, arguments.publish, levels[0], arguments.stall)
        return
    if arguments.task == "client":
        client(arguments.port, arguments.messages, arguments.publish, levels[0])
        return
    for qos in levels:
        for side, python in sides().items():
            figures = json.dumps(measure(python, qos, arguments))
            print(f"QoS {qos}, {side:13} {figures}", flush=True)


if __name__ == "__main__":
    main()
