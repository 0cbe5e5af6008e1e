"""An application whose memory is watched: python watched_client.py CONFIG, which is JSON.

It goes on trying to connect. For each line that it is given it tells, as JSON: VmRSS and VmHWM in
MB, whether it is connected, and its warnings.
"""

import json
import logging
import re
import sys
import threading
from pathlib import Path

from flask import Flask

from flask_mqtt import Mqtt

app = Flask("watched")
app.config.update(json.loads(sys.argv[1]))
failures: list[str] = []


class Noting(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        failures.append(record.getMessage())


logging.getLogger("flask_mqtt").addHandler(Noting(logging.WARNING))
mqtt = Mqtt(connect_async=True)
# With this key, which is none of the package's, the handler never returns.
blocked = app.config.get("HANDLER_BLOCKS")
mqtt.on_message()(lambda *_: threading.Event().wait() if blocked else None)
mqtt.init_app(app)


def memory(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) / 1024


for _ in sys.stdin:
    figures = [memory("VmRSS"), memory("VmHWM"), mqtt.connected, failures]
    print(json.dumps(figures), flush=True)
