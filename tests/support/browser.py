"""A real browser without a window."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

from selenium import webdriver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OPTIONS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "disable-dev-shm-usage",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
)


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """Run Chromium.

    Args:
        profile: An empty folder for what it keeps.

    Returns:
        What drives it.

    Raises:
        FileNotFoundError: It is not installed: ``./scripts/test`` does that.
    """
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        raise FileNotFoundError(f"not installed: {', '.join(missing)}; ./scripts/test installs it")
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs["chromium"])
    for option in (*_OPTIONS, f"user-data-dir={profile}"):
        options.add_argument(f"--{option}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs["chromedriver"]))
    try:
        yield driver
    finally:
        driver.quit()
