"""A host: gunicorn with its workers, and a folder of its own for their locks."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from interop.broker import Program
from support.ports import free_port
from support.server import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TESTS = Path(__file__).parents[2]
WORKERS = 2


class Handled(NamedTuple):
    """A line of the book: an order that a worker has handled."""

    number: int
    host: str
    pid: int
    at: float


class Host(Program):
    """gunicorn with two workers. Whoever kills one of them gets another.

    name: also part of the client id.
    brokers: ports of the brokers, in the order in which its workers try them.
    keys: more keys of the configuration, with their values as JSON takes them.
    """

    def __init__(
        self, directory: Path, name: str, brokers: Sequence[int], keys: Mapping[str, object]
    ) -> None:
        self.name = name
        self._book = directory / "book"
        locks = directory / "tmp"
        locks.mkdir(parents=True)
        config = {
            "BROKER_URL": [f"mqtt://{HOST}:{port}" for port in brokers],
            "CLIENT_ID": f"shop-{name}",
            "CLEAN_SESSION": False,
            "RECONNECT_DELAY_MIN": 0.2,
            "RECONNECT_DELAY_MAX": 1,
            **keys,
        }
        environment = {f"FLASK_MQTT_{key}": json.dumps(value) for key, value in config.items()}
        environment |= {
            "SHOP_BOOK": str(self._book),
            "SHOP_HOST": name,
            "TMPDIR": str(locks),
            "HOME": str(directory),  # gunicorn 25.1 has a socket there
            "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
        }
        port = free_port()
        words = [sys.executable, "-m", "gunicorn", "--workers", str(WORKERS)]
        words += ["--bind", f"{HOST}:{port}", "--graceful-timeout", "5"]
        super().__init__(directory, [*words, "interop.cluster.shop:app"], [port], environment)

    def handled(self) -> list[Handled]:
        """Return what its workers have handled so far, in order."""
        if not self._book.exists():
            return []
        whole = self._book.read_text().rpartition("\n")[0].splitlines()
        found = [line.split() for line in whole]
        return [Handled(int(number), host, int(pid), float(at)) for number, host, pid, at in found]
