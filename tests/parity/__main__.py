"""`python -m parity NAME`, run in the folder of the tests: plays a scenario, prints what was seen.

The interpreter decides which flask_mqtt it is played with.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

from .recording import Run
from .registry import all_scenarios


def main() -> None:
    """Play the scenario and leave without waiting for any thread of the package."""
    scenario = all_scenarios()[sys.argv[1]]
    status = 0
    with Run() as run:
        try:
            scenario.play(run)
        except Exception:
            traceback.print_exc()
            status = 1
        print(json.dumps(run.outcome()), flush=True)
    sys.stderr.flush()
    os._exit(status)


main()
