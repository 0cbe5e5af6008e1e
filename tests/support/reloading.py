"""Development servers with a reloader, which serve an application that a test changes."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NamedTuple

from .ports import free_port
from .server import HOST
from .server_process import ServerProcess
from .servers import PATIENCE, Lines, descendants, is_alive
from .wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

#: What is handled goes to the file LINES, as that of `tests/servers/serving.py`.
APP = """\
import os

{first}
from flask import Flask
from flask_mqtt import Mqtt

LINES = os.open(os.environ["LINES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

app = Flask(__name__)
app.config["MQTT_BROKER_URL"] = "127.0.0.1"
app.config["MQTT_BROKER_PORT"] = os.environ["BROKER_PORT"]
app.config["MQTT_CLIENT_ID"] = os.environ["CLIENT_ID"]
app.config["MQTT_CLEAN_SESSION"] = False
{make}


@mqtt.on_message()
def note(client, userdata, message):
    line = f"{{os.getpid()}} {{client._client_id.decode()}} {{message.payload.decode()}}\\n"
    os.write(LINES, line.encode())


@app.get("/")
def version():
    return "{version}"


{last}
"""

MAKE = """\
mqtt = Mqtt(app)
mqtt.subscribe(os.environ["CLIENT_ID"], 1)
"""

SOCKETIO = """\
from flask_socketio import SocketIO

socketio = SocketIO(app, async_mode="{mode}")

if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), debug=True, use_reloader=True{options})
"""


class Kind(NamedTuple):
    """One way to serve with a reloader.

    command: what follows the interpreter.
    first, last: at the beginning and the end of the module.
    parent: whether the reloader's parent has connected when it starts its child.
    """

    command: tuple[str, ...]
    first: str = ""
    last: str = ""
    parent: bool = True


def _app_run(reloader: str) -> Kind:
    call = f'app.run(port=int(os.environ["PORT"]), debug=True, reloader_type="{reloader}")'
    return Kind(("{directory}/app.py",), last=f'if __name__ == "__main__":\n    {call}\n')


def _socketio(mode: str, first: str = "", options: str = "") -> Kind:
    return Kind(("{directory}/app.py",), first, SOCKETIO.format(mode=mode, options=options))


KINDS = {
    "flask run": Kind(
        ("-m", "flask", "--app", "{directory}/app.py", "run", "--debug", "--port", "{port}"),
        parent=False,
    ),
    "app.run, stat": _app_run("stat"),
    "app.run, watchdog": _app_run("watchdog"),
    "socketio, threading": _socketio("threading", options=", allow_unsafe_werkzeug=True"),
    "socketio, eventlet": _socketio("eventlet", "import eventlet\neventlet.monkey_patch()"),
    "socketio, gevent": _socketio("gevent", "from gevent import monkey\nmonkey.patch_all()"),
}


class DevServer(ServerProcess):
    """A development server with a reloader, in a directory that has its application.

    kind: a key of `KINDS`.
    broker_port: where the application's broker is.
    client_id: its client identifier, and the topic that it subscribes to.
    make: what makes the extension.
    """

    start_timeout = PATIENCE

    def __init__(
        self, directory: Path, kind: str, broker_port: int, client_id: str, make: str = MAKE
    ) -> None:
        super().__init__(directory)
        self.kind = KINDS[kind]
        self.lines = Lines(directory / "lines")
        self.version = 0
        self._make = make
        self._port = free_port()
        self._variables = {
            "PYTHONUNBUFFERED": "1",
            # What is changed twice a second is not compiled again.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "ignore",
            # Its locks are not those of another test.
            "TMPDIR": str(directory),
            "LINES": str(self.lines.path),
            "BROKER_PORT": str(broker_port),
            "CLIENT_ID": client_id,
            "PORT": str(self._port),
        }
        self.change()

    def change(self, further: str = "") -> None:
        """Write the application's module, as a new version.

        Args:
            further: Code at its end.
        """
        self.version += 1
        kind = self.kind
        code = APP.format(
            first=kind.first, last=kind.last, make=textwrap.dedent(self._make), version=self.version
        )
        # In one step, so that no half of it is imported.
        written = self.directory / "written"
        written.write_text(code + further)
        written.replace(self.directory / "app.py")

    def reload(self) -> None:
        """Change the module, and wait until the new version is served."""
        self.change()
        wait_until(self._accepts, PATIENCE, f"version {self.version} is served")

    def parts(self) -> list[int]:
        """Return its processes, the reloader's parent first."""
        return [self.pid, *descendants(self.pid)]

    def _command(self) -> list[str]:
        places = {"port": self._port, "directory": self.directory}
        return [sys.executable, *(word.format_map(places) for word in self.kind.command)]

    def _environment(self) -> dict[str, str]:
        return os.environ | self._variables

    def _accepts(self) -> bool:
        return self.page() == str(self.version).encode()

    def page(self) -> bytes:
        """Return what it answers, also where that is an error; empty while it does not."""
        try:
            with self._answer() as answer:
                content: bytes = answer.read()
        except (OSError, HTTPException):
            # It ends, to start anew.
            return b""
        return content

    def _answer(self) -> Any:
        try:
            return urllib.request.urlopen(f"http://{HOST}:{self._port}/", timeout=5)
        except urllib.error.HTTPError as error:
            return error

    def stop(self) -> None:
        """End it as Ctrl-C does, which goes to all of its processes."""
        if self._process is None:
            return
        process, parts = self._process, self.parts()
        try:
            for pid in parts:
                os.kill(pid, signal.SIGINT)
            process.wait(PATIENCE)
            wait_until(lambda: not any(map(is_alive, parts)), PATIENCE, "its processes end")
        finally:
            self.kill()

    def kill(self) -> None:
        """End all of it at once."""
        if self._process is not None:
            parts = self.parts()
            super().kill()
            for pid in parts:
                if is_alive(pid):
                    os.kill(pid, signal.SIGKILL)
