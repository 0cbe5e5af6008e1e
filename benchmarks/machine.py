"""What is measured, and where."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

import peers
import places

VERSIONS = """
import importlib.metadata, sys
for package in sys.argv[1:]:
    print(package, importlib.metadata.version(package))
"""


def about() -> dict[str, str]:
    """Describe the machine, without its name."""
    memory = int(first(r"MemTotal:\s+(\d+)", Path("/proc/meminfo"))) / 2**20
    return {
        "date": datetime.now(tz=timezone.utc).date().isoformat(),
        "processor": first(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo")),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.1f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "Rust": output("rustc", "--version").split()[1],
        "mosquitto": first_of(r"version (\S+)", output("mosquitto", "-h")),
        "busy before": f"{100 * busy():.0f} % of the cores",
    }


def busy() -> float:
    """Return the share of the cores that others use, in a second without a run."""
    before = times()
    time.sleep(1)
    after = times()
    used, everything = (now - then for now, then in zip(after, before, strict=True))
    return used / everything


def times() -> tuple[int, int]:
    """Return how long the cores have worked, and that with how long they have not: in ticks."""
    user, nice, system, idle, waiting, *others = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    used = user + nice + system + sum(others)
    return used, used + idle + waiting


def versions() -> dict[str, str]:
    """Return the versions of the clients that are installed."""
    found = {}
    for name, peer in peers.PEERS.items():
        python = places.interpreter(name)
        if python is None or not peer.packages:
            continue
        text = output(str(python), "-c", VERSIONS, *peer.packages)
        found[name] = ", ".join(text.strip().splitlines())
    return found


def output(*command: str) -> str:
    """Return what a program prints, whatever its status."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout


def first(pattern: str, path: Path) -> str:
    """Find something in a file."""
    return first_of(pattern, path.read_text())


def first_of(pattern: str, text: str) -> str:
    """Find something in a text."""
    found = re.search(pattern, text)
    return found[1].strip() if found else "unknown"
