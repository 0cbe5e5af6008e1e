"""Wheels made of what is here already: of this tree, and of an installed distribution."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make_wheel(directory: Path, name: str, version: str, files: Iterable[tuple[str, Path]]) -> Path:
    """Write a wheel with files by their names in it, and without requirements."""
    info = f"{name}-{version}.dist-info"
    path = directory / f"{name}-{version}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with zipfile.ZipFile(path, "w") as archive:
        names = [f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]
        for inside, source in files:
            archive.write(source, inside)
            names.append(inside)
        archive.writestr(names[0], metadata)
        archive.writestr(names[1], WHEEL)
        archive.writestr(names[2], "".join(f"{inside},,\n" for inside in names))
    return path
