"""Lives of a client on a machine that has nothing left for a moment, or for a while.

    python -m support.scarce plan.json

A plan names a life, where the broker is, and which calls are to fail (see `scarcity.c`). Each life
is lived by a forked child, from `connect` to the end of the process: once without a failure, to
count the calls, and then once for each call that is to fail, alone or with all that follow until
the middle of the life. After each:

- it has ended in time, and no exception came out of a thread;
- states were true: what `connect` and `loop_start` said is what happened, and there was never more
  than one thread for the connection;
- everything that was accepted with QoS 1 or 2 has arrived, that of QoS 2 once, and was reported
  once;
- the same client has connected, subscribed and published when the failure was over;
- threads and descriptors were as many as before, when it was closed.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .scarce_lives import LIVES
from .scarce_scene import LONGEST, Plan, Scene, descriptors, threads
from .scarcity import KINDS, LASTING, Scarcity

if TYPE_CHECKING:
    from collections.abc import Iterator


class Verdict(NamedTuple):
    """What a life has shown."""

    seen: int
    injected: int
    what: str
    failures: list[str]
    said: list[str]


def live(plan: Plan, name: str, number: int) -> Verdict:
    """Live once, in this process."""
    scarcity = Scarcity()
    scene = Scene(plan, name, scarcity)
    before = threads(), descriptors()
    kinds = sum(KINDS[kind] for kind in plan.kinds)
    count = LASTING if plan.lasting else 1
    scarcity.arm(kinds, number, count, plan.disk_error)
    try:
        LIVES[plan.life](scene)
    except Exception as error:
        scene.fail("".join(traceback.format_exception(error)))
    scarcity.disarm()
    seen, injected, what = scarcity.seen, scarcity.injected, scarcity.what

    def is_as_before() -> bool:
        gc.collect()
        now = threads(), descriptors()
        # The life has ended the socket of the rival.
        return now[0] == before[0] and now[1].items() <= before[1].items()

    if not scene.expect("threads and descriptors as before", is_as_before):
        scene.fail(f"before: {before}; after: {(threads(), descriptors())}")
    return Verdict(seen, injected, what, scene.failures, scene.said[-30:])


def in_child(plan: Plan, name: str, number: int) -> Verdict:
    """Live once, in a forked child that ends as processes do."""
    reading, writing = os.pipe()
    errors = Path(plan.directory, f"{name}.err")
    child = os.fork()
    if child == 0:
        os.close(reading)
        with errors.open("wb") as stream:
            os.dup2(stream.fileno(), 2)
        faulthandler.enable()
        if plan.green:
            import gevent.monkey

            gevent.monkey.patch_all()
        verdict = live(plan, name, number)
        with os.fdopen(writing, "w") as stream_of_verdict:
            json.dump(verdict, stream_of_verdict)
        sys.exit(0)
    os.close(writing)
    deadline = time.monotonic() + LONGEST
    data = b""
    while time.monotonic() < deadline:
        if not select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
            break
        part = os.read(reading, 65536)
        if not part:
            break
        data += part
    os.close(reading)
    status = wait_for_child(child, deadline)
    said = errors.read_text(errors="replace")
    errors.unlink()
    verdict = Verdict(*json.loads(data)) if data else Verdict(0, 0, "?", ["no verdict"], [])
    if status != 0:
        verdict.failures.append(f"the process ended with {status}")
    if said:
        verdict.failures.append(f"on stderr: {said}")
    return verdict


def wait_for_child(child: int, deadline: float) -> int:
    """Return the status of a child, which is ended with a traceback when its time is over."""
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGABRT)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def sweep(plan: Plan) -> Iterator[tuple[int, Verdict]]:
    """Live without a failure, then with each one."""
    kind = f"{plan.life}-{os.getpid()}"
    # The first one ever does what is done once in a process, which is not its own.
    calm = in_child(plan, f"{kind}-0", LASTING)
    yield 0, calm
    if calm.failures:
        return
    number = plan.first
    # A failure makes for other calls, and more of them.
    while True:
        verdict = in_child(plan, f"{kind}-{number}", number)
        if not verdict.injected and not verdict.failures:
            return
        yield number, verdict
        number += plan.step


def main() -> None:
    """Live what the plan says, and print the verdicts, a line for each."""
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text()))
    # Collecting garbage is to touch nothing that all of the children share.
    gc.freeze()
    for number, verdict in sweep(plan):
        print(json.dumps([number, verdict]), flush=True)


if __name__ == "__main__":
    main()
