"""What a process has used."""

from __future__ import annotations

import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What the process has used until a moment, all threads together: seconds and switches."""

    wall: float
    cpu: float
    switches: int

    @classmethod
    def now(cls) -> Usage:
        """Look."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        switches = used.ru_nvcsw + used.ru_nivcsw
        return cls(time.monotonic(), used.ru_utime + used.ru_stime, switches)

    def since(self, before: Usage, messages: int) -> dict[str, float]:
        """Return what that was for each message: a rate, microseconds of CPU, context switches."""
        if messages <= 0:
            raise ValueError("no message came through")
        return {
            "rate": messages / (self.wall - before.wall),
            "cpu_us": (self.cpu - before.cpu) / messages * 1e6,
            "switches": (self.switches - before.switches) / messages,
        }


def memory(name: str = "VmRSS") -> float:
    """Return a figure of this process's memory in MiB: VmRSS now, VmHWM at most."""
    return _status(name) / 1024


def threads() -> int:
    """Return how many threads this process has, Python's and others."""
    return _status("Threads")


def _status(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(re.findall(rf"^{name}:\s+(\d+)", status, re.MULTILINE)[0])
