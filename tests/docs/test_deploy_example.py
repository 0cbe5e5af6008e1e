"""The configurations of examples/deploy: what can be run of them without Docker and systemd."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
import yaml

from flask_mqtt import Mqtt
from flask_mqtt.config import read
from support.apps import make_app
from support.examples import EXAMPLES, watching
from support.mosquitto import Mosquitto
from support.ports import free_port
from support.server import HOST
from support.server_process import ServerProcess, accepts
from support.wait import wait_until

ROOT = Path(__file__).parents[2]
DEPLOY = EXAMPLES / "deploy"
ORDERS = 40
WORKERS = 2
PATIENCE = 30.0


class Shop(ServerProcess):
    """The application under gunicorn or uWSGI, with the configuration of the example."""

    def __init__(self, directory: Path, server: str, broker: Mosquitto) -> None:
        super().__init__(directory)
        self._broker = broker
        self._server = server
        self._port = free_port()

    def _command(self) -> list[str]:
        if self._server == "gunicorn":
            config = str(DEPLOY / "gunicorn.conf.py")
            return [sys.executable, "-m", "gunicorn", "--config", config, "shop:app"]
        ini = self.directory / "uwsgi.ini"
        ini.write_text((DEPLOY / "uwsgi.ini").read_text().replace(":8000", f":{self._port}"))
        program = Path(sysconfig.get_path("scripts")) / "uwsgi"
        return [str(program), "--home", sys.prefix, "--ini", str(ini)]

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "BIND": f"{HOST}:{self._port}",
            "FLASK_MQTT_BROKER_URL": f"mqtt://{HOST}:{self._broker.port}",
            "PYTHONPATH": str(DEPLOY),
            "TMPDIR": str(self.directory),
        }

    def _accepts(self) -> bool:
        return accepts((HOST, self._port))

    def request(self, path: str, data: bytes | None = None) -> int:
        """Ask for a page, or post to it, and return the status."""
        url = f"http://{HOST}:{self._port}{path}"
        try:
            with urllib.request.urlopen(url, data, timeout=PATIENCE) as response:
                status: int = response.status
        except urllib.error.HTTPError as error:
            with error:
                status = error.code
        return status

    def end(self) -> int:
        """Send SIGTERM and return how it ended."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(PATIENCE)
        self._process = None
        return status


class ContainerBroker(Mosquitto):
    """mosquitto with the configuration of the containers, but for its port and its folder."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        lines = (DEPLOY / "mosquitto.conf").read_text()
        lines = lines.replace("listener 1883", f"listener {self.port} {HOST}")
        lines = lines.replace("/mosquitto/data/", f"{directory}/")
        lines = lines.replace("log_dest stdout", "log_dest stderr")  # which is not buffered
        (directory / "mosquitto.conf").write_text(f"{lines}\nlog_type all\nuser root\n")


@pytest.mark.slow
@pytest.mark.parametrize("server", ["gunicorn", "uwsgi"])
def test_the_workers_share_the_orders_and_end_on_sigterm(server: str, tmp_path: Path) -> None:
    # With a broker of its own: the sessions of the workers stay, and have a share of the orders.
    broker = Mosquitto(tmp_path / "broker")
    shop = Shop(tmp_path / "shop", server, broker)

    def subscribed() -> int:
        return len(set(re.findall(r"Sending SUBACK to (shop-\S+)", broker.log)))

    with broker, shop, watching(broker, "shop/done/+") as (_, seen):
        wait_until(lambda: subscribed() == WORKERS, PATIENCE, "the workers are there")
        assert [shop.request(path) for path in ("/readyz", "/healthz")] == [200, 200]
        for number in range(ORDERS):
            assert shop.request(f"/orders/{number}", b"") == 202
        wait_until(lambda: len(seen) >= ORDERS, PATIENCE, "the orders are done")
        assert shop.end() == 0
        # All that a worker had to say has been said by now.
        counts = Counter(topic for topic, _ in seen)
    assert counts == {f"shop/done/{number}": 1 for number in range(ORDERS)}


def test_the_broker_of_the_containers_takes_its_configuration(tmp_path: Path) -> None:
    broker = ContainerBroker(tmp_path)
    with broker, Mqtt(make_app(broker.port, client_id="a")) as mqtt:
        mqtt.publish("shop/kept", "on", qos=1, retain=True).wait_for_publish(PATIENCE)
        broker.restart()
        with watching(broker, "shop/kept") as (_, seen):
            wait_until(lambda: seen == [("shop/kept", b"on")], PATIENCE, "it is kept on disk")


def test_the_containers_have_keys_that_exist_and_time_to_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    shops = {name: service for name, service in services.items() if name != "broker"}
    assert len({shop["hostname"] for shop in shops.values()}) == len(shops) == 2
    for shop in shops.values():
        keys = {
            name.removeprefix("FLASK_"): value
            for name, value in shop["environment"].items()
            if name.startswith("FLASK_")
        }
        [reached] = read(keys, "MQTT").connect_options().brokers
        assert reached.host in services
        assert (DEPLOY / shop["build"]["context"]).resolve() == ROOT
        assert (ROOT / shop["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")
        assert int(shop["stop_grace_period"].removesuffix("s")) > _graceful_timeout()
    files = [volume.split(":")[0] for volume in services["broker"]["volumes"]]
    assert [file for file in files if file not in compose["volumes"]] == ["./mosquitto.conf"]
    assert caplog.records == []


def test_the_image_copies_files_that_exist_and_gets_signals() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    copied = re.findall(r"^COPY (examples.+) \S+$", dockerfile, re.MULTILINE)
    assert len(copied) == 2
    for path in " ".join(copied).split():
        assert (ROOT / path).is_file()
        assert path.split("/")[0] not in ignored
    [command] = re.findall(r"^CMD (\[.+\])$", dockerfile, re.MULTILINE)
    assert json.loads(command)[:3] == ["gunicorn", "--config", "gunicorn.conf.py"]


def test_the_service_runs_gunicorn_and_waits_for_its_end(tmp_path: Path) -> None:
    unit = (DEPLOY / "shop.service").read_text()
    settings = dict(line.split("=", 1) for line in unit.splitlines() if re.match(r"\w+=", line))
    program, _, arguments = settings["ExecStart"].partition(" ")
    assert arguments == "--config gunicorn.conf.py shop:app"
    assert int(settings["TimeoutStopSec"]) > _graceful_timeout()
    verifier = shutil.which("systemd-analyze")
    if verifier is not None:  # where there is systemd
        copy = tmp_path / "shop.service"
        copy.write_text(unit.replace(program, sys.executable))
        done = subprocess.run(
            [verifier, "verify", str(copy)], capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")


def _graceful_timeout() -> int:
    seconds: int = runpy.run_path(str(DEPLOY / "gunicorn.conf.py"))["graceful_timeout"]
    return seconds
