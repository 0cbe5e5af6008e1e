"""The packages whose modules have the names of those here."""

from __future__ import annotations

import json
import warnings
from importlib import metadata


def warn_of_original(project: str, module: str) -> None:
    """Warn where a package is installed whose files are in the same folder as those here.

    Whichever was installed last has overwritten the other's.

    Args:
        project: Its name.
        module: That of the module of both, which calls this when it is imported.
    """
    try:
        version = metadata.version(project)
    except metadata.PackageNotFoundError:
        return
    warnings.warn(
        f"{project} {version} and flask-mqtt-rs are both installed, in one folder: {module}. "
        "To uninstall one of them takes files of the other away, and leaves an empty module. "
        "Uninstall both, then install flask-mqtt-rs again: "
        f"pip uninstall {project.lower()} flask-mqtt-rs && pip install {_installed_from()}",
        RuntimeWarning,
        stacklevel=3,
    )


def _installed_from() -> str:
    """Return what `pip install` takes to install this package again, as far as pip has noted it."""
    try:
        noted = metadata.distribution("flask-mqtt-rs").read_text("direct_url.json")
        url = json.loads(noted or "{}").get("url", "")
    except (metadata.PackageNotFoundError, ValueError):
        url = ""
    return url if url.startswith("file:") else "<its wheel or source folder>"
