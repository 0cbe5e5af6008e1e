"""The brokers of the table. What each needs is installed by ./scripts/interop."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from support.amqtt_broker import AmqttBroker
from support.mosquitto import Listener, Mosquitto
from support.server import HOST
from support.server_process import find_program

from . import rabbitmq
from .broker import Broker, Program, ports

if TYPE_CHECKING:
    from collections.abc import Mapping

CACHE = Path(__file__).parents[2] / ".cache" / "interop"
NO_UNIX_SOCKET = "It listens on TCP ports only."
RMQTTD = CACHE / "rmqttd" / "bin" / "rmqttd"
ONLY_311 = "It supports MQTT 3.1.1 only."


def first_line(*command: str) -> str:
    """Return the first line that a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return (done.stdout or done.stderr).splitlines()[0].strip()


def mosquitto_version() -> str:
    """Return the version of mosquitto that is installed."""
    return first_line(find_program("mosquitto"), "-h").split()[-1]


def nats_version() -> str:
    """Return the version of NATS that is installed."""
    program = find_program("nats-server", "nats-server")
    return first_line(program, "--version").rpartition("v")[2]


def rmqttd_version() -> str:
    """Return the version of RMQTT that was built. Raises OSError without one."""
    return first_line(str(RMQTTD), "--version").split("/")[1].split("-")[0]


class MosquittoBroker(Broker):
    """Eclipse Mosquitto of the system."""

    title = "Mosquitto"

    def version(self) -> str:
        return mosquitto_version()

    def start(self) -> None:
        own = self.certificates.server
        tls = Listener(certificate=own.certificate, key=own.key)
        mutual = Listener(
            certificate=own.certificate,
            key=own.key,
            cafile=self.certificates.ca,
            require_certificate=True,
        )
        listeners = {
            "tls": tls,
            "mutual": mutual,
            "ws": Listener("websockets"),
            "wss": Listener("websockets", certificate=own.certificate, key=own.key),
            "unix": Listener("unix"),
        }
        main = Mosquitto(self.directory / "main", listeners=listeners)
        self.run(main)
        locked = Mosquitto(self.directory / "locked", users={"somebody": "right"})
        self.run(locked)
        found = {name: main.listeners[name].port for name in listeners if name != "unix"}
        self.add_ways(tcp=main.port, locked=locked.port, **found)
        self.ways["unix"] = {"transport": "unix", "broker_url": str(main.listeners["unix"].path)}


class Amqtt(Broker):
    """amqtt from PyPI, which the demo uses too."""

    title = "amqtt"
    absent: ClassVar[Mapping[str, str]] = {
        "unix_socket": NO_UNIX_SOCKET,
        "mqtt_31": ONLY_311,
        "mqtt_5": ONLY_311,
    }

    def version(self) -> str:
        return metadata.version("amqtt")

    def start(self) -> None:
        own = self.certificates
        broker = AmqttBroker(self.directory, own.server, own.ca)
        self.run(broker)
        self.add_ways(
            tcp=broker.port,
            tls=broker.tls_port,
            mutual=broker.tls_port,
            ws=broker.ws_port,
            wss=broker.wss_port,
        )


class RabbitMq(Broker):
    """RabbitMQ's plugins for MQTT and for MQTT over websockets.

    Whether clients need a certificate holds for all ports of a node, so there are two.
    """

    title = "RabbitMQ"
    absent: ClassVar[Mapping[str, str]] = {
        "qos_2": "It serves QoS 2 as QoS 1.",
        "unix_socket": NO_UNIX_SOCKET,
        "mqtt_5": "It supports MQTT 3.1 and 3.1.1; MQTT 5 came with RabbitMQ 3.13.",
    }

    def version(self) -> str:
        return rabbitmq.version()

    def start(self) -> None:
        self._registrar = rabbitmq.Registrar(self.directory / "epmd")
        self.run(self._registrar)
        main = self._start_node("main", mutual=False)
        mutual = self._start_node("mutual", mutual=True)
        self.add_ways(tcp=main["tcp"], tls=main["tls"], ws=main["ws"], wss=main["wss"])
        self.add_ways(mutual=mutual["tls"])
        for name in ("ws", "wss"):
            self.ways[name]["ws_path"] = "/ws"

    def _start_node(self, name: str, *, mutual: bool) -> dict[str, int]:
        own = self.certificates
        directory = self.directory / name
        used = ports("tcp", "tls", "ws", "wss")
        settings = {
            "mqtt.allow_anonymous": "true",
            "mqtt.listeners.tcp.default": f"{HOST}:{used['tcp']}",
            "mqtt.listeners.ssl.default": f"{HOST}:{used['tls']}",
            "ssl_options.cacertfile": own.ca,
            "ssl_options.certfile": own.server.certificate,
            "ssl_options.keyfile": own.server.key,
            "ssl_options.verify": "verify_peer" if mutual else "verify_none",
            "ssl_options.fail_if_no_peer_cert": "true" if mutual else "false",
            "web_mqtt.tcp.ip": HOST,
            "web_mqtt.tcp.port": used["ws"],
            "web_mqtt.ssl.ip": HOST,
            "web_mqtt.ssl.port": used["wss"],
            "web_mqtt.ssl.cacertfile": own.ca,
            "web_mqtt.ssl.certfile": own.server.certificate,
            "web_mqtt.ssl.keyfile": own.server.key,
        }
        served = [used[way] for way in ("tcp", "tls", "ws", "wss")]
        registrar = self._registrar.port
        self.run(rabbitmq.Node(directory, f"interop-{name}", registrar, settings, served))
        return used


