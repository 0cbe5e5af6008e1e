"""Counts the instructions of the core, and compares them with those in benches/instructions.json.

    ./scripts/bench instructions            # fails where it is more than 5 % more
    ./scripts/bench instructions --write    # takes over what is counted

callgrind counts while a function runs that the program in benches/src/bin marks. There is one
thread, no clock and no socket, so the count is the same each time, to some thousandths: maps are
hashed with other keys in each process. Only instructions of the program itself count, not those of
the C library: it has other ones for other processors (memcpy, for example). Of its allocator the
calls count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import places

PROGRAM = places.ROOT / "target" / "benches" / "release" / "instructions"
FIGURES = places.ROOT / "benches" / "instructions.json"
#: Messages of each call, and calls: as the program has them.
MESSAGES = 3 * 2_000
ALLOWED = 1.05
#: The C library's functions that give memory.
ALLOCATOR = {"malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign"}

#: Functions of the program by what they do, with the QoS at which they are called.
FUNCTIONS = {"receive": "01", "handled": "1", "publish": "01", "acknowledge": "1"}
VERSIONS = {"4": "MQTT 3.1.1", "5": "MQTT 5"}


def main() -> int:
    """Count and compare; return the status of the process."""
    parser = argparse.ArgumentParser(prog="./scripts/bench instructions")
    parser.add_argument("--write", action="store_true", help="take over what is counted")
    given = parser.parse_args()
    counted: dict[str, float] = {}
    for version, title in VERSIONS.items():
        for function, levels in FUNCTIONS.items():
            for qos in levels:
                instructions, allocations = count(function, qos, version)
                name = f"{function}, QoS {qos}, {title}"
                counted[f"{name}: instructions"] = instructions
                counted[f"{name}: allocations"] = allocations
    if given.write:
        FIGURES.write_text(json.dumps(counted, indent=2) + "\n")
        print(FIGURES.relative_to(places.ROOT))
        return 0
    return compare(counted, json.loads(FIGURES.read_text()))


def compare(counted: dict[str, float], committed: dict[str, float]) -> int:
    """Print both counts; return 1 if one is more than it may be, or has nothing to compare with."""
    worse, better = [], False
    print(f"{'for each message':44} committed    counted")
    for name, now in counted.items():
        before = committed.get(name)
        change = f"{100 * (now / before - 1):+6.1f} %" if before else ""
        known = "new" if before is None else f"{before:,g}"
        print(f"{name:44} {known:>9} {now:>10,g} {change}")
        if before is None or now > before * ALLOWED:
            worse.append(name)
        better |= before is not None and now * ALLOWED < before
    if better:
        print("Some are fewer: keep that with ./scripts/bench instructions --write")
    if not worse:
        return 0
    print(
        f"error: more than {100 * (ALLOWED - 1):.0f} % more than"
        f" {FIGURES.relative_to(places.ROOT)} has: {'; '.join(worse)}.\n"
        "Find what costs more, or, if it is worth that, take the new counts over with"
        " ./scripts/bench instructions --write, and say why in the commit.",
        file=sys.stderr,
    )
    return 1


def count(function: str, qos: str, version: str) -> tuple[int, float]:
    """Return how many instructions a function takes for a message, and how many allocations."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind.out")
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
        command += ["--compress-strings=no", "--compress-pos=no"]
        command += [f"--toggle-collect=*counted_{function}*", str(PROGRAM), version, qos]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"error: {PROGRAM.name} failed under callgrind:\n{done.stderr}")
        instructions, allocations = own(out.read_text())
    if instructions == 0:
        raise SystemExit(f"error: callgrind has seen no function counted_{function} in {PROGRAM}")
    # Vectors that grow have some more, which are none of a single message.
    return round(instructions / MESSAGES), round(allocations / MESSAGES, 1)


def own(text: str) -> tuple[int, int]:
    """Add up the instructions of the program's own code, and its calls of the allocator.

    text: what callgrind wrote.
    """
    instructions, allocations, called = 0, 0, ""
    ours, inclusive = False, False
    for line in text.splitlines():
        if line.startswith("ob="):
            ours = line.endswith(f"/{PROGRAM.name}")
        elif line.startswith("cfn="):
            called = line.removeprefix("cfn=")
        elif line.startswith("calls="):
            if ours and called in ALLOCATOR:
                allocations += int(line.removeprefix("calls=").split()[0])
            # The next line is what was called, which has lines of its own.
            inclusive = True
        elif line[:1] in set("0123456789+-*"):
            if ours and not inclusive:
                instructions += int(line.split()[1])
            inclusive = False
    return instructions, allocations


if __name__ == "__main__":
    sys.exit(main())
