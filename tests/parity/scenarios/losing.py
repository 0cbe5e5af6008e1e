"""Refusals, lost connections and what comes after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.registry import Difference, scenario

if TYPE_CHECKING:
    from parity.recording import Run

REFUSED_1 = [
    ["connect", {"session present": 0}, 1],
    ["disconnect", 5],
    ["connect", {"session present": 0}, 0],
]
REFUSED_2 = [["connect", {"session present": 0}, 2], *REFUSED_1[1:]]


def refused(run: Run, code: int, **config: object) -> None:
    run.broker.connack = [code, 0]
    mqtt = run.mqtt()
    connected: list[bool] = []
    on_connect = run.handler("connect", mqtt)

    def handle(*arguments: object) -> None:
        connected.append(mqtt.connected)
        on_connect(*arguments)

    mqtt.on_connect()(handle)
    mqtt.init_app(run.app(**config))
    run.broker.wait_for("CONNECT", 2)
    run.connected(mqtt)
    run.wait(lambda: bool(connected and connected[-1]), "on_connect with connected")
    run.fact("connected in on_connect", connected)


@scenario(
    Difference(
        "events",
        [["connect", {"session present": 0}, 0]],
        REFUSED_1,
        "the refusal is reported; MQTT 3.1 is not tried by itself",
    ),
    Difference("connected in on_connect", [True], [False, True], "the refusal is reported"),
    Difference("protocols", ["MQTT", "MQIsdp"], ["MQTT", "MQTT"], "MQTT 3.1 is not tried"),
)
def a_connack_with_code_1(run: Run) -> None:
    refused(run, 1)
    protocols = [packet.connect.protocol for packet in run.broker.packets if packet.connect]
    run.fact("protocols", protocols)
    run.only("DISCONNECT")


@scenario(
    Difference(
        "events",
        [["connect", {"session present": 0}, 0]],
        REFUSED_2,
        "the refusal is reported before a made-up id is tried",
    ),
    Difference("connected in on_connect", [True], [False, True], "the refusal is reported"),
)
def a_connack_with_code_2_for_an_empty_client_id(run: Run) -> None:
    refused(run, 2)
    ids = [len(packet.connect.client_id) for packet in run.broker.packets if packet.connect]
    run.fact("length of the ids", ids)
    run.only("DISCONNECT")


@scenario()
def a_connack_with_code_2(run: Run) -> None:
    refused(run, 2, client_id="me")


@scenario()
def a_connack_with_code_3(run: Run) -> None:
    refused(run, 3)


@scenario()
def a_connack_with_code_4(run: Run) -> None:
    refused(run, 4, username="u", password="wrong")


@scenario()
def a_connack_with_code_5(run: Run) -> None:
    refused(run, 5)


@scenario()
def a_lost_connection_is_made_again_after_a_second(run: Run) -> None:
    mqtt = run.start()
    run.broker.drop()
    run.wait_event("disconnect")
    run.fact("connected", mqtt.connected)
    run.wait_event("connect", 2)
    run.connected(mqtt)
    ended, again = run.broker.closed[0].at, run.broker.of("CONNECT")[1].at
    run.fact("after a second", 0.5 < again - ended < 2.5)


@scenario()
def a_reset_connection_is_lost_with_code_7(run: Run) -> None:
    run.start()
    run.broker.drop(reset=True)
    run.wait_event("connect", 2)


@scenario()
def half_a_packet_and_the_end_is_a_lost_connection(run: Run) -> None:
    run.start()
    run.broker.send(b"\x30\x10\x00\x03abc")
    run.broker.drop()
    run.wait_event("connect", 2)


def protocol_error(run: Run, data: bytes) -> None:
    run.start()
    run.broker.send(data)
    run.wait_event("connect", 2)


@scenario()
def a_reserved_packet_type_is_a_protocol_error(run: Run) -> None:
    protocol_error(run, b"\x00\x00")


@scenario()
def a_remaining_length_of_five_bytes_is_a_protocol_error(run: Run) -> None:
    protocol_error(run, b"\x30\xff\xff\xff\xff\xff\x01")


@scenario()
def a_publish_without_a_topic_is_a_protocol_error(run: Run) -> None:
    protocol_error(run, b"\x30\x03\x00\x00x")


@scenario()
def a_pingresp_with_a_body_is_a_protocol_error(run: Run) -> None:
    protocol_error(run, b"\xd0\x01x")


@scenario()
def garbage_instead_of_a_connack_is_a_protocol_error(run: Run) -> None:
    run.broker.connack = [b"\xf0\x00garbage", 0]
    mqtt = run.mqtt()
    mqtt.init_app(run.app())
    run.wait_event("connect")


@scenario(
    Difference(
        "events",
        [
            ["connect", {"session present": 0}, 0],
            ["disconnect", 16],
            ["disconnect", 16],
            ["connect", {"session present": 0}, 0],
        ],
        [
            ["connect", {"session present": 0}, 0],
            ["disconnect", 16],
            ["connect", {"session present": 0}, 0],
        ],
        "one lost connection is reported once",
    ),
)
def a_missing_pingresp_is_a_keepalive_error(run: Run) -> None:
    run.broker.withhold.add("PINGRESP")
    run.start(keepalive=1)
    run.wait_event("connect", 2)
    run.only("CONNECT")


@scenario()
def topics_are_subscribed_again_before_on_connect(run: Run) -> None:
    mqtt = run.mqtt("connect")

    @mqtt.on_connect()
    def handle(*arguments: object) -> None:
        if mqtt.topics:
            mqtt.publish("hello", "again")

    mqtt.init_app(run.app())
    run.connected(mqtt)
    run.settle(0.1)
    mqtt.subscribe("one", 1)
    mqtt.subscribe([("two", 2), ("three", 0)])
    mqtt.subscribe("gone")
    mqtt.unsubscribe("gone")
    run.wait_event("unsubscribe")
    run.broker.drop()
    run.wait_event("subscribe", 6)
    run.broker.wait_for(lambda packet: packet.topic == "hello")
    run.wait_event("publish")
    # The PUBLISH is written while the SUBACKs arrive, so only the wire has an order.
    run.events[:] = sorted(run.events, key=str)


@scenario()
def unacknowledged_messages_are_sent_again_with_dup(run: Run) -> None:
    run.broker.withhold |= {"PUBACK", "PUBREC", "PUBCOMP"}
    mqtt = run.start()
    mqtt.subscribe("mine", 1)
    run.wait_event("subscribe")
    mqtt.publish("lost", "one", 1)
    mqtt.publish("lost", "two", 2)
    mqtt.publish("lost", "zero", 0)
    run.wait_event("publish")
    run.broker.wait_for("PUBLISH", 3)
    run.broker.withhold.clear()
    run.broker.stop_listening()
    run.broker.drop()
    run.wait_event("disconnect")
    run.call("offline 0", mqtt.publish, "offline", "zero", 0)
    run.call("offline 1", mqtt.publish, "offline", "one", 1)
    run.call("offline 2", mqtt.publish, "offline", "two", 2)
    run.broker.listen()
    run.wait_event("publish", 5)
    # PUBLISHes of the burst and acknowledgements may interleave, the order of each is fixed.
    run.only("CONNECT", "SUBSCRIBE", "PUBLISH")
    run.fact("released", sorted(packet.mid for packet in run.broker.of("PUBREL")))
    run.events[:] = sorted(run.events, key=str)


def released_again(run: Run, *, clean_session: bool) -> None:
    run.broker.withhold.add("PUBCOMP")
    run.broker.session_present = not clean_session
    mqtt = run.start(client_id="me", clean_session=clean_session)
    mqtt.publish("a", "two", 2)
    run.broker.wait_for("PUBREL")
    run.broker.withhold.clear()
    run.broker.drop()
    run.wait_event("publish")


@scenario()
def a_message_with_pubrec_is_published_again_in_a_clean_session(run: Run) -> None:
    released_again(run, clean_session=True)


@scenario()
def a_message_with_pubrec_is_released_again_in_a_kept_session(run: Run) -> None:
    released_again(run, clean_session=False)


@scenario()
def disconnect_ends_reconnecting(run: Run) -> None:
    mqtt = run.start()
    run.broker.stop_listening()
    run.broker.drop()
    run.wait_event("disconnect")
    run.call("disconnect", mqtt.client.disconnect)
    run.broker.listen()
    run.settle(2.5)
    run.fact("connections", run.broker.connections)


@scenario()
def a_new_mid_follows_the_last_after_a_reconnect(run: Run) -> None:
    mqtt = run.start()
    run.call("before", mqtt.publish, "a", "1")
    run.wait_event("publish")
    run.broker.wait_for("PUBLISH")
    run.broker.drop()
    run.wait_event("connect", 2)
    run.connected(mqtt)
    run.call("after", mqtt.publish, "a", "2")
    run.wait_event("publish", 2)
    run.broker.wait_for("PUBLISH", 2)


@scenario(
    Difference("subscribed", [], [["early", 1]], "a subscription while offline is made later"),
)
def a_subscription_made_while_offline(run: Run) -> None:
    mqtt = run.start()
    run.broker.stop_listening()
    run.broker.drop()
    run.wait_event("disconnect")
    run.call("subscribe", mqtt.subscribe, "early", 1)
    run.broker.listen()
    run.wait_event("connect", 2)
    run.settle()
    run.fact(
        "subscribed",
        [list(entry) for packet in run.broker.of("SUBSCRIBE") for entry in packet.filters],
    )
    run.only("CONNECT")
    run.events[:] = run.named("connect")
