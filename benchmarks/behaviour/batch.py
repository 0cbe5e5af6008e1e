"""What @mqtt.batch saves: JSON messages of QoS 1 that are written to a file of SQLite.

    ./scripts/bench batch --directory /where/the/file/is

One side has a handler for a list of messages and one commit for each list, the other one a handler
and a commit for each message. The second one handles fewer messages, as it has the same rate for
any number. The broker is a process of its own, and sends 1,000 messages before it waits for
acknowledgements.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import sqlite3
import struct
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask

from flask_mqtt import Mqtt

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 1_000
#: Identifiers go round after so many messages.
IDENTIFIERS = 50_000
#: Bytes of a PUBACK.
PUBACK = 4


@dataclass
class Reading:
    """What a sensor sends."""

    sensor: int
    temperature: float
    humidity: float


def packet(number: int) -> bytes:
    """Return the PUBLISH of a message."""
    topic = b"sensors/%d/climate" % (number % 100)
    payload = b'{"sensor": %d, "temperature": %.2f, "humidity": %.1f}' % (
        number % 100,
        20 + number % 700 / 100,
        number % 1_000 / 10,
    )
    body = (
        struct.pack("!H", len(topic))
        + topic
        + struct.pack("!H", number % IDENTIFIERS + 1)
        + payload
    )
    return bytes([0x32, len(body)]) + body


def serve(listener: socket.socket, count: int) -> None:
    """Send messages to one client, with a window, until all are acknowledged."""
    client, _ = listener.accept()
    with client:
        client.recv(4096)
        client.sendall(b"\x20\x02\x00\x00")
        subscribe = client.recv(4096)
        client.sendall(b"\x90\x03" + subscribe[2:4] + b"\x01")
        sent = acknowledged = spare = 0
        while acknowledged < count:
            until = min(count, acknowledged + WINDOW)
            client.sendall(b"".join(map(packet, range(sent, until))))
            sent = until
            spare += len(client.recv(1 << 16))
            acknowledged += spare // PUBACK
            spare %= PUBACK
        # The client ends the connection.
        while client.recv(4096):
            pass


def seconds(
    directory: str, count: int, journal: str, register: Callable[[Mqtt, Any, Any], None]
) -> float:
    """Handle messages with what `register` registers; return the time from the first to the last.

    Args:
        directory: Where the file is.
        count: How many messages there are.
        journal: SQLite's journal mode.
        register: Gets the extension, the database, and what is called with each number handled.
    """
    done, begun = threading.Event(), 0.0
    handled = 0

    def note(number: int) -> None:
        nonlocal handled
        handled += number
        if handled >= count:
            done.set()

    with (
        tempfile.TemporaryDirectory(dir=directory) as own,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        database = sqlite3.connect(Path(own, "readings.db"), check_same_thread=False)
        database.execute(f"PRAGMA journal_mode = {journal}")
        database.execute("CREATE TABLE readings (sensor INT, temperature REAL, humidity REAL)")
        broker = multiprocessing.get_context("fork").Process(target=serve, args=(listener, count))
        broker.start()
        app = Flask(__name__)
        app.config["MQTT_BROKER_URL"] = "127.0.0.1"
        app.config["MQTT_BROKER_PORT"] = listener.getsockname()[1]
        mqtt = Mqtt()
        register(mqtt, database, note)
        begun = time.monotonic()
        with mqtt:
            mqtt.init_app(app)
            done.wait()
            took = time.monotonic() - begun
        broker.join()
        [(rows,)] = database.execute("SELECT count(*) FROM readings").fetchall()
        database.close()
    if rows != count:
        raise SystemExit(f"{rows} rows instead of {count}")
    return took


def in_batches(mqtt: Mqtt, database: sqlite3.Connection, note: Callable[[int], None]) -> None:
    """Write a list of messages with one commit."""

    @mqtt.batch("sensors/+/climate", qos=1, max=1_000)
    def record(_client: Any, readings: list[Reading]) -> None:
        rows = [(one.sensor, one.temperature, one.humidity) for one in readings]
        with database:
            database.executemany("INSERT INTO readings VALUES (?, ?, ?)", rows)
        note(len(rows))


def one_by_one(mqtt: Mqtt, database: sqlite3.Connection, note: Callable[[int], None]) -> None:
    """Write each message with a commit of its own."""

    @mqtt.topic("sensors/+/climate", qos=1)
    def record(_client: Any, _message: Any, one: Reading) -> None:
        row = (one.sensor, one.temperature, one.humidity)
        with database:
            database.execute("INSERT INTO readings VALUES (?, ?, ?)", row)
        note(1)


def main() -> None:
    """Print both rates, and what is between them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--single", type=int, default=5_000, help="messages of the other side")
    parser.add_argument("--directory")
    parser.add_argument("--journal", choices=["delete", "wal"], default="delete")
    given = parser.parse_args()
    batched = given.messages / seconds(given.directory, given.messages, given.journal, in_batches)
    print(f"in batches: {given.messages:,} messages, {batched:,.0f} msg/s", flush=True)
    single = given.single / seconds(given.directory, given.single, given.journal, one_by_one)
    print(f"one by one: {given.single:,} messages, {single:,.0f} msg/s")
    print(f"{batched / single:.0f} times as many")


if __name__ == "__main__":
    main()
