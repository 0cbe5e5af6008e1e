"""A SocketIO client in a process of its own: python listener.py URL COUNT.

It subscribes by way of the application, prints the payloads of COUNT messages as they arrive,
publishes, and unsubscribes.
"""

import json
import sys
import threading

import socketio

from support.socketio_client import handle_in_order

url, count = sys.argv[1], int(sys.argv[2])
client = socketio.Client()
handle_in_order(client)
received: list[str] = []
complete = threading.Event()


@client.on("mqtt_message")  # type: ignore[untyped-decorator]
def handle(data: dict[str, str]) -> None:
    received.append(data["payload"])
    if len(received) == count:
        complete.set()


client.connect(url)
client.emit("subscribe", json.dumps({"topic": "green/in/#"}))
if not complete.wait(30):
    print(f"{len(received)} of {count} messages", file=sys.stderr)
print(json.dumps(received), flush=True)
client.emit("publish", json.dumps({"topic": "green/out", "message": "published"}))
client.emit("unsubscribe_all")
sys.stdin.readline()
client.disconnect()
