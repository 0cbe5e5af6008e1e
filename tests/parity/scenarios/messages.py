"""Messages in both directions: acknowledgements, and which handler gets what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from parity.recording import describe
from parity.registry import Difference, scenario

if TYPE_CHECKING:
    from parity.recording import Run


@scenario()
def a_handler_gets_topic_payload_and_flags(run: Run) -> None:
    run.start()
    run.broker.publish("plain", b"text")
    run.broker.publish("empty")
    run.broker.publish("binary", bytes(range(256)))
    run.broker.publish("retained", b"r", retain=True)
    run.broker.publish("umlaut/grün/温度", b"u")
    run.broker.publish("one", b"1", qos=1, mid=7)
    run.broker.publish("again", b"d", qos=1, mid=9, dup=True, retain=True)
    run.broker.publish("large", b"x" * 200_000)
    run.wait_event("message", 8)
    run.broker.wait_for("PUBACK", 2)
    run.events[-1][1]["payload"] = len(run.events[-1][1]["payload"])


@scenario()
def the_types_of_a_message(run: Run) -> None:
    mqtt = run.start("message")

    @mqtt.on_message()
    def handle(client: Any, userdata: Any, message: Any) -> None:
        names = ("topic", "payload", "qos", "retain", "dup", "mid")
        kinds = {name: type(getattr(message, name)).__name__ for name in names}
        run.events.append(["message", kinds])

    run.broker.publish("a", b"1", qos=1)
    run.wait_event("message")
    run.broker.wait_for("PUBACK")


@scenario()
def a_qos_1_message_is_acknowledged_after_its_handler(run: Run) -> None:
    mqtt = run.start("message")

    @mqtt.on_message()
    def handle(client: Any, userdata: Any, message: Any) -> None:
        run.settle(0.2)
        run.fact("acknowledged before", [packet.kind for packet in run.broker.of("PUBACK")])
        run.events.append(["message", describe(message)])

    run.broker.publish("a", b"1", qos=1, mid=5)
    run.broker.wait_for("PUBACK")


@scenario()
def a_qos_2_message_is_delivered_once_on_pubrel(run: Run) -> None:
    run.start()
    run.broker.withhold.add("PUBREL")
    run.broker.publish("a", b"1", qos=2, mid=5)
    run.broker.wait_for("PUBREC")
    run.settle(0.2)
    run.fact("before the PUBREL", run.named("message"))
    run.broker.publish("a", b"1", qos=2, mid=5, dup=True)
    run.broker.wait_for("PUBREC", 2)
    run.broker.ack("PUBREL", 5)
    run.broker.wait_for("PUBCOMP")
    run.wait_event("message")
    run.broker.ack("PUBREL", 5)
    run.broker.wait_for("PUBCOMP", 2)
    run.broker.ack("PUBREL", 77)
    run.broker.wait_for("PUBCOMP", 3)
    run.fact("deliveries", len(run.named("message")))
    del run.named("message")[0][1]["dup"]


@scenario()
def messages_of_all_qos_arrive_in_order(run: Run) -> None:
    run.start()
    for number in range(30):
        run.broker.publish("a", str(number).encode(), qos=number % 2)
    run.wait_event("message", 30)
    run.broker.wait_for("PUBACK", 15)


@scenario()
def outgoing_qos_0_1_and_2_are_confirmed(run: Run) -> None:
    mqtt = run.start()
    run.broker.withhold |= {"PUBACK", "PUBREC", "PUBCOMP"}
    run.call("QoS 0", mqtt.publish, "zero", "0", 0)
    run.wait_event("publish")
    run.call("QoS 1", mqtt.publish, "one", "1", 1)
    run.broker.wait_for(lambda packet: packet.topic == "one")
    run.call("QoS 2", mqtt.publish, "two", "2", 2)
    run.broker.wait_for(lambda packet: packet.topic == "two")
    run.settle(0.2)
    run.fact("unconfirmed", run.named("publish"))
    run.broker.ack("PUBACK", 2)
    run.wait_event("publish", 2)
    run.broker.ack("PUBREC", 3)
    run.broker.wait_for("PUBREL")
    run.settle(0.2)
    run.fact("half confirmed", run.named("publish"))
    run.broker.ack("PUBCOMP", 3)
    run.wait_event("publish", 3)


@scenario()
def acknowledgements_for_unknown_mids_do_no_harm(run: Run) -> None:
    run.start()
    run.broker.ack("PUBACK", 99)
    run.broker.ack("PUBCOMP", 97)
    run.broker.publish("still", b"here")
    run.wait_event("message")
    run.fact("connections", run.broker.connections)


@scenario()
def on_topic_handlers_come_before_on_message(run: Run) -> None:
    mqtt = run.start("message")
    for name in ("home/#", "home/+/temperature", "home/kitchen/temperature", "other"):
        mqtt.on_topic(name)(run.handler(f"topic {name}", mqtt))
    mqtt.on_message()(run.handler("message", mqtt))
    run.broker.publish("other", b"1")
    run.broker.publish("others", b"2")
    run.broker.publish("home", b"3")
    run.broker.publish("home/x/temperature", b"4")
    run.broker.publish("home/x", b"5")
    run.broker.publish("last", b"6")
    run.wait_event("message", 2)
    # Wildcards among themselves have no order that anybody could rely on.
    run.events[:] = sorted(run.events, key=lambda event: (str(event[1]), event[0]))


@scenario()
def an_exact_on_topic_handler_runs_before_wildcards(run: Run) -> None:
    mqtt = run.start("message")
    for name in ("home/kitchen", "home/#"):
        mqtt.on_topic(name)(run.handler(f"topic {name}", mqtt))
    mqtt.on_message()(run.handler("message", mqtt))
    run.broker.publish("home/kitchen", b"1")
    run.broker.publish("last", b"2")
    run.wait_event("message")


@scenario()
def wildcards_do_not_match_system_topics(run: Run) -> None:
    mqtt = run.start("message")
    for name in ("#", "+/broker", "$SYS/#"):
        mqtt.on_topic(name)(run.handler(f"topic {name}", mqtt))
    mqtt.on_message()(run.handler("message", mqtt))
    run.broker.publish("$SYS/broker", b"1")
    run.broker.publish("$other/broker", b"2")
    run.wait_event("message")


@scenario()
def the_last_handler_of_a_filter_wins(run: Run) -> None:
    mqtt = run.start("message")
    mqtt.on_topic("a")(run.handler("first topic", mqtt))
    mqtt.on_topic("a")(run.handler("second topic", mqtt))
    mqtt.on_message()(run.handler("first message", mqtt))
    mqtt.on_message()(run.handler("second message", mqtt))
    run.broker.publish("a", b"1")
    run.broker.publish("b", b"2")
    run.wait_event("second message")


@scenario(
    Difference("malformed", True, "raises ValueError", "a filter that never matches is a mistake"),
)
def on_topic_takes_filters_and_does_not_subscribe(run: Run) -> None:
    mqtt = run.start()
    handler = run.handler("topic", mqtt)
    run.fact("returns the handler", mqtt.on_topic("a/+")(handler) is handler)
    run.call("malformed", lambda: mqtt.on_topic("a/#/b")(handler) is handler)
    run.fact("topics", mqtt.topics)
    run.broker.publish("a/b", b"1")
    run.wait_event("topic")


@scenario(
    Difference(
        "with a filter",
        "raises TypeError",
        True,
        "the newer documentation shows it; it is on_topic",
    ),
    Difference(
        "events",
        ["message home/temperature", "message other"],
        ["filter home/temperature", "message other"],
        "the handler of the filter takes it",
    ),
)
def on_message_with_a_filter_is_on_topic(run: Run) -> None:
    mqtt: Any = run.start()
    handler = run.handler("filter", mqtt)
    run.call("with a filter", lambda: mqtt.on_message("home/temperature")(handler) is handler)
    run.broker.publish("home/temperature", b"1")
    run.broker.publish("other", b"2")
    run.wait_event("message", 1)
    run.broker.publish("other", b"3")
    run.settle()
    seen = [f"{event[0]} {event[1]['topic']}" for event in run.named("filter", "message")]
    run.events[:] = seen[:2]  # type: ignore[assignment]
