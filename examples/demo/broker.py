"""A broker inside the demo, for machines that have none: amqtt, on the loopback interface."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from concurrent.futures import wait
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from amqtt.broker import Broker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

LOOPBACK = "127.0.0.1"
LOOPBACK_NAMES = {"localhost", LOOPBACK, "::1"}
LAST_PORT = 65_535


def local_port(config: Mapping[str, str]) -> int | None:
    """Return the port of a broker that is reached by plain TCP on this machine, else None.

    `config` has keys of the configuration. What is wrong with one, the extension says.
    """
    if "MQTT_TRANSPORT" in config or "MQTT_TLS_ENABLED" in config:
        return None
    url = config.get("MQTT_BROKER_URL", "localhost")
    try:
        if "://" in url:
            parts = urlsplit(url)
            host, port = parts.scheme == "mqtt" and parts.hostname, parts.port
        else:
            host, port = url, None
        port = int(config.get("MQTT_BROKER_PORT") or port or 1883)
    except ValueError:
        return None
    return port if host in LOOPBACK_NAMES and 0 < port <= LAST_PORT else None


def somebody_listens(port: int) -> bool:
    """Whether a TCP connection to a port of this machine can be made."""
    try:
        socket.create_connection(("localhost", port), timeout=2).close()
    except OSError:
        return False
    return True


class EmbeddedBroker:
    """amqtt in a thread with an event loop of its own. A context manager; it ends on leaving."""

    def __init__(self, port: int) -> None:
        """Prepare a broker that listens on 127.0.0.1, `port`."""
        # It reports every packet and every client that goes; only what is serious belongs here.
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._config = {
            "listeners": {"default": {"type": "tcp", "bind": f"{LOOPBACK}:{port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            },
        }
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="embedded-broker", daemon=True
        )

    async def _start(self) -> Broker:
        broker = Broker(self._config)
        await broker.start()
        return broker

    def __enter__(self) -> Self:
        """Start the broker; it listens when this returns."""
        self._thread.start()
        self._broker = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the broker and its thread."""
        stopping = asyncio.run_coroutine_threadsafe(self._broker.shutdown(), self._loop)
        # It takes its time where a client is still there, and nothing is lost by not waiting.
        wait([stopping], timeout=0.5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2)
