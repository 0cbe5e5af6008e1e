"""What is inside the wheel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flask_mqtt import _core

EXTENSION = Path(_core.__file__)

#: Loads the extension module alone, as the package around it imports Python's `ssl`.
LOAD = """
import importlib.machinery, importlib.util, pathlib, sys
loader = importlib.machinery.ExtensionFileLoader("_core", sys.argv[1])
spec = importlib.util.spec_from_loader("_core", loader)
loader.exec_module(importlib.util.module_from_spec(spec))
print(pathlib.Path("/proc/self/maps").read_text())
"""


@pytest.mark.smoke
@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
@pytest.mark.skipif(
    EXTENSION.is_relative_to(Path(__file__).parent.parent / "python"),
    reason="built for development, which may be with the system's OpenSSL",
)
def test_the_wheel_needs_no_openssl_of_the_system() -> None:
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", LOAD, str(EXTENSION)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    assert EXTENSION.name in loaded
    assert "libssl" not in loaded
    assert "libcrypto" not in loaded
