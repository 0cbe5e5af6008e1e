"""Runs the demo. `./scripts/demo` does it with everything that it needs."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from werkzeug.serving import WSGIRequestHandler, make_server

from .app import create_app, device, hub, mqtt
from .broker import LOOPBACK, LOOPBACK_NAMES, EmbeddedBroker, somebody_listens

if TYPE_CHECKING:
    from types import FrameType

LAST_PORT = 65535


class QuietHandler(WSGIRequestHandler):
    """Does not write a line for every request: the terminal shows the address and problems."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing."""


def port_from_environment(name: str, default: int) -> int:
    """Return a TCP port from an environment variable."""
    value = os.environ.get(name, str(default))
    if not value.isdecimal() or not 0 < int(value) <= LAST_PORT:
        sys.exit(f"error: {name}={value!r} is not a port: 1 to {LAST_PORT} are allowed")
    return int(value)


def interrupt(signum: int, frame: FrameType | None) -> None:
    """End on SIGTERM as on Ctrl-C, and on Ctrl-C even where the shell had it ignored."""
    raise KeyboardInterrupt


def main() -> None:
    """Find or start a broker, then serve the page until Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    # Werkzeug takes Ctrl-C for a normal end once it serves; before that, it arrives here.
    with suppress(KeyboardInterrupt):
        run(port_from_environment("PORT", 5000), port_from_environment("MQTT_BROKER_PORT", 1883))
    print("\nThe demo has ended.")


def run(port: int, broker_port: int) -> None:
    """Serve the page, with everything else started before and stopped after it."""
    host = os.environ.get("MQTT_BROKER_URL", "localhost")
    found = somebody_listens(host, broker_port)
    # Somebody else's address is not ours to fill: there, the page says that nobody answers.
    embedded = not found and host in LOOPBACK_NAMES
    with ExitStack() as stack:
        if embedded:
            stack.enter_context(EmbeddedBroker(broker_port))
            host = LOOPBACK
        app = create_app(
            {
                "MQTT_BROKER_URL": host,
                "MQTT_BROKER_PORT": broker_port,
                "DEMO_BROKER_IS_EMBEDDED": embedded,
            }
        )
        stack.callback(mqtt.close)
        stack.callback(device.stop)
        stack.callback(hub.close)
        try:
            server = make_server(LOOPBACK, port, app, threaded=True, request_handler=QuietHandler)
        except SystemExit:
            sys.exit(f"error: port {port} is taken; choose another one: PORT=5001 ./scripts/demo")
        stack.callback(server.server_close)

        kind = "embedded: amqtt" if embedded else "found" if found else "does not answer yet"
        print(f"Broker  {host}:{broker_port} ({kind})")
        print(f"Page    http://{LOOPBACK}:{port}/   (Ctrl-C ends)", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
