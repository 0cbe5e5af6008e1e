"""A client whose handler never returns: python stuck_client.py PORT [NAME=VALUE...].

For each line that it is given it tells, as JSON: VmRSS and VmSize in MB, the ends of connections so
far, and whether it is connected.
"""

import json
import re
import sys
import threading
from pathlib import Path

from flask_mqtt import Client

client = Client(client_id="bounds")
given = dict(item.split("=") for item in sys.argv[2:])
keepalive = int(given.pop("keepalive", "60"))
properties = None
if aliases := int(given.pop("aliases", "0")):
    client.configure(protocol_version=5)
    properties = {"TopicAliasMaximum": aliases}
for name, value in given.items():
    client.configure(**{name: int(value) if value.isdigit() else value})
# Never returns.
client.on_message = lambda *_: threading.Event().wait()
ends: list[object] = []
client.on_disconnect = lambda *arguments: ends.append(arguments)
client.connect("127.0.0.1", int(sys.argv[1]), keepalive, properties=properties)
client.loop_start()


def memory(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) / 1024


for _ in sys.stdin:
    figures = [memory("VmRSS"), memory("VmSize"), len(ends), client.is_connected()]
    print(json.dumps(figures), flush=True)