class Nats(Broker):
    """nats-server. It has one port for MQTT and one for websockets, so there are three servers."""

    title = "NATS"
    absent: ClassVar[Mapping[str, str]] = {
        "qos_2": "It supports QoS 0 and 1; QoS 2 came with nats-server 2.10.",
        "unix_socket": NO_UNIX_SOCKET,
        "mqtt_31": ONLY_311,
        "mqtt_5": ONLY_311,
    }

    def version(self) -> str:
        return nats_version()

    def start(self) -> None:
        own = self.certificates
        tls = f'cert_file: "{own.server.certificate}", key_file: "{own.server.key}"'
        mutual = f'{tls}, ca_file: "{own.ca}", verify: true'
        plain = self._start_server("plain", "", "no_tls: true")
        encrypted = self._start_server("tls", f"tls {{ {tls} }}", f"tls {{ {tls} }}")
        strict = self._start_server("mutual", f"tls {{ {mutual} }}", "no_tls: true")
        self.add_ways(
            tcp=plain["mqtt"],
            ws=plain["ws"],
            tls=encrypted["mqtt"],
            wss=encrypted["ws"],
            mutual=strict["mqtt"],
        )

    def _start_server(self, name: str, mqtt: str, websocket: str) -> dict[str, int]:
        directory = self.directory / name
        directory.mkdir(parents=True)
        used = ports("nats", "mqtt", "ws")
        config = directory / "nats.conf"
        config.write_text(
            f'host: "{HOST}"\nport: {used["nats"]}\nserver_name: "interop-{name}"\n'
            f'jetstream {{ store_dir: "{directory}" }}\n'
            f'mqtt {{ host: "{HOST}", port: {used["mqtt"]}\n {mqtt} }}\n'
            f'websocket {{ host: "{HOST}", port: {used["ws"]}\n {websocket} }}\n'
        )
        program = find_program("nats-server", "nats-server")
        self.run(Program(directory, [program, "-c", str(config)], list(used.values())))
        return used


class Rumqttd(Broker):
    """rumqttd from crates.io, built with the check of client certificates."""

    title = "rumqttd"
    program = CACHE / "rumqttd" / "bin" / "rumqttd"
    absent: ClassVar[Mapping[str, str]] = {
        "unix_socket": NO_UNIX_SOCKET,
        "mqtt_31": "It supports MQTT 3.1.1 and 5.",
    }

    def version(self) -> str:
        return first_line(str(self.program), "--version").split()[-1]

    def start(self) -> None:
        own = self.certificates
        tls = {
            "capath": str(own.ca),
            "certpath": str(own.server.certificate),
            "keypath": str(own.server.key),
        }
        used = ports("tcp", "tcp5", "tls", "tls5", "ws", "wss", "locked5")
        tables: list[str] = []
        for name, port in used.items():
            kind = "v5" if name.endswith("5") else "ws" if name.startswith("ws") else "v4"
            limits: dict[str, object] = {
                "connection_timeout_ms": 60000,
                "max_payload_size": 20480,
                "max_inflight_count": 100,
                "dynamic_filters": True,
            }
            table: dict[str, dict[str, object]] = {
                f"{kind}.{name}": {
                    "name": name,
                    "listen": f"{HOST}:{port}",
                    "next_connection_delay_ms": 1,
                },
                f"{kind}.{name}.connections": limits,
            }
            if name.startswith(("tls", "wss")):
                table[f"{kind}.{name}.tls"] = dict(tls)
            if name == "locked5":
                table[f"{kind}.{name}.connections.auth"] = {"somebody": "right"}
            tables.append(toml(table))
        router: dict[str, object] = {
            "id": 0,
            "max_connections": 100,
            "max_outgoing_packet_count": 200,
            "max_segment_size": 1048576,
            "max_segment_count": 10,
        }
        config = self.directory / "rumqttd.toml"
        config.write_text(f"id = 0\n{toml({'router': router})}{''.join(tables)}")
        self._serve(config, list(used.values()))
        self.add_ways(**used, mutual=used["tls"], mutual5=used["tls5"])
        for name in ("tls", "tls5", "wss"):  # it asks on every port with TLS
            client = own.client
            self.ways[name] |= {
                "tls_certfile": str(client.certificate),
                "tls_keyfile": str(client.key),
            }

    def _serve(self, config: Path, ports: list[int]) -> None:
        words = [str(self.program), "--quiet", "-v", "--config", str(config)]
        self.run(Program(self.directory, words, ports))


