"""The checks of what MQTT 5 adds."""

from __future__ import annotations

import queue
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from flask_mqtt import SubscribeOptions

from .client import TIMEOUT, Failed, expect
from .site import Site, feature

if TYPE_CHECKING:
    from flask_mqtt import MQTTMessage

    from .cable import Cable
    from .client import Client

SECTION = "MQTT 5"
NOT_AUTHORIZED = (134, 135)
SESSION_TAKEN_OVER = 142
TOPIC_ALIAS_INVALID = 148
#: QoS 0, topic "a", topic alias 65535, no payload.
PUBLISH_WITH_UNKNOWN_ALIAS = b"\x30\x07\x00\x01a\x03\x23\xff\xff"
row = partial(feature, section=SECTION, version=5)


def announced(client: Any, name: str) -> int:
    """Return a number of the CONNACK's properties, 0 where it is not there."""
    return int(getattr(client.connack.properties, name, None) or 0)


@row("Content type, response topic, correlation data, user properties")
def properties(site: Site) -> None:
    sent = {
        "ContentType": "text/plain",
        "ResponseTopic": f"{site.topic}/answer",
        "CorrelationData": b"\x00\x01",
        "UserProperty": [("a", "1"), ("a", "2")],
    }
    with site.client() as client:
        client.subscribe(site.topic, 1)
        client.publish(site.topic, b"", 1, properties=sent)
        got = client.receive().properties
        expect({name: getattr(got, name, None) for name in sent}, sent, "properties")


@row("Reason code of a refusal", via="locked")
def reason_codes(site: Site) -> None:
    try:
        site.client(username="nobody", password="wrong").mqtt.close()
    except Failed as refusal:
        if not any(f"code {code}" in str(refusal) for code in NOT_AUTHORIZED):
            raise
    else:
        raise Failed("a wrong password is accepted")


@row("No-local")
def no_local(site: Site) -> None:
    with site.client() as client, site.client() as other:
        client.subscribe(site.topic, options=SubscribeOptions(qos=1, noLocal=True))
        client.publish(site.topic, b"own", 1)
        other.publish(site.topic, b"of another", 1)
        expect(client.receive().payload, b"of another", "first message with noLocal")


@row("Retain as published")
def retain_as_published(site: Site) -> None:
    with site.client() as client:
        for name, kept in (("plain", False), ("kept", True)):
            topic = f"{site.topic}/{name}"
            client.subscribe(topic, options=SubscribeOptions(qos=1, retainAsPublished=kept))
            client.publish(topic, b"x", 1, retain=True)
            expect(client.receive().retain, kept, f"retain flag with retainAsPublished={kept}")


@row("Retain handling")
def retain_handling(site: Site) -> None:
    with site.client() as client:
        client.publish(site.topic, b"kept", 1, retain=True)
    with site.client() as client:
        client.subscribe(site.topic, options=SubscribeOptions(qos=1, retainHandling=2))
        client.publish(site.topic, b"new", 1)
        expect(client.receive().payload, b"new", "message with retainHandling=2")
    with site.client() as client:
        client.subscribe(site.topic, options=SubscribeOptions(qos=1, retainHandling=1))
        expect(client.receive().payload, b"kept", "message with retainHandling=1")
        client.subscribe(site.topic, options=SubscribeOptions(qos=1, retainHandling=1))
        client.publish(site.topic, b"new", 1)
        expect(client.receive().payload, b"new", "message after subscribing again")


@row("Message expiry")
def message_expiry(site: Site) -> None:
    me = {"client_id": site.client_id, "clean_session": False}
    with site.client(**me) as client:
        client.subscribe(site.topic, 1)
    with site.client() as other:
        other.publish(site.topic, b"short", 1, properties={"MessageExpiryInterval": 1})
        other.publish(site.topic, b"long", 1, properties={"MessageExpiryInterval": 60})
    time.sleep(2.5)  # the passing of time is what is looked at
    with site.client(**me) as client:
        message = client.receive()
        expect(message.payload, b"long", "first message")
        left = getattr(message.properties, "MessageExpiryInterval", None)
        expect(left is not None and 50 < left < 60, True, f"interval of 60 s after 2.5 s ({left})")


@row("Topic alias to the broker")
def topic_alias_out(site: Site) -> None:
    topic = f"{site.topic}/alias/out"
    with site.client() as other, site.cable() as cable:
        other.subscribe(topic, 1)
        with site.client(broker_port=cable.port) as client:
            if not announced(client, "TopicAliasMaximum"):
                raise Failed("the broker takes none")
            for number in (b"1", b"2", b"3"):
                client.publish(topic, number, 1)
            got = [other.receive() for _ in range(3)]
            expect([message.topic for message in got], [topic] * 3, "topics received")
            expect(cable.sent.count(topic.encode()), 1, "times that the topic was sent")


@row("Topic alias from the broker")
def topic_alias_in(site: Site) -> None:
    topic = f"{site.topic}/alias/in"
    with site.client() as other, site.cable() as cable:
        wanted = {"broker_port": cable.port, "connect_properties": {"TopicAliasMaximum": 10}}
        with site.client(**wanted) as client:
            client.subscribe(topic, 1)
            for number in (b"1", b"2", b"3"):
                other.publish(topic, number, 1)
            got = [client.receive() for _ in range(3)]
            expect([message.topic for message in got], [topic] * 3, "topics received")
            expect([message.payload for message in got], [b"1", b"2", b"3"], "payloads")
            if cable.received.count(topic.encode()) == len(got):
                raise Failed("the broker does not use topic aliases")


