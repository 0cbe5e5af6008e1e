"""Every call for a descriptor, a thread, a file or a socket fails, one after the other.

The suite lets a part of them fail. This lets all of them fail, in some minutes, and says how many
that were:

    PYTHONPATH=tests python -m reliability.test_scarcity

What is checked after each is in `support.scarce`.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.certificates import Certificates
from support.mosquitto import Listener, Mosquitto
from support.proxy import HttpProxy, SocksProxy
from support.scarcity import KINDS, build, loading

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
SCARCE = ["descriptors", "threads"]
LIVES = ("ordinary", "offline", "replaced", "filed", "application", "forking", "leaving")
WAYS = ("tls", "ws", "wss", "unix", "socks", "http")
AT_ONCE = 3


@dataclass(frozen=True)
class Sweep:
    """A life, and the calls of it that fail; see `support.scarce_scene.Plan`."""

    life: str
    kinds: list[str] = field(default_factory=lambda: SCARCE)
    way: str = "tcp"
    settings: dict[str, Any] = field(default_factory=dict)
    lasting: bool = False
    step: int = 1
    first: int = 1
    disk_error: int = errno.ENOSPC
    green: bool = False

    def __str__(self) -> str:
        """Tell it in some words."""
        words = [self.life, self.way, *(f"{key}={value}" for key, value in self.settings.items())]
        words += ["+".join(self.kinds), "lasting" if self.lasting else "once"]
        words += [errno.errorcode[self.disk_error]] * (self.disk_error != errno.ENOSPC)
        return " ".join(words + ["green"] * self.green)


SUITE = [
    *(Sweep(life) for life in LIVES if life != "offline"),
    Sweep("offline", settings={"handler_threads": 4, "broker_url": "localhost"}),
    Sweep("offline", settings={"handler_threads": 4}, lasting=True, step=6),
    Sweep("replaced", lasting=True, step=9),
    Sweep("ordinary", ["descriptors"], green=True),
    Sweep("ordinary", ["network"], "wss", step=25, first=2),
    Sweep("filed", ["files"], step=17),
    Sweep("filed", ["files"], lasting=True, step=31, first=20),
]


def full() -> Iterator[Sweep]:
    """Return everything there is."""
    everything = list(KINDS)
    for life in LIVES:
        yield Sweep(life, everything)
        yield Sweep(life, SCARCE, lasting=True)
        yield Sweep(life, ["network"], lasting=True, step=3)
    for way in WAYS:
        yield Sweep("ordinary", everything, way)
        yield Sweep("ordinary", SCARCE, way, lasting=True)
        yield Sweep("replaced", everything, way)
    pool = {"handler_threads": 4, "broker_url": "localhost", "protocol_version": 5}
    for life in ("ordinary", "offline", "application"):
        yield Sweep(life, everything, settings=pool)
        yield Sweep(life, SCARCE, settings=pool, lasting=True)
        yield Sweep(life, ["descriptors", "network"], green=True)
    yield Sweep("filed", ["files"], lasting=True)
    for disk_error in (errno.EIO, errno.ENOSPC):
        settings = {"handler_threads": 4, "persistence_fsync": "always"}
        yield Sweep("filed", everything, "tls", settings, disk_error=disk_error)
        yield Sweep("filed", ["files"], "wss", settings, lasting=True, disk_error=disk_error)


class Site:
    """A broker that can be reached in every way, and the library."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.directory = directory
        self.library = build(directory)
        self._ca = certificates.ca
        tls = Listener(certificate=certificates.server.certificate, key=certificates.server.key)
        listeners = {
            "tls": tls,
            "ws": Listener("websockets"),
            "wss": replace(tls, kind="websockets"),
            "unix": Listener("unix"),
        }
        self.broker = Mosquitto(directory, listeners=listeners, options=("max_queued_messages 0",))
        self.proxies: dict[str, str] = {}

    def settings(self, way: str) -> dict[str, Any]:
        """Return the settings of a client that goes this way."""
        if way in self.proxies:
            return {"proxy": self.proxies[way]}
        settings: dict[str, Any] = {}
        if way in ("tls", "wss"):
            settings |= {"tls_enabled": True, "tls_ca_certs": str(self._ca)}
        if way in ("ws", "wss"):
            settings["transport"] = "websockets"
        if way == "unix":
            path = str(self.broker.listeners["unix"].path)
            return {"transport": "unix", "broker_url": path}
        if way != "tcp":
            settings["broker_port"] = self.broker.listeners[way].port
        return settings

    def sweep(self, sweep: Sweep) -> tuple[int, int, list[str]]:
        """Run one. Returns the numbers of lives and of calls that failed, and what was wrong."""
        with tempfile.TemporaryDirectory(dir=self.directory) as directory:
            plan = {
                "life": sweep.life,
                "port": self.broker.port,
                "settings": self.settings(sweep.way) | sweep.settings,
                "kinds": sweep.kinds,
                "lasting": sweep.lasting,
                "step": sweep.step,
                "first": sweep.first,
                "directory": directory,
                "disk_error": sweep.disk_error,
                "green": sweep.green,
            }
            file = Path(directory, "plan.json")
            file.write_text(json.dumps(plan))
            process = subprocess.run(
                [sys.executable, "-m", "support.scarce", str(file)],
                cwd=TESTS,
                env=os.environ | loading(self.library),
                capture_output=True,
                text=True,
                check=False,
            )
        lives, injected, failures = 0, 0, []
        for line in process.stdout.splitlines():
            number, (seen, count, what, wrong, said) = json.loads(line)
            lives += 1
            injected += count
            if wrong:
                failures.append("\n  ".join([f"{sweep}: {number}: {what}", *wrong, "said:", *said]))
            elif not seen:
                failures.append(f"{sweep}: nothing could fail")
        if process.returncode or process.stderr:
            failures.append(f"{sweep}: {process.returncode}: {process.stderr}")
        return lives, injected, failures


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Site]:
    """A site whose broker runs."""
    site = Site(tmp_path_factory.mktemp("scarcity"), certificates)
    with site.broker:
        yield site


def test_no_call_that_fails_costs_more_than_itself(site: Site) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(site.sweep, SUITE))
    assert not [failure for _, _, failures in results for failure in failures]
    # Without a failure, and with some.
    assert all(lives > 1 and injected for lives, injected, _ in results)


def main() -> int:
    """Let everything fail, and print what that has shown."""
    begun = time.monotonic()
    only = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for part in ("certificates", "site", "socks", "http"):
            (directory / part).mkdir()
        site = Site(directory / "site", Certificates(directory / "certificates"))
        proxies = SocksProxy(directory / "socks"), HttpProxy(directory / "http")
        with site.broker, proxies[0], proxies[1], ThreadPoolExecutor(AT_ONCE) as pool:
            site.proxies = {"socks": proxies[0].url, "http": proxies[1].url}
            sweeps = [sweep for sweep in full() if all(word in str(sweep).split() for word in only)]
            sums, wrong = [0, 0], 0
            results = pool.map(site.sweep, sweeps)
            for sweep, (lives, injected, failures) in zip(sweeps, results, strict=True):
                print(f"{sweep}: {lives} lives, {injected} calls failed", flush=True)
                print(*failures, sep="\n", flush=True, end="\n" if failures else "")
                sums = [sums[0] + lives, sums[1] + injected]
                wrong += len(failures)
    seconds = time.monotonic() - begun
    print(f"{sums[0]} lives, {sums[1]} calls failed, {wrong} wrong, {seconds:.0f} s")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
