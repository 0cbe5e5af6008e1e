"""What a client does about networks that stall, tear, delay, split, join, repeat and reorder."""

from __future__ import annotations

import itertools
import queue
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_CONN_LOST, MQTT_ERR_KEEPALIVE, MQTT_ERR_PROTOCOL, Mqtt
from support.apps import make_app
from support.exchange import round_trip
from support.fault_proxy import FaultProxy
from support.faults import DOWN, UP, Act, Fault, RandomFaults, Script, peek
from support.packets import MQTT311
from support.peer import Peer
from support.server import HOST
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.faults import Faults
    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

_topics = itertools.count()


class Side:
    """A client behind a proxy; what `on_disconnect` and `on_publish` were told."""

    def __init__(self, broker: Mosquitto, faults: Faults | None, **config: Any) -> None:
        self.topic = f"faults/{next(_topics)}"
        self.proxy = FaultProxy(broker.port, faults)
        self.mqtt = Mqtt(connect_async=True)
        self.ends: list[int] = []
        self.published: list[int] = []
        self.config = {
            "client_id": self.topic.replace("/", "-"),
            "clean_session": False,
            "reconnect_delay_min": 0.05,
            "reconnect_delay_max": 0.05,
            **config,
        }
        self.mqtt.on_disconnect()(lambda _client, _userdata, rc: self.ends.append(rc))
        self.mqtt.on_publish()(lambda _client, _userdata, mid: self.published.append(mid))

    def wait_published(self, *mids: int, timeout: float = 10) -> None:
        wait_until(lambda: set(mids) <= set(self.published), timeout, f"{mids} to be confirmed")


@contextmanager
def behind(broker: Mosquitto, faults: Faults | None = None, **config: Any) -> Iterator[Side]:
    """Give a client that has been connected once."""
    side = Side(broker, faults, **config)
    with side.proxy, side.mqtt:
        side.mqtt.init_app(make_app(side.proxy.port, **side.config))
        wait_until(lambda: side.mqtt.connected)
        yield side


@pytest.mark.parametrize("act", [Act.SPLIT, Act.COALESCE, Act.DELAY, Act.REORDER])
def test_messages_pass_whatever_segments_they_come_in(broker: Mosquitto, act: Act) -> None:
    with behind(broker, RandomFaults(1, {act: 1.0}, {Act.DELAY: 0.02})) as side:
        round_trip(side.mqtt)
        assert side.proxy.counts[act] > 0
        assert side.proxy.connections == 1


def test_a_half_open_connection_is_found_by_the_keep_alive(broker: Mosquitto) -> None:
    with behind(broker, script := Script(), keepalive=1) as side:
        script.add(Fault(Act.HALF_OPEN, UP, "PUBLISH"))
        infos = [side.mqtt.publish(side.topic, "x", qos) for qos in (1, 2)]
        side.wait_published(*(info.mid for info in infos))
        assert side.ends == [MQTT_ERR_KEEPALIVE]


@pytest.mark.parametrize("way", [UP, DOWN])
def test_a_connection_that_stalls_for_good_is_given_up(broker: Mosquitto, way: str) -> None:
    fault = Fault(Act.STALL, way, "PUBLISH" if way == UP else "PUBACK")
    with behind(broker, script := Script(), keepalive=1) as side:
        script.add(fault)
        # More than the sockets take: the client's writes stall too.
        payload = bytes(1_000_000)
        infos = [side.mqtt.publish(side.topic, payload, 1) for _ in range(12)]
        side.wait_published(*(info.mid for info in infos))
        # The broker may lose its patience first.
        assert side.ends in ([MQTT_ERR_KEEPALIVE], [MQTT_ERR_CONN_LOST])


@pytest.mark.parametrize("way", [UP, DOWN])
def test_a_connection_that_stalls_for_a_while_is_kept(broker: Mosquitto, way: str) -> None:
    fault = Fault(Act.STALL, way, "PUBLISH" if way == UP else "PUBACK", seconds=0.5)
    with behind(broker, script := Script(), keepalive=1) as side:
        script.add(fault)
        infos = [side.mqtt.publish(side.topic, "x", 1) for _ in range(40)]
        side.wait_published(*(info.mid for info in infos))
        assert side.proxy.connections == 1


def test_a_second_connack_ends_the_connection_and_nothing_else(broker: Mosquitto) -> None:
    side = Side(broker, Script(Fault(Act.DUPLICATE, DOWN, "CONNACK")))
    with side.proxy, side.mqtt:
        side.mqtt.init_app(make_app(side.proxy.port, **side.config))
        wait_until(lambda: side.ends == [MQTT_ERR_PROTOCOL])
        wait_until(lambda: side.mqtt.connected)
        round_trip(side.mqtt)


@pytest.mark.parametrize(("qos", "ack"), [(1, "PUBACK"), (2, "PUBREC"), (2, "PUBCOMP")])
def test_acknowledgements_out_of_order_confirm_their_own_messages(
    broker: Mosquitto, qos: int, ack: str
) -> None:
    with behind(broker, script := Script()) as side:
        script.add(Fault(Act.REORDER, DOWN, ack))
        first = side.mqtt.publish(side.topic, "1", qos)
        second = side.mqtt.publish(side.topic, "2", qos)
        side.wait_published(first.mid, second.mid)
        assert side.published == [second.mid, first.mid]
        # Sent once each.
        assert side.proxy.kinds(1, UP).count("PUBLISH") == 2