@row("Receive maximum")
def receive_maximum(site: Site) -> None:
    released = threading.Event()
    with site.client() as other, site.cable() as cable:
        wanted = {"broker_port": cable.port, "connect_properties": {"ReceiveMaximum": 2}}
        with site.client(**wanted) as client:

            def hold(_client: Any, _userdata: Any, message: MQTTMessage) -> None:
                released.wait(TIMEOUT)
                client.messages.put(message)

            client.mqtt.on_message()(hold)
            client.subscribe(site.topic, 1)
            for number in range(6):
                other.publish(site.topic, f"<message {number}>".encode(), 1)
            time.sleep(0.5)  # in which nothing more may come
            on_the_way = cable.received.count(b"<message ")
            released.set()
            got = [client.receive().payload for _ in range(6)]
            expect(got, [f"<message {n}>".encode() for n in range(6)], "payloads")
            expect(on_the_way, 2, "messages in flight with a receive maximum of 2")


@row("Client identifier assigned by the broker")
def assigned_client_id(site: Site) -> None:
    with site.client(client_id="") as client:
        name = getattr(client.connack.properties, "AssignedClientIdentifier", None)
        if not name:
            raise Failed("the broker assigns none")


@row("Session expiry")
def session_expiry(site: Site) -> None:
    me = {"client_id": site.client_id, "clean_session": False}

    def present(seconds: int) -> bool:
        """Return whether there was a session; the one that it leaves expires after the seconds."""
        expiry = {"connect_properties": {"SessionExpiryInterval": seconds}}
        with site.client(**me, **expiry) as client:
            return client.connack.session_present

    expect(present(60), False, "session present at first")
    expect(present(1), True, "session present before it expires")
    time.sleep(3)  # the passing of time is what is looked at
    expect(present(0), False, "session present 2 s after it expired")


@row("Last will with a delay and properties")
def will_properties(site: Site) -> None:
    will = {
        "last_will_topic": site.topic,
        "last_will_message": "gone",
        "last_will_qos": 1,
        "last_will_properties": {"WillDelayInterval": 1, "ContentType": "text/plain"},
        "connect_properties": {"SessionExpiryInterval": 60},
    }
    with site.client() as witness, site.cable() as cable:
        witness.subscribe(site.topic, 1)
        with site.client(broker_port=cable.port, **will):
            cable.cut()
            cut = time.monotonic()
            message = witness.receive()
            if time.monotonic() - cut < 0.5:
                raise Failed("the will comes at once although it has a delay of 1 s")
            kind = getattr(message.properties, "ContentType", None)
            expect((message.payload, kind), (b"gone", "text/plain"), "payload and content type")


@row("Subscription identifier")
def subscription_identifier(site: Site) -> None:
    with site.client() as client:
        client.subscribe(site.topic, 1, properties={"SubscriptionIdentifier": 7})
        client.publish(site.topic, b"", 1)
        got = getattr(client.receive().properties, "SubscriptionIdentifier", None)
        expect(got, [7], "identifiers of the message")


@row("Shared subscriptions (MQTT 5)")
def shared_5(site: Site) -> None:
    site.share(20)


@row("Maximum packet size")
def maximum_packet_size(site: Site) -> None:
    large = b"x" * 300
    with site.client() as other, site.cable() as cable:
        wanted = {"broker_port": cable.port, "connect_properties": {"MaximumPacketSize": 200}}
        with site.client(**wanted) as client:
            client.subscribe(site.topic, 1)
            other.publish(site.topic, large, 1)
            other.publish(site.topic, b"small", 1)
            try:
                payload = client.receive().payload
            except Failed:
                if large in cable.received:
                    raise Failed("the broker sends a larger message") from None
                raise
            expect(payload, b"small", "message after one that is too large")


@row("DISCONNECT from the broker")
def server_disconnect(site: Site) -> None:
    with site.cable() as cable, site.client(broker_port=cable.port) as client:
        before = len(cable.received)
        cable.inject(PUBLISH_WITH_UNKNOWN_ALIAS)
        expect_reason(client, cable, before, TOPIC_ALIAS_INVALID)


@row("DISCONNECT when another client takes over the session")
def session_taken_over(site: Site) -> None:
    me = {"client_id": site.client_id}
    with site.cable() as cable, site.client(**me, broker_port=cable.port) as client:
        before = len(cable.received)
        with site.client(**me):
            expect_reason(client, cable, before, SESSION_TAKEN_OVER)


def expect_reason(client: Client, cable: Cable, before: int, code: int) -> None:
    """Wait for the end of a connection, which the broker has to give a reason for."""
    try:
        rc = int(client.disconnects.get(timeout=TIMEOUT))
    except queue.Empty:
        raise Failed("the broker does not end the connection") from None
    if len(cable.received) == before:
        raise Failed("the broker closes the connection without a DISCONNECT")
    expect(rc, code, "rc of on_disconnect")
