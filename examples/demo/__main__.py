"""Runs the demo. `./scripts/demo` does it with everything that it needs."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from werkzeug.serving import WSGIRequestHandler, make_server

from .app import broker, create_app, device, environment, hub, mqtt
from .broker import LAST_PORT, LOOPBACK, EmbeddedBroker, local_port, somebody_listens

if TYPE_CHECKING:
    from types import FrameType

HELP = """\
Serves a page that shows MQTT messages arrive, and subscribes and publishes. It uses the broker
on localhost:1883 or, if there is none, one of its own."""
ENVIRONMENT = """\
environment:
  PORT              where the page is served (5000)
  MQTT_BROKER_URL   the broker, a host or a URL such as mqtts://broker.example.com (localhost)
  MQTT_BROKER_PORT  its port, where the URL has none (1883)
  MQTT_...          every other key of docs/configuration.md"""


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
    argparse.ArgumentParser(
        prog="./scripts/demo",
        description=HELP,
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    # Of the extension what is wrong, of the demo also that all is well again.
    logging.basicConfig(format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("demo").setLevel(logging.INFO)
    # Werkzeug takes Ctrl-C for a normal end once it serves; before that, it arrives here.
    with suppress(KeyboardInterrupt):
        run(port_from_environment("PORT", 5000))
    print("\nThe demo has ended.")


def run(port: int) -> None:
    """Serve the page, with everything else started before and stopped after it."""
    with ExitStack() as stack:
        own_port = local_port(environment())
        # Elsewhere no broker of ours can be: there, the page says that nobody answers.
        embedded = own_port is not None and not somebody_listens(own_port)
        config: dict[str, object] = {}
        if own_port is not None and embedded:
            stack.enter_context(EmbeddedBroker(own_port))
            config = {
                "MQTT_BROKER_URL": LOOPBACK,
                "MQTT_BROKER_PORT": own_port,
                "DEMO_BROKER_IS_EMBEDDED": True,
            }
        try:
            app = create_app(config)
        except (ValueError, TypeError, OSError) as error:
            sys.exit(f"error: {error}")
        stack.callback(mqtt.close)
        stack.callback(device.stop)
        stack.callback(hub.close)
        try:
            server = make_server(LOOPBACK, port, app, threaded=True, request_handler=QuietHandler)
        except SystemExit:
            sys.exit(f"error: port {port} is taken; choose another one: PORT=5001 ./scripts/demo")
        stack.callback(server.server_close)

        # The page begins with something that moves. Only on this machine: a broker elsewhere gets
        # nothing that nobody asked for.
        if own_port is not None:
            device.start()
        print(f"Broker  {broker()}{' (embedded: amqtt)' if embedded else ''}")
        print(f"Page    http://{LOOPBACK}:{port}/   (Ctrl-C ends)", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
