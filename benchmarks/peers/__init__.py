"""The clients that are measured: one file each, with the same small interface (`base.Peer`)."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peers.base import Peer

OURS, ORIGINAL, FLOOR = "flask-mqtt-rs", "Flask-MQTT", "raw socket"


@dataclass(frozen=True)
class About:
    """Where a client is: its file here, its environment, and what its versions are told of."""

    module: str
    environment: str
    packages: tuple[str, ...]


PEERS = {
    OURS: About("flask_extension", "", ("flask-mqtt-rs", "Flask")),
    ORIGINAL: About("flask_extension", "flask-mqtt", ("Flask-MQTT", "paho-mqtt", "Flask")),
    "paho": About("paho_client", "paho", ("paho-mqtt",)),
    "gmqtt": About("gmqtt_client", "gmqtt", ("gmqtt",)),
    "zmqtt": About("zmqtt_client", "zmqtt", ("zmqtt",)),
    "mqttium": About("mqttium_client", "mqttium", ("mqttium",)),
    "aiomqtt": About("aiomqtt_client", "aiomqtt", ("aiomqtt", "paho-mqtt")),
    "awscrt": About("awscrt_client", "awscrt", ("awscrt",)),
    "pymosquitto": About("pymosquitto_client", "pymosquitto", ("pymosquitto",)),
    FLOOR: About("raw_socket", "", ()),
}


def load(name: str) -> type[Peer]:
    """Import the class of a client, and with it the client."""
    peer: type[Peer] = importlib.import_module(f"peers.{PEERS[name].module}").PEER
    return peer
