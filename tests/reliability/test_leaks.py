"""Connections and clients that come and go leave no thread, no descriptor and no memory behind."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from support.ports import closed_port
from support.script import running

if TYPE_CHECKING:
    from pathlib import Path

    from support.certificates import Certificates
    from support.mosquitto import Mosquitto

pytestmark = [pytest.mark.alone, pytest.mark.slow]

#: Bytes that a client may seem to leave behind: it takes many until an allocator has its fill.
BYTES_EACH = 2_048

COUNTING = f"""
    import gc, logging
    from flask_mqtt import Client
    logging.disable(logging.CRITICAL)

    def held():
        # The application has the last one.
        app.extensions.clear()
        gc.collect()
        tasks, descriptors = (len(os.listdir("/proc/self/" + kind)) for kind in ("task", "fd"))
        return threading.active_count(), tasks, descriptors

    def resident(before):
        # A thread that has said its last word may be there for another moment.
        until(lambda: held() == before)
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

    def measure(step, count, at_once=1):
        before = held()
        grown = []
        # What keeps growing grows in each part, whatever the allocator has kept in another.
        while len(grown) < 2 or (min(grown) > {BYTES_EACH} and len(grown) < 5):
            warm = resident(before)
            for _ in range(count // at_once // 2):
                step()
            grown.append((resident(before) - warm) // (count // 2))
        say("small" if min(grown) <= {BYTES_EACH} else f"{{grown}} bytes each")
"""


@pytest.fixture(autouse=True)
def _one_arena(monkeypatch: pytest.MonkeyPatch) -> None:
    # Memory that was given back is used again by all threads then.
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")


def assert_nothing_stays(steps: str, port: int) -> None:
    code = textwrap.dedent(COUNTING) + textwrap.dedent(steps)
    with running(code, port) as script:
        script.expect("small")
        assert script.finish() == 0, script.errors


def test_one_client_connects_and_closes_a_thousand_times(broker: Mosquitto) -> None:
    assert_nothing_stays(
        """
        mqtt = Mqtt()

        def step():
            mqtt.init_app(app)
            until(lambda: mqtt.connected)
            mqtt.close()

        measure(step, 1000)
        """,
        broker.port,
    )


def test_a_thousand_clients_with_subscriptions_and_messages(broker: Mosquitto) -> None:
    assert_nothing_stays(
        """
        got = []

        def step():
            clients = [Mqtt(app) for _ in range(20)]
            for number, mqtt in enumerate(clients):
                until(lambda: mqtt.connected)
                mqtt.on_topic(f"leaks/{number}/#")(lambda client, data, m: got.append(m.payload))
                mqtt.subscribe(f"leaks/{number}/+", number % 3)
            infos = [
                mqtt.publish(f"leaks/{number}/t", b"x" * 1000, qos)
                for number, mqtt in enumerate(clients) for qos in (0, 1, 2)
            ]
            for info in infos:
                info.wait_for_publish(10)
            until(lambda: len(got) == len(infos))
            got.clear()
            for mqtt in clients:
                mqtt.close()

        measure(step, 1000, 20)
        """,
        broker.port,
    )


def test_clients_that_speak_tls_and_mqtt_5(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    port = tls_broker.listeners["tls"].port
    assert_nothing_stays(
        f"""
        app.config["MQTT_TLS_ENABLED"] = True
        app.config["MQTT_TLS_CA_CERTS"] = {str(certificates.ca)!r}
        app.config["MQTT_PROTOCOL_VERSION"] = 5

        def step():
            clients = [Mqtt(app, connect_async=True) for _ in range(10)]
            for mqtt in clients:
                until(lambda: mqtt.connected)
                properties = {{"UserProperty": [("key", "value")]}}
                mqtt.publish("leaks/tls", b"x", properties=properties)
                mqtt.close()

        measure(step, 80, 10)
        """,
        port,
    )


def test_clients_with_handler_threads_a_file_tls_and_a_websocket(
    tls_broker: Mosquitto, certificates: Certificates, tmp_path: Path
) -> None:
    assert_nothing_stays(
        f"""
        app.config["MQTT_TRANSPORT"] = "websockets"
        app.config["MQTT_HANDLER_THREADS"] = 4
        app.config["MQTT_CLEAN_SESSION"] = False
        app.config["MQTT_TLS_ENABLED"] = True
        app.config["MQTT_TLS_CA_CERTS"] = {str(certificates.ca)!r}
        got = []

        def client(number):
            app.config["MQTT_CLIENT_ID"] = f"leaks-wss-{{number}}"
            app.config["MQTT_PERSISTENCE"] = f"{tmp_path}/{{number}}.db"
            return Mqtt(app, connect_async=True)

        def step():
            clients = [client(number) for number in range(8)]
            for number, mqtt in enumerate(clients):
                until(lambda: mqtt.connected)
                mqtt.on_topic("leaks/wss/#")(lambda client, data, m: got.append(m.payload))
                mqtt.subscribe(f"leaks/wss/{{number}}/+", 2)
                for qos in (1, 2):
                    mqtt.publish(f"leaks/wss/{{number}}/{{qos}}", b"x" * 1000, qos)
            until(lambda: len(got) >= 16)
            for mqtt in clients:
                mqtt.close()
            got.clear()

        measure(step, 80, 8)
        """,
        tls_broker.listeners["wss"].port,
    )


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("Mqtt(app, connect_async=True).close()", id="unreachable"),
        pytest.param("with contextlib.suppress(OSError): Mqtt(app)", id="refused"),
        pytest.param("Mqtt().client.publish('t', b'x' * 1000, 1)", id="never connected"),
        pytest.param("Client().connect_async('127.0.0.1', port)", id="no loop"),
    ],
)
def test_clients_without_a_broker(step: str) -> None:
    assert_nothing_stays(
        f"""
        import contextlib
        port = int(sys.argv[1])

        def step():
            {step}

        measure(step, 1000)
        """,
        closed_port(),
    )


def test_clients_that_are_dropped_with_their_connection(broker: Mosquitto) -> None:
    assert_nothing_stays(
        """
        def step():
            # Without `loop_start` nobody but the caller knows of it.
            clients = [Client() for _ in range(20)]
            for client in clients:
                client.connect("127.0.0.1", int(sys.argv[1]))
                client.subscribe("leaks/#")
                client.publish("leaks/dropped", b"x", 1)
            del client, clients
            until(lambda: held() == before)

        before = held()

        measure(step, 1000, 20)
        """,
        broker.port,
    )


def test_a_loop_keeps_its_client(broker: Mosquitto) -> None:
    code = """
        import gc
        from flask_mqtt import Client
        got = []

        def forgotten():
            client = Client()
            client.on_message = lambda client, userdata, message: got.append(message.payload)
            client.connect("127.0.0.1", int(sys.argv[1]))
            client.loop_start()
            client.subscribe("leaks/kept", 1)
            until(client.is_connected)

        forgotten()
        gc.collect()
        with Mqtt(app) as mqtt:
            until(lambda: mqtt.connected)
            until(lambda: mqtt.publish("leaks/kept", "x") and got)
        say("kept")
    """
    with running(code, broker.port) as script:
        script.expect("kept")
        assert script.finish() == 0, script.errors
