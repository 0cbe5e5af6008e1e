"""Forked children of the process that runs the tests."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: A child that takes longer hangs, in seconds.
PATIENCE = 10


def in_child(work: Callable[[], object]) -> None:
    """Run something in a forked child, and raise what it raised as text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # Not pytest-timeout's handler, which the parent may have.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(PATIENCE)
        failure = ""
        try:
            work()
        except BaseException as error:
            failure = f"{type(error).__name__}: {error}"
        os.write(writing, failure.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        failure = pipe.read()
    assert os.waitpid(child, 0)[1] == 0, "the child hangs"
    assert failure == ""