def test_pubrels_go_out_in_the_order_of_the_pubrecs(broker: Mosquitto) -> None:
    with behind(broker, script := Script()) as side:
        script.add(Fault(Act.REORDER, DOWN, "PUBREC"))
        first = side.mqtt.publish(side.topic, "1", 2)
        second = side.mqtt.publish(side.topic, "2", 2)
        side.wait_published(first.mid, second.mid)
        trace = [seen.packet for seen in side.proxy.trace if seen.packet]
    released = [packet.mid for packet in trace if packet.kind == "PUBREL"]
    assert released == [second.mid, first.mid]


def test_what_is_not_confirmed_is_sent_again_by_the_next_connection_only(
    broker: Mosquitto,
) -> None:
    with behind(broker, script := Script(), keepalive=1) as side:
        script.add(Fault(Act.SWALLOW, DOWN, "PUBACK"))
        info = side.mqtt.publish(side.topic, "x", 1)
        # Pings go to and fro: the time in which an impatient client would send it again.
        wait_until(lambda: side.proxy.kinds(1, DOWN).count("PINGRESP") >= 2)
        assert side.proxy.kinds(1, UP).count("PUBLISH") == 1
        side.proxy.drop()
        side.wait_published(info.mid)
        assert side.proxy.kinds(2, UP).count("PUBLISH") == 1


def test_a_reset_is_a_lost_connection_and_loses_no_message(broker: Mosquitto) -> None:
    with behind(broker, script := Script()) as side, Peer(broker.port, side.topic) as observer:
        script.add(Fault(Act.RESET, DOWN, "PUBACK", 10))
        infos = [side.mqtt.publish(side.topic, str(number), 1) for number in range(40)]
        side.wait_published(*(info.mid for info in infos))
        assert side.ends == [MQTT_ERR_CONN_LOST]
        observer.publish(side.topic, b"end")
        got: dict[bytes, None] = {}
        while b"end" not in got:
            got[observer.receive().payload] = None
    assert list(got) == [b"%d" % number for number in range(40)] + [b"end"]


def test_a_cut_inside_any_packet_from_the_broker_delivers_no_half_and_loses_nothing(
    broker: Mosquitto,
) -> None:
    # CONNACK, SUBACK and a PUBLISH of 36 bytes.
    with ThreadPoolExecutor(8) as pool:
        payloads = list(pool.map(lambda byte: cut_at(broker, DOWN, byte), range(45)))
    assert [payload for payload in payloads if payload != [b"whole"]] == []


def test_a_cut_inside_any_packet_to_the_broker_loses_nothing(broker: Mosquitto) -> None:
    with ThreadPoolExecutor(8) as pool:
        payloads = list(pool.map(lambda byte: cut_at(broker, UP, byte), range(0, 90, 2)))
    assert [payload for payload in payloads if set(payload) != {b"whole"}] == []


def cut_at(broker: Mosquitto, way: str, byte: int) -> list[bytes]:
    """Cut after so many bytes, publish to oneself, and return what comes."""
    side = Side(broker, Script(Fault(Act.CUT_AT, way, byte=byte)))
    with side.proxy, side.mqtt:
        messages: queue.Queue[bytes] = queue.Queue()
        side.mqtt.on_topic(side.topic)(lambda _client, _userdata, m: messages.put(m.payload))
        side.mqtt.on_connect()(lambda *_: side.mqtt.subscribe(side.topic, 2))
        side.mqtt.init_app(make_app(side.proxy.port, **side.config))
        wait_until(lambda: "SUBACK" in [seen.kind for seen in side.proxy.trace if seen.arrived])
        side.mqtt.publish(side.topic, b"whole", 2)
        got = [messages.get(timeout=10)]
        side.mqtt.publish(side.topic, b"end", 2)
        while got[-1] != b"end":
            got.append(messages.get(timeout=10))
    return got[:-1]


def test_a_seed_brings_the_same_faults_to_the_same_packets() -> None:
    packets = [peek(MQTT311.publish("t", b"x", qos=1, mid=1), 1, UP, 0, 4)] * 1000
    chances = {Act.CUT_AT: 0.1, Act.DELAY: 0.1}

    def drawn(seed: int) -> list[Fault | None]:
        choose = RandomFaults(seed, chances, {Act.DELAY: 1}).of(1, UP)
        return [choose(packet) for packet in packets]

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)
    assert 100 < sum(fault is not None for fault in drawn(5)) < 300


def test_a_proxy_leaves_no_thread_behind_though_its_ends_stay(broker: Mosquitto) -> None:
    with FaultProxy(broker.port, Script(Fault(Act.STALL, UP, "CONNECT"))) as proxy:
        client = socket.create_connection((HOST, proxy.port))
        client.sendall(MQTT311.connect("", keepalive=0))
        wait_until(lambda: proxy.counts[Act.STALL])
    names = [thread.name for thread in threading.enumerate()]
    client.close()
    assert [name for name in names if name.startswith("faults-")] == []
