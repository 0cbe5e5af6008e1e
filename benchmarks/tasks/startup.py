"""What it takes to begin: time of the import and of the connection, memory, bytes on disk.

values: of `Target`.
"""

from __future__ import annotations

import importlib.metadata
import io
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import peers
from peers.base import Target
from tasks.usage import memory


def run(name: str, values: dict[str, Any]) -> dict[str, float]:
    """Measure."""
    before = memory()
    started = time.monotonic()
    peer_class = peers.load(name)
    imported = time.monotonic()
    peer = peer_class(Target(**values["target"]))
    peer.count([])
    made = time.monotonic()
    peer.connect()
    connected = time.monotonic()
    return {
        "import_ms": (imported - started) * 1e3,
        "connect_ms": (connected - made) * 1e3,
        "memory_mib": memory() - before,
        "wheel_mib": wheel(name),
    }


def wheel(name: str) -> float:
    """Return MiB of the installed files of a client's first package, deflated as in a wheel."""
    packages = peers.PEERS[name].packages
    if not packages:
        return 0.0
    if name == peers.OURS:
        # The installation is editable.
        folder = Path(sys.modules["flask_mqtt"].__file__ or "").parent
        files = [path for path in folder.rglob("*") if path.is_file()]
    else:
        found = importlib.metadata.files(packages[0]) or []
        files = [Path(str(path.locate())) for path in found]
    with io.BytesIO() as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            if path.is_file() and path.suffix != ".pyc":
                archive.write(path)
        return out.tell() / 2**20
