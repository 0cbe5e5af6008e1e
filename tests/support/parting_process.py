"""The process of `partings` that has the clients; it does what it reads, a line at a time."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from flask_mqtt import Client

from .wait import wait_until

if TYPE_CHECKING:
    from flask_mqtt import MQTTMessage

PATIENCE = 30.0
QOS = (0, 1, 2)
PUBLISHERS = ("answered", "held", "waiting")


def say(*words: object) -> None:
    """Tell the one who has started this, at once."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Process:
    """Three publishers, and a subscriber for each QoS."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self._goes_on = threading.Event()
        self._subscribed: Counter[int] = Counter()
        self._connections = 1
        self.publishers = {who: self._client(who, plan["ports"][who]) for who in PUBLISHERS}
        self.subscribers = [self._subscriber(qos) for qos in QOS]
        self.clients = [*self.publishers.values(), *self.subscribers]

    def _client(self, who: str, port: int) -> Client:
        name = f"{self.plan['name']}-{who}"
        client = Client(client_id=name, clean_session=self.plan["clean"])
        client.configure(reconnect_delay_min=0.05, reconnect_delay_max=0.1)
        if self.plan["file"]:
            client.configure(persistence=f"{self.plan['directory']}/{name}.db")
        client.connect_async("127.0.0.1", port)
        return client

    def _subscriber(self, qos: int) -> Client:
        client = self._client(f"sub{qos}", self.plan["ports"]["answered"])

        def handle(_client: Client, _userdata: Any, message: MQTTMessage) -> None:
            say("begin", qos, message.payload.decode())
            if message.payload == b"1":
                self._goes_on.wait(PATIENCE)

        client.on_message = handle
        client.on_connect = lambda *_: client.subscribe(f"{self.plan['name']}/sub/{qos}", qos)
        client.on_subscribe = lambda *_: self._subscribed.update([qos])
        return client

    def go_on_at_the_end(self) -> None:
        """Let them go on when the process has begun to end, and no further one is called."""

        def wait() -> None:
            wait_until(lambda: not any(client._thread for client in self.clients), PATIENCE)
            self.go_on()

        threading.Thread(target=wait, daemon=True).start()

    def go_on(self) -> None:
        """Let handlers go on, those that run and those that come."""
        self._goes_on.set()

    def connect(self, *, without: str = "") -> None:
        """Connect all, and wait for that, but for one of the publishers."""
        for client in self.clients:
            client.loop_start()
        awaited = [client for client in self.clients if client is not self.publishers.get(without)]
        for client in awaited:
            wait_until(client.is_connected, PATIENCE, client._client_id.decode())
        each = self._connections
        wait_until(lambda: all(self._subscribed[qos] >= each for qos in QOS), PATIENCE, "SUBACKs")

    def publish(self, who: str) -> None:
        """Publish with each QoS."""
        for qos in QOS:
            self.publishers[who].publish(f"{self.plan['name']}/pub", f"{who} {qos}", qos)

    def wait_for_messages(self) -> None:
        """Wait until a message waits behind the one that is handled."""
        for client in self.subscribers:
            what = client._client_id.decode()
            wait_until(lambda: client.stats()["waiting_incoming"]["messages"], PATIENCE, what)  # noqa: B023

    def part(self) -> None:
        """Do what the plan says, with messages on their way."""
        self.publish("answered")
        match self.plan["parting"]:
            case "exit":
                self.go_on_at_the_end()
                sys.exit(0)
            case "sigterm handled":
                self.go_on_at_the_end()
                signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
                os.kill(os.getpid(), signal.SIGTERM)
            case "sigterm" | "sigkill" as name:
                os.kill(os.getpid(), getattr(signal, name.upper()))
            case "os._exit":
                os._exit(0)
            case "disconnect" | "close" | "replaced" as name:
                for client in self.clients:
                    getattr(client, name.replace("replaced", "reconnect"))()
        if self.plan["parting"] == "disconnect":
            wait_until(lambda: not any(map(Client.is_connected, self.clients)), PATIENCE)

    def connect_again(self) -> None:
        """Have a connection again after what has ended the one before."""
        self._connections += 1
        if self.plan["parting"] in ("disconnect", "close"):
            for client in self.clients:
                client.reconnect()
        self.connect()

    def finish(self) -> None:
        """See everything that is left through."""
        for client in self.publishers.values():
            client.publish(f"{self.plan['name']}/pub", "end", 2).wait_for_publish(PATIENCE)
            wait_until(lambda: not client.stats()["in_flight"], PATIENCE)  # noqa: B023
        for client in self.clients:
            client.close()


def main() -> None:
    """Do what is read."""
    logging.getLogger("flask_mqtt").setLevel(logging.CRITICAL)
    process = Process(json.loads(sys.argv[1]))
    for line in sys.stdin:
        match line.strip():
            case "begin":
                process.connect(without="waiting")
            case "publish":
                process.publish("held")
                process.publish("waiting")
                process.wait_for_messages()
            case "part":
                process.part()
            case "again":
                process.go_on()
                process.connect_again()
            case "next":
                process.go_on()
                process.connect()
            case "finish":
                process.finish()
                return
        say("done", line.strip())


if __name__ == "__main__":
    main()
