"""Where the original and its paho are: in an environment of their own, which ./scripts/test makes.

Another interpreter that has them can be named in FLASK_MQTT_ORIGINAL_PYTHON. Their tests are in
their source distributions.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

ORIGINAL = Path(
    os.environ.get("FLASK_MQTT_ORIGINAL_PYTHON")
    or Path(__file__).parent.parent.parent / ".venv-original" / "bin" / "python"
)

SDISTS = Path(__file__).parent.parent.parent / ".cache" / "original"
DOWNLOAD = (
    "pip download --no-deps --no-binary {project} {project}=={version} -d .cache/original "
    "(./scripts/test does it)"
)


def source_distribution(project: str, version: str) -> Path:
    """Return the archive of a version of a project.

    Raises:
        FileNotFoundError: It is not there. The message says how to get it.
    """
    wanted = f"{project}-{version}".lower().replace("-", "_")
    for path in SDISTS.glob("*.tar.gz"):
        if path.name.removesuffix(".tar.gz").lower().replace("-", "_") == wanted:
            return path
    command = DOWNLOAD.format(project=project, version=version)
    raise FileNotFoundError(
        f"no source distribution of {project} in {SDISTS}. Get it with: {command}"
    )


def module_of_the_original(name: str) -> str:
    """Return a module of the original's tests."""
    with tarfile.open(source_distribution("Flask-MQTT", "1.3.0")) as archive:
        for member in archive.getmembers():
            source = archive.extractfile(member) if Path(member.name).name == name else None
            if source is not None:
                return source.read().decode()
    raise FileNotFoundError(f"the source distribution of Flask-MQTT has no {name}")
