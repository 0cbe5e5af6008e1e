"""amqtt, a broker in Python that shares nothing with mosquitto; MQTT 3.1.1 only."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from .ports import free_port
from .server import HOST
from .server_process import ServerProcess, accepts

if TYPE_CHECKING:
    from pathlib import Path

    from .certificates import KeyPair


class AmqttBroker(ServerProcess):
    """One amqtt process that takes every client, by TCP (`port`) and websockets (`ws_port`).

    server: a certificate and its key; given, it also listens with TLS (`tls_port`, `wss_port`).
    cafile: whose certificates clients of TLS may show; they need not.
    """

    def __init__(
        self, directory: Path, server: KeyPair | None = None, cafile: Path | None = None
    ) -> None:
        super().__init__(directory)
        self.port, self.ws_port = free_port(), free_port()
        self.tls_port, self.wss_port = (free_port(), free_port()) if server else (0, 0)
        listeners: dict[str, dict[str, object]] = {
            "default": {"type": "tcp", "bind": f"{HOST}:{self.port}"},
            "websockets": {"type": "ws", "bind": f"{HOST}:{self.ws_port}"},
        }
        if server:
            tls = {"ssl": True, "certfile": str(server.certificate), "keyfile": str(server.key)}
            if cafile:
                tls["cafile"] = str(cafile)
            listeners["tls"] = {"type": "tcp", "bind": f"{HOST}:{self.tls_port}", **tls}
            listeners["wss"] = {"type": "ws", "bind": f"{HOST}:{self.wss_port}", **tls}
        anonymous = "amqtt.plugins.authentication.AnonymousAuthPlugin"
        config = {"listeners": listeners, "plugins": {anonymous: {"allow_anonymous": True}}}
        # Every JSON document is YAML, which is what amqtt reads.
        self._config = directory / "amqtt.yaml"
        self._config.write_text(json.dumps(config))

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "amqtt.scripts.broker_script", "-c", str(self._config)]

    def _accepts(self) -> bool:
        ports = (self.port, self.ws_port, self.tls_port, self.wss_port)
        return all(accepts((HOST, port)) for port in ports if port)