class IotCore(Rumqttd):
    """iotcore from PyPI, which has a rumqttd of its own, without the check of certificates."""

    title = "iotcore"
    packages = CACHE / "iotcore"

    def version(self) -> str:
        found = metadata.distributions(name="iotcore", path=[str(self.packages)])
        try:
            return next(iter(found)).version
        except StopIteration:
            raise FileNotFoundError(f"no iotcore in {self.packages}") from None

    def _serve(self, config: Path, ports: list[int]) -> None:
        words = [
            sys.executable,
            "-m",
            "iotcore",
            "--config",
            str(config),
            "--log-level",
            "CRITICAL",
        ]
        self.run(Program(self.directory, words, ports, {"PYTHONPATH": str(self.packages)}))


class Aedes(Broker):
    """aedes from npm, a library: `aedes.mjs` serves it."""

    title = "aedes"
    packages = CACHE / "aedes"
    absent: ClassVar[Mapping[str, str]] = {"mqtt_5": "It supports MQTT 3.1 and 3.1.1."}

    def version(self) -> str:
        package = self.packages / "node_modules" / "aedes" / "package.json"
        return str(json.loads(package.read_text())["version"])

    def start(self) -> None:
        own = self.certificates
        used = ports("tcp", "tls", "mutual", "ws", "wss")
        socket = self.directory / "aedes.sock"
        paths = {
            "unix": socket,
            "packages": self.packages,
            "certificate": own.server.certificate,
            "key": own.server.key,
            "ca": own.ca,
        }
        argument = json.dumps({**used, **{name: str(path) for name, path in paths.items()}})
        words = [find_program("node"), str(Path(__file__).with_name("aedes.mjs")), argument]
        self.run(Program(self.directory, words, list(used.values())))
        self.add_ways(**used)
        self.ways["unix"] = {"transport": "unix", "broker_url": str(socket)}


class Rmqttd(Broker):
    """rmqttd from crates.io, with its plug-ins for retained messages and shared subscriptions."""

    title = "RMQTT"
    absent: ClassVar[Mapping[str, str]] = {"unix_socket": NO_UNIX_SOCKET}

    def version(self) -> str:
        return rmqttd_version()

    def start(self) -> None:
        own = self.certificates
        used = ports("rpc", "tcp", "locked", "tls", "mutual", "ws", "wss")
        plugins = self.directory / "plugins"
        plugins.mkdir()
        (plugins / "rmqtt-retainer.toml").write_text('storage.type = "ram"\n')
        (plugins / "rmqtt-shared-subscription.toml").write_text('strategy = "round_robin"\n')
        tables: dict[str, dict[str, object]] = {
            "node": {"id": 1},
            "rpc": {"server_addr": f"{HOST}:{used.pop('rpc')}"},
            "log": {"to": "console", "level": "info"},
            "plugins": {
                "dir": str(plugins),
                "default_startups": ["rmqtt-retainer", "rmqtt-shared-subscription"],
                "disabled_default_startups": ["rmqtt-acl", "rmqtt-counter", "rmqtt-http-api"],
            },
        }
        kinds = {"mutual": "tls", "locked": "tcp"}
        for name, port in used.items():
            table = tables[f"listener.{kinds.get(name, name)}.{name}"] = {
                "addr": f"{HOST}:{port}",
                "allow_anonymous": name != "locked",
                "max_topic_aliases": 32,
            }
            if name in ("tls", "mutual", "wss"):
                table |= {"cert": str(own.server.certificate), "key": str(own.server.key)}
            if name == "mutual":
                table |= {"cross_certificate": True, "client_ca_certs": str(own.ca)}
        config = self.directory / "rmqtt.toml"
        config.write_text(toml(tables))
        words = [str(RMQTTD), "--config", str(config)]
        self.run(Program(self.directory, words, list(used.values())))
        self.add_ways(**used)


def toml(tables: Mapping[str, Mapping[str, object]]) -> str:
    """Write tables of strings, numbers, booleans and lists of strings, which JSON writes alike."""
    lines = []
    for name, values in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


BROKERS: tuple[type[Broker], ...] = (
    MosquittoBroker,
    Amqtt,
    RabbitMq,
    Nats,
    Rmqttd,
    Rumqttd,
    IotCore,
    Aedes,
)
