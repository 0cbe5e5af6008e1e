"""`python -m wire MODULE DIRECTORY`, run in the folder of the tests, with names on stdin.

Plays these scripts with the client of a module and writes a line of JSON for each. The directory
has the certificates that support.certificates made.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from .player import DiffersError
from .registry import all_cases
from .run import Run

#: They mostly wait.
AT_ONCE = 12


def play(name: str, module: str, certificates: Path) -> dict[str, object]:
    """Play a script and return how it went."""
    case = all_cases()[name]
    side = case.ours if module == "flask_mqtt" else case.paho
    error = ""
    with Run(module, case, side, certificates) as run:
        try:
            run.play(case, side)
        except DiffersError as difference:
            error = str(difference)
        except Exception:
            error = f"{run.player.error}\n{traceback.format_exc()}"
    return {"name": name, "error": error, "sees": run.sees}


def main() -> None:
    """Play what stdin names and leave without waiting for any thread of a client."""
    module, certificates = sys.argv[1], Path(sys.argv[2])
    names = sys.stdin.read().splitlines()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(play, name, module, certificates) for name in names]
        for future in as_completed(futures):
            print(json.dumps(future.result()), flush=True)
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    # paho's first callback API is the one that both have.
    warnings.simplefilter("ignore", DeprecationWarning)
    main()
