"""One run: a client and a task, in the client's own environment.

    python worker.py CLIENT TASK VALUES

VALUES is an object in JSON. It prints the result as another one, in a line of its own; a client
that cannot do the task makes it print null.
"""

from __future__ import annotations

import json
import logging
import os
import sys

import tasks


def main() -> None:
    """Run."""
    logging.disable()  # Flask-MQTT has a line for each message that is refused
    client, task, values = sys.argv[1:]
    try:
        result: dict[str, float] | None = tasks.load(task)(client, json.loads(values))
    except NotImplementedError:
        result = None
    print(json.dumps(result), flush=True)
    # What a client does at the end of a process is not measured.
    os._exit(0)


if __name__ == "__main__":
    main()
