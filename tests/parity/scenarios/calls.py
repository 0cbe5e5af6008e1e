"""What subscribe, unsubscribe and publish take, return and send."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING, Any

from parity.registry import Difference, scenario
from support.packets import MQTT311

if TYPE_CHECKING:
    from parity.recording import Run

PAYLOADS = {
    "str": "hello",
    "umlaut": "grün",
    "empty str": "",
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"ab"),
    "int": 42,
    "negative": -7,
    "big int": 10**20,
    "float": 1.5,
    "whole float": 2.0,
    "bool": True,
    "nothing": None,
}


@scenario()
def publish_sends_every_type_of_payload(run: Run) -> None:
    mqtt = run.start()
    for name, payload in PAYLOADS.items():
        run.call(name, mqtt.publish, f"payload/{name}", payload)
    run.wait_event("publish", len(PAYLOADS))
    run.broker.wait_for("PUBLISH", len(PAYLOADS))


@scenario()
def publish_refuses_other_payloads_with_a_type_error(run: Run) -> None:
    mqtt = run.start()
    for payload in ([1], {"a": 1}, (1,), object(), memoryview(b"x"), {1}):
        name = type(payload).__name__
        try:
            mqtt.publish("a", payload)
        except TypeError as error:
            run.fact(name, str(error))
    run.call("the next one", mqtt.publish, "a", "b")
    run.wait_event("publish")
    run.broker.wait_for("PUBLISH")


@scenario()
def publish_refuses_bad_topics_and_qos(run: Run) -> None:
    mqtt = run.start()
    run.call("empty topic", mqtt.publish, "")
    run.call("no topic", mqtt.publish, None)
    run.call("hash", mqtt.publish, "a/#")
    run.call("plus", mqtt.publish, "a/+/b")
    run.call("65536 characters", mqtt.publish, "a" * 65536)
    run.call("QoS 3", mqtt.publish, "a", qos=3)
    run.call("QoS -1", mqtt.publish, "a", qos=-1)
    run.call("QoS as text", mqtt.publish, "a", qos="1")
    run.call("a lone surrogate", mqtt.publish, "\ud800")
    run.call("too large", mqtt.publish, "a", bytes(268_435_456))
    run.call("the next one", mqtt.publish, "a")
    run.wait_event("publish")
    run.broker.wait_for("PUBLISH")


@scenario(
    Difference(
        "NUL",
        {"tuple": [0, 1]},
        "raises ValueError",
        "MQTT 3.1.1, section 1.5.3, forbids it and brokers end the connection",
    ),
)
def publish_with_a_nul_in_the_topic(run: Run) -> None:
    run.call("NUL", run.start("publish").publish, "a\0b")
    run.only("CONNECT")


@scenario()
def publish_returns_mids_from_1_and_sends_qos_and_retain(run: Run) -> None:
    mqtt = run.start()
    for mid, (qos, retain) in enumerate([(0, False), (1, False), (2, False), (1, True)], 1):
        run.call(f"QoS {qos}, retain {retain}", mqtt.publish, "a/b", str(mid), qos, retain)
        run.wait_event("publish", mid)
    run.call("by name", mqtt.publish, topic="a/b", payload="x", qos=0, retain=True)
    run.wait_event("publish", 5)
    run.broker.wait_for("PUBLISH", 5)


@scenario()
def return_codes_have_names_and_are_numbers(run: Run) -> None:
    mqtt = run.start()
    results: dict[str, Any] = {
        "publish": mqtt.publish("a", "x"),
        "subscribe": mqtt.subscribe("a"),
        "unsubscribe": mqtt.unsubscribe("a"),
        "client": mqtt.client.subscribe("b"),
    }
    for name, result in results.items():
        rc = result[0]
        run.fact(name, [type(rc).__name__, rc.name, repr(rc), str(rc), f"{rc}", rc + 1])
        run.fact(f"{name} as JSON", json.dumps(list(result)))
        twin = pickle.loads(pickle.dumps(rc))
        run.fact(f"{name} pickled", [type(twin).__name__, twin.name, twin is rc])
        run.fact(f"{name} copied", copy.deepcopy(rc) is rc)
    run.wait_event("publish")
    run.wait_event("subscribe", 2)
    run.wait_event("unsubscribe")


@scenario()
def a_burst_has_a_call_of_on_publish_for_each_message(run: Run) -> None:
    mqtt = run.start("publish", "log")
    mids: list[int] = []
    mqtt.on_publish()(lambda _client, _userdata, mid: mids.append(mid))
    accepted = [mqtt.publish("burst", "x")[1] for _ in range(5_000)]
    run.wait(lambda: len(mids) == len(accepted), "a call for each")
    run.fact("in order", mids == accepted)
    run.only("CONNECT")


@scenario()
def subscribe_takes_a_topic_a_tuple_or_a_list(run: Run) -> None:
    mqtt = run.start()
    forms: dict[str, tuple[object, ...]] = {
        "topic": ("plain",),
        "topic and QoS": ("qos", 1),
        "tuple": (("tuple", 2),),
        "tuple and QoS": (("tuple/2", 1), 2),
        "list": ([("one", 0), ("two", 1), ("three", 2)],),
        "wildcards": ("a/+/c/#", 1),
        "shared": ("$share/group/topic", 1),
        "system": ("$SYS/#",),
        "umlaut": ("grün/+",),
    }
    for count, (name, arguments) in enumerate(forms.items(), 1):
        run.call(name, mqtt.subscribe, *arguments)
        run.wait_event("subscribe", count)
    run.call("by name", mqtt.subscribe, topic="named", qos=2)
    run.wait_event("subscribe", len(forms) + 1)
    run.fact("topics", dict(mqtt.topics))
    run.fact("equal to a tuple", mqtt.topics["qos"] == ("qos", 1))
    run.fact("fields", [mqtt.topics["qos"].topic, mqtt.topics["qos"].qos])


@scenario(
    Difference(
        "list of strings",
        "raises ValueError",
        {"tuple": [0, 1]},
        "a list of plain strings means QoS 0",
    ),
    Difference("topics", [], ["one", "second"], "the list was subscribed to"),
    Difference(
        "wire",
        [],
        [
            [
                1,
                "SUBSCRIBE",
                {"mid": 1},
                {"qos": 1},
                {"filters": {"tuple": [{"tuple": ["one", 0]}, {"tuple": ["second", 0]}]}},
            ]
        ],
        "the list was subscribed to",
    ),
    Difference("events", [], [["subscribe", 1, {"tuple": [0, 0]}]], "the list was subscribed to"),
)
def subscribe_to_a_list_of_plain_strings(run: Run) -> None:
    mqtt = run.start()
    run.events.clear()
    run.call("list of strings", mqtt.subscribe, ["one", "second"])
    run.settle()
    run.fact("topics", list(mqtt.topics))
    run.only("SUBSCRIBE")


@scenario()
def subscribe_refuses_malformed_filters_and_qos(run: Run) -> None:
    mqtt = run.start()
    bad: dict[str, tuple[object, ...]] = {
        "empty": ("",),
        "hash in the middle": ("a/#/b",),
        "hash in a level": ("a#",),
        "plus in a level": ("a/b+",),
        "65536 characters": ("a" * 65536,),
        "QoS 3": ("a", 3),
        "QoS -1": ("a", -1),
        "QoS as text": ("a", "1"),
        "tuple with QoS 3": (("a", 3),),
        "list with QoS 3": ([("a", 3)],),
        "list with a bad filter": ([("ok", 1), ("a/#/b", 1)],),
        "list of triples": ([("a", 1, 2)],),
        "empty list": ([],),
        "nothing": (None,),
        "a number": (1,),
        "a dict": ({"a": 1},),
    }
    for name, arguments in bad.items():
        run.call(name, mqtt.subscribe, *arguments)
    run.fact("topics", mqtt.topics)
    run.call("a good one", mqtt.subscribe, "good")
    run.wait_event("subscribe")


@scenario()
def a_second_subscribe_overwrites_the_qos(run: Run) -> None:
    mqtt = run.start()
    for count, qos in enumerate((1, 2, 0), 1):
        run.call(f"QoS {qos}", mqtt.subscribe, "test", qos)
        run.wait_event("subscribe", count)
        run.fact(f"topics after QoS {qos}", dict(mqtt.topics))


@scenario()
def unsubscribe_removes_known_topics_and_ignores_others(run: Run) -> None:
    mqtt = run.start()
    run.call("unknown", mqtt.unsubscribe, "unknown")
    run.call("nothing", mqtt.unsubscribe, None)
    mqtt.subscribe([("a", 1), ("b/#", 2), ("c", 0)])
    run.wait_event("subscribe")
    run.call("known", mqtt.unsubscribe, "a")
    run.wait_event("unsubscribe")
    run.fact("topics", list(mqtt.topics))
    run.call("again", mqtt.unsubscribe, "a")
    run.call("all", mqtt.unsubscribe_all)
    run.wait_event("unsubscribe", 3)
    run.fact("no topics", mqtt.topics)
    run.call("all of none", mqtt.unsubscribe_all)


@scenario()
def calls_before_the_connack_are_accepted(run: Run) -> None:
    run.broker.connack = None
    run.broker.withhold.add("SUBACK")
    mqtt = run.mqtt()
    mqtt.init_app(run.app())
    run.broker.wait_for("CONNECT")
    run.fact("connected", mqtt.connected)
    run.call("subscribe", mqtt.subscribe, "early", 1)
    run.fact("topics", dict(mqtt.topics))
    run.broker.connack = 0
    run.broker.send(MQTT311.connack())
    run.wait_event("connect")
    run.broker.wait_for("SUBSCRIBE")
    run.only("CONNECT")


@scenario(
    Difference(
        "topics",
        {},
        {"later": {"tuple": ["later", 1]}},
        "a subscription made while offline is remembered",
    ),
)
def calls_while_offline_return_no_connection(run: Run) -> None:
    mqtt = run.start()
    run.broker.stop_listening()
    run.broker.drop()
    run.wait_event("disconnect")
    run.fact("connected", mqtt.connected)
    run.call("publish QoS 0", mqtt.publish, "a", "0", 0)
    run.call("publish QoS 1", mqtt.publish, "a", "1", 1)
    run.call("publish QoS 2", mqtt.publish, "a", "2", 2)
    run.call("subscribe", mqtt.subscribe, "later", 1)
    run.fact("topics", dict(mqtt.topics))
    run.call("unsubscribe unknown", mqtt.unsubscribe, "unknown")
    run.call("all unsubscribed", mqtt.unsubscribe_all)


@scenario(
    Difference("unsubscribe_all", False, True, "unsubscribe is remembered as subscribe is"),
    Difference("topics", ["mine"], [], "as above"),
)
def unsubscribe_while_offline(run: Run) -> None:
    mqtt = run.start()
    mqtt.subscribe("mine")
    run.wait_event("subscribe")
    run.broker.stop_listening()
    run.broker.drop()
    run.wait_event("disconnect")
    run.call("unsubscribe", mqtt.unsubscribe, "mine")
    run.call("unsubscribe_all", mqtt.unsubscribe_all)
    run.fact("topics", list(mqtt.topics))


@scenario()
def twenty_messages_are_in_flight_at_most(run: Run) -> None:
    mqtt = run.start()
    run.broker.withhold.add("PUBACK")
    for number in range(1, 26):
        run.call(f"publish {number}", mqtt.publish, "a", str(number), 1)
    run.broker.wait_for("PUBLISH", 20)
    run.call("QoS 0 overtakes", mqtt.publish, "a", "zero")
    run.broker.wait_for(lambda packet: packet.payload == b"zero")
    run.broker.ack("PUBACK", 3)
    run.wait_event("publish", 2)
    run.broker.wait_for(lambda packet: packet.mid == 21)
