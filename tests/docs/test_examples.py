"""The examples, run as their first lines say, against a real broker and over HTTP."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from support.examples import EXAMPLES, Example, running, watching
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.certificates import Certificates
    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow


@pytest.mark.smoke
def test_the_quickstart_publishes_from_its_view_and_shows_what_arrives(broker: Mosquitto) -> None:
    command = str(EXAMPLES / "quickstart.py")
    with running(command, broker=broker) as example, watching(broker, "quickstart/#") as (_, seen):

        def said() -> bool:
            assert example.request("/say/hello", method="POST")[0] == 200
            return any("quickstart/said hello" in line for line in example.lines)

        wait_until(said, what="the message came back")
    assert seen[0] == ("quickstart/said", b"hello")


def test_an_example_takes_every_key_from_the_environment(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    environment = {
        "MQTT_BROKER_URL": "wss://localhost",
        "MQTT_BROKER_PORT": str(tls_broker.listeners["mutual_wss"].port),
        "MQTT_TLS_CA_CERTS": str(certificates.ca),
        "MQTT_TLS_CERTFILE": str(certificates.client_combined),
    }
    with running(str(EXAMPLES / "quickstart.py"), broker=tls_broker, **environment) as example:

        def said() -> bool:
            example.request("/say/secretly", method="POST")
            return any("quickstart/said secretly" in line for line in example.lines)

        wait_until(said, what="the message came back")


def test_the_view_that_asks_returns_what_the_device_answers(broker: Mosquitto) -> None:
    with running(str(EXAMPLES / "ask.py"), broker=broker) as example:
        wait_until(lambda: example.request("/ask/clock")[0] == 200, what="the clock answers")
        assert b":" in example.request("/ask/clock")[1]
        assert example.request("/ask/nobody")[0] == 504


def test_the_quickstart_ends_promptly_on_ctrl_c(broker: Mosquitto) -> None:
    example = Example(str(EXAMPLES / "quickstart.py"), broker=broker)
    assert example.stop(signal.SIGINT) == 0
    assert not any("Traceback" in line for line in example.lines)


def test_the_factory_forwards_sensors_from_one_broker_to_the_other(
    broker: Mosquitto, broker_factory: Callable[..., Mosquitto]
) -> None:
    other = broker_factory()
    command = ["-m", "flask", "--app", str(EXAMPLES / "factory.py"), "run", "--port", "PORT"]
    second = {"MQTT2_BROKER_URL": other.host, "MQTT2_BROKER_PORT": str(other.port)}
    with (
        running(*command, broker=broker, **second) as example,
        watching(other, "site-1/#") as (_, seen),
        watching(broker, "unused") as (sensor, _),
    ):
        wait_until(
            lambda: json.loads(example.request("/")[1]) == {"home": True, "cloud": True},
            what="both brokers are connected",
        )
        # Retained, so that it arrives also where the example subscribes later.
        sensor.publish("sensors/attic", "21.5", qos=1, retain=True)
        assert wait_until(lambda: seen, what="forwarded")[0] == ("site-1/sensors/attic", b"21.5")
        sensor.publish("sensors/attic", None, qos=1, retain=True)
        wait_until(lambda: len(seen) == 2, what="the empty message too")


def test_the_publish_api_sends_what_is_posted_and_prints_what_arrives(broker: Mosquitto) -> None:
    command = str(EXAMPLES / "publish_api.py")
    with running(command, broker=broker) as example, watching(broker, "lamp/#") as (mqtt, seen):
        body = {"topic": "lamp/set", "payload": "on", "qos": 1}
        status, answer = example.request("/publish", body, "POST")
        assert (status, json.loads(answer)["rc"]) == (200, 0)
        assert wait_until(lambda: seen, what="arrived at the broker") == [("lamp/set", b"on")]
        mqtt.publish("lamp/state", "bright", retain=True)
        example.wait_for_line("lamp/state: bright")
        mqtt.publish("lamp/state", None, qos=1, retain=True)
        wait_until(lambda: len(seen) == 3, what="the retained message is gone")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"topic": "lamp/#", "payload": "on"}, "wildcard"),
        ({"topic": "lamp", "payload": {"a": 1}}, "payload must be"),
        ({"topic": "lamp"}, "payload"),
        ({"topic": "lamp", "payload": "on", "qos": 3}, "QoS"),
    ],
)
def test_the_publish_api_says_why_it_refuses(
    publish_api: Example, body: object, reason: str
) -> None:
    status, answer = publish_api.request("/publish", body, "POST")
    assert status == 400
    assert reason in json.loads(answer)["error"]


@pytest.fixture(scope="module")
def publish_api(broker: Mosquitto) -> Iterator[Example]:
    with running(str(EXAMPLES / "publish_api.py"), broker=broker) as example:
        yield example
