"""Subscriptions of MQTT 5 with mosquitto: options and identifiers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from flask_mqtt import SubscribeOptions
from support.protocol5 import app5, new_topic, receive
from support.running import connected

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto


def test_with_no_local_a_client_does_not_get_its_own_messages(broker: Mosquitto) -> None:
    topic = new_topic()
    with connected(app5(broker)) as mqtt, connected(app5(broker)) as other:
        messages = receive(mqtt, topic, options=SubscribeOptions(1, noLocal=True))
        published = threading.Event()
        mqtt.on_publish()(lambda *_: published.set())
        mqtt.publish(topic, "mine", 1)
        assert published.wait(20)
        other.publish(topic, "theirs", 1)
        assert messages.get(timeout=20).payload == b"theirs"


@pytest.mark.parametrize("as_published", [False, True])
def test_retain_as_published_keeps_the_flag(broker: Mosquitto, as_published: bool) -> None:
    topic = new_topic()
    with connected(app5(broker)) as mqtt:
        how = SubscribeOptions(retainAsPublished=as_published)
        messages = receive(mqtt, topic, options=how)
        mqtt.publish(topic, "x", retain=True)
        assert messages.get(timeout=20).retain is as_published


@pytest.mark.parametrize(("handling", "copies"), [(0, [True, True]), (1, [True]), (2, [])])
def test_retain_handling_chooses_when_retained_messages_come(
    broker: Mosquitto, handling: int, copies: list[bool]
) -> None:
    topic = new_topic()
    with connected(app5(broker)) as mqtt:
        published = threading.Event()
        mqtt.on_publish()(lambda *_: published.set())
        mqtt.publish(topic, "kept", 1, retain=True)
        assert published.wait(20)
        how = SubscribeOptions(retainHandling=handling)
        messages = receive(mqtt, topic, options=how)
        again = threading.Event()
        mqtt.on_subscribe()(lambda *_: again.set())
        mqtt.subscribe([(topic, how)])
        assert again.wait(20)
        mqtt.publish(topic, "end")
        came = list(iter(lambda: messages.get(timeout=20).retain, False))
    assert came == copies


def test_a_subscription_identifier_comes_with_the_messages(broker: Mosquitto) -> None:
    topic = new_topic()
    with connected(app5(broker)) as mqtt:
        messages = receive(mqtt, topic, properties={"SubscriptionIdentifier": 7})
        mqtt.publish(topic)
        assert messages.get(timeout=20).properties.SubscriptionIdentifier == [7]


def test_topics_have_the_qos_of_the_options(broker: Mosquitto) -> None:
    topic = new_topic()
    with connected(app5(broker)) as mqtt:
        mqtt.subscribe([(topic, SubscribeOptions(2)), (f"{topic}/x", 1)])
        assert mqtt.topics == {topic: (topic, 2), f"{topic}/x": (f"{topic}/x", 1)}
