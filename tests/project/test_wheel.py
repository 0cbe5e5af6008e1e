"""What is inside the wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path

import pytest

from flask_mqtt import _core

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXTENSION = Path(_core.__file__)
NOTICES = "THIRD-PARTY-NOTICES.txt"
of_the_wheel = pytest.mark.skipif(
    EXTENSION.is_relative_to(ROOT / "python"), reason="this is the development's installation"
)

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
@of_the_wheel
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


def in_the_wheel(name: str) -> str:
    """Return the text of a file of the wheel's dist-info."""
    found = [path for path in metadata.files("flask-mqtt-rs") or [] if path.name == name]
    assert len(found) == 1, f"{name}: {found}"
    return found[0].read_text(encoding="utf-8")


@pytest.mark.smoke
@of_the_wheel
@pytest.mark.parametrize("module", ["flask_mqtt", "flask_multimqtt"])
def test_the_wheel_has_both_modules_with_their_types(module: str) -> None:
    inside = {str(path) for path in metadata.files("flask-mqtt-rs") or []}
    python = ROOT / "python"
    wanted = {str(path.relative_to(python)) for path in (python / module).rglob("*.py")}
    assert len(wanted) > 3
    assert sorted({*wanted, f"{module}/py.typed"} - inside) == []


@pytest.mark.smoke
@of_the_wheel
@pytest.mark.parametrize("name", ["LICENSE", NOTICES])
def test_the_wheel_has_its_licences(name: str) -> None:
    assert in_the_wheel(name) == (ROOT / name).read_text(encoding="utf-8")
    assert name in (metadata.metadata("flask-mqtt-rs").get_all("License-File") or [])


@pytest.mark.smoke
@of_the_wheel
@pytest.mark.skipif(sys.platform != "linux", reason="it is about glibc")
def test_the_wheel_needs_no_later_glibc_than_its_name_says() -> None:
    promised = re.findall(r"manylinux_(\d+)_(\d+)", in_the_wheel("WHEEL"))
    needed = re.findall(rb"GLIBC_(\d+)\.(\d+)", EXTENSION.read_bytes())
    assert len(needed) > 1
    assert max((int(a), int(b)) for a, b in needed) <= max((int(a), int(b)) for a, b in promised)


def dependencies() -> set[str]:
    """Return each crate that is compiled in, with its version, as cargo lists them."""
    targets = re.findall(r'"([\w-]+-(?:linux-gnu|apple-darwin))"', (ROOT / "deny.toml").read_text())
    command = ["cargo", "tree", "--locked", "--edges", "normal"]
    command += [f"--target={target}" for target in targets]
    done = subprocess.run(
        [*command, "--prefix", "none", "--format", "{p}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    lines = {line.split(" (")[0] for line in done.stdout.splitlines() if line}
    return {line.replace(" v", " ") for line in lines if not line.startswith("flask-mqtt-rs ")}


def test_each_crate_of_the_wheel_is_named_in_the_notices() -> None:
    text = (ROOT / NOTICES).read_text(encoding="utf-8")
    crates = dependencies()
    assert len(crates) > 90
    assert sorted(name for name in crates if f"\n{name}: " not in text) == []
    for name in [*crates, "OpenSSL", "SQLite"]:
        assert re.search(rf"^{re.escape(name)}\b", text, re.MULTILINE)


def test_the_notices_are_those_of_the_lock_file() -> None:
    subprocess.run(
        [sys.executable, "scripts/notices.py", "--check"], cwd=ROOT, timeout=120, check=True
    )


def test_a_source_distribution_has_the_licences_too(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "maturin", "sdist", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        check=True,
    )
    [path] = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", NOTICES, "python/flask_multimqtt/py.typed"} <= names
