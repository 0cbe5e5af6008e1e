"""What is measured, in a process of its own for each run: one file each, with a function `run`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds from the first message to the first look, in which buffers fill and code gets warm.
WARM = 0.2


def load(name: str) -> Callable[[str, dict[str, Any]], dict[str, float]]:
    """Find the function of a task, which takes a client's name and the case's values."""
    run = importlib.import_module(f"tasks.{name}").run
    return cast("Callable[[str, dict[str, Any]], dict[str, float]]", run)
