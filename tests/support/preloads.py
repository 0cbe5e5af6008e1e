"""Libraries that a process loads before all others, compiled from C files of this directory."""

from __future__ import annotations

import subprocess
from pathlib import Path


def build(name: str, directory: Path) -> Path:
    """Compile a library, and return where it is, for `LD_PRELOAD`."""
    source, library = Path(__file__).with_name(f"{name}.c"), directory / f"{name}.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library
