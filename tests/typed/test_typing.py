"""The types of handlers: mypy accepts the right ones of both versions, and no others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from typed.application import build

if TYPE_CHECKING:
    from flask_mqtt import Client

ROOT = Path(__file__).parents[2]

#: Each line that is wrong ends with the error's code.
SNIPPET = """
from typing import Any
from flask_mqtt import Client, ConnectFlags, MQTTMessage, Properties as P, ReasonCode

def nothing() -> None: ...
def two(client: Client, userdata: Any) -> None: ...
def text(client: Client, userdata: Any, flags: dict[str, Any], rc: str) -> None: ...
def message(client: Client, userdata: Any, message: MQTTMessage) -> None: ...
def payload(client: Client, userdata: Any, message: bytes) -> None: ...
def mid(client: Client, userdata: Any, mid: int) -> None: ...
def codes(client: Client, userdata: Any, mid: int, codes: list[str], properties: P) -> None: ...
def six(client: Client, userdata: Any, a: int, b: int, c: int, d: int) -> None: ...
def flags(client: Client, userdata: Any, flags: ConnectFlags, rc: ReasonCode, p: P) -> None: ...

client = Client()
client.on_connect = nothing  # assignment
client.on_connect = text  # assignment
client.on_connect = mid  # assignment
client.on_connect = flags
client.on_connect = 5  # assignment
client.on_disconnect = nothing
client.on_disconnect = two  # assignment
client.on_disconnect = flags  # assignment
client.on_message = message
client.on_message = payload  # assignment
client.on_message = two  # assignment
client.on_publish = mid
client.on_publish = six  # assignment
client.on_subscribe = codes  # assignment
client.on_unsubscribe = text  # assignment
client.on_unsubscribe = mid
client.on_log = two  # assignment
client.on_pre_connect = two
client.on_connect_fail = message  # assignment
client.on_socket_open = two  # assignment
client.connect_callback()(text)  # type-var
client.message_callback()(payload)  # type-var
client.topic_callback("a")(message)
client.topic_callback("a")(two)  # type-var
client.message_callback_add("a", payload)  # arg-type
client.port = "1883"  # assignment
Client("me")  # arg-type
"""


def test_mypy_rejects_wrong_handlers_and_only_those(tmp_path: Path) -> None:
    snippet = tmp_path / "snippet.py"
    snippet.write_text(SNIPPET)
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "mypy",
                "--strict",
                "--no-error-summary",
                "--hide-error-context",
            ),
            *("--config-file", str(ROOT / "pyproject.toml")),
            *("--cache-dir", str(tmp_path / "cache"), str(snippet)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    found = {int(line.split(":")[1]): line.rpartition("[")[2].rstrip("]") for line in errors}
    wanted = {
        number: line.rpartition("  # ")[2]
        for number, line in enumerate(SNIPPET.splitlines(), 1)
        if "  # " in line
    }
    assert found == wanted, done.stdout + done.stderr


def test_the_application_that_mypy_accepts_also_runs() -> None:
    clients: list[Client] = build()
    assert [client.port for client in clients] == [1883] * 5
