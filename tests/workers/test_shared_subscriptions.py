"""Mode "shared": what is subscribed to, and what becomes of refusals."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_mqtt import Mqtt, MQTTv5, SubscribeOptions
from support.apps import make_app
from support.packets import MQTT5
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.packets import Packet
    from support.scripted import ScriptedBroker


@pytest.fixture
def mqtt(scripted: ScriptedBroker) -> Iterator[Mqtt]:
    """An extension in mode "shared" of the application `tests`."""
    with connected(make_app(scripted.port, worker_mode="shared")) as mqtt:
        yield mqtt


def filters(broker: ScriptedBroker, kind: str = "SUBSCRIBE") -> list[str]:
    """Return the filters of all packets of a kind."""
    return [name for packet in broker.of(kind) for name, *_ in packet.filters]


def refusing(broker: ScriptedBroker, code: int) -> None:
    """Have a broker refuse every SUBSCRIBE."""

    def answer(broker: ScriptedBroker, packet: Packet) -> bool:
        if packet.kind != "SUBSCRIBE":
            return False
        broker.send(broker.version.suback(packet.mid, *[code] * len(packet.filters)))
        return True

    broker.hook = answer


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the records of refusals."""
    return [
        record
        for record in caplog.records
        if getattr(record, "mqtt_event", "") == "shared_refused" and record.levelname == "ERROR"
    ]


def test_filters_become_those_of_shared_subscriptions(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    assert mqtt.subscribe("a/+", 1)[0] == 0
    mqtt.subscribe([("b", 0), ("#", 2)])
    mqtt.client.subscribe("$SYS/uptime")
    # These are shared, or the broker's answers to this client.
    mqtt.subscribe("$share/other/c")
    mqtt.client.subscribe("$CONTROL/dynamic-security/v1/response")
    scripted.wait_for("SUBSCRIBE", 5)
    assert filters(scripted) == [
        "$share/tests/a/+",
        "$share/tests/b",
        "$share/tests/#",
        "$share/tests/$SYS/uptime",
        "$share/other/c",
        "$CONTROL/dynamic-security/v1/response",
    ]
    assert list(mqtt.topics) == ["a/+", "b", "#", "$share/other/c"]
    mqtt.unsubscribe("a/+")
    mqtt.client.unsubscribe(["b", "$share/other/c"])
    scripted.wait_for("UNSUBSCRIBE", 2)
    assert filters(scripted, "UNSUBSCRIBE") == [
        "$share/tests/a/+",
        "$share/tests/b",
        "$share/other/c",
    ]


def test_what_was_subscribed_to_before_is_shared(scripted: ScriptedBroker) -> None:
    mqtt = Mqtt()
    mqtt.subscribe("early", 1)
    app = make_app(scripted.port, worker_mode="shared", shared_group="workers", prefix="x")
    mqtt.init_app(app)
    with mqtt:
        scripted.wait_for("SUBSCRIBE")
        assert filters(scripted) == ["$share/workers/x/early"]
        # An edited topic is not subscribed to again.
        del mqtt.topics["early"]
        scripted.drop()
        mqtt.subscribe("late")
        scripted.wait_for(lambda packet: ("$share/workers/x/late", 0) in packet.filters)
        assert "$share/workers/x/early" not in filters(scripted)[1:]


def test_reinitialise_keeps_the_mode(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    mqtt.client.reinitialise()
    mqtt.client.subscribe("again")
    mqtt.client.connect("127.0.0.1", scripted.port)
    mqtt.client.loop_start()
    scripted.wait_for("SUBSCRIBE")
    assert filters(scripted) == ["$share/tests/again"]


@pytest.mark.parametrize(("name", "group"), [("shop", "shop"), ("a/b+c#d", "a-b-c-d"), ("ü", "ü")])
def test_the_group_is_the_name_of_the_application(
    scripted: ScriptedBroker, name: str, group: str
) -> None:
    app = Flask(name, root_path="/")
    app.config |= make_app(scripted.port, worker_mode="shared").config
    with connected(app) as mqtt:
        mqtt.subscribe("t")
        scripted.wait_for("SUBSCRIBE")
    assert filters(scripted) == [f"$share/{group}/t"]


def test_malformed_filters_are_refused_as_they_were_written(mqtt: Mqtt) -> None:
    for call in (mqtt.subscribe, mqtt.client.subscribe, mqtt.client.unsubscribe):
        with pytest.raises(ValueError, match=r'^invalid subscription filter "a/#/b"'):
            call("a/#/b")
        with pytest.raises(ValueError, match=r"^(?!.*share)"):
            call("")


def test_no_local_is_refused(scripted5: ScriptedBroker) -> None:
    app = make_app(scripted5.port, worker_mode="shared", protocol_version=MQTTv5)
    with connected(app) as mqtt:
        options = SubscribeOptions(1, noLocal=True)
        for call in (mqtt.subscribe, mqtt.client.subscribe):
            with pytest.raises(ValueError, match=r"noLocal for 't'.*MQTT_WORKER_MODE.*3\.8\.3\.1"):
                call("t", options=options)
        assert not mqtt.topics
        mqtt.subscribe("t", options=SubscribeOptions(1, retainAsPublished=True))
        scripted5.wait_for("SUBSCRIBE")
    assert scripted5.of("SUBSCRIBE")[0].filters == (("$share/tests/t", 1 | 8 | 2 << 4),)


@pytest.mark.parametrize("code", [0x80, 0x87, 0x9E])
def test_a_refusal_of_mqtt_5_is_an_error(
    scripted5: ScriptedBroker, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    refusing(scripted5, code)
    _assert_refused(scripted5, caplog, code, protocol_version=MQTTv5)


def test_a_refusal_of_mqtt_3_is_an_error(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    refusing(scripted, 0x80)
    _assert_refused(scripted, caplog, 0x80)


def _assert_refused(
    broker: ScriptedBroker, caplog: pytest.LogCaptureFixture, code: int, **config: Any
) -> None:
    with connected(make_app(broker.port, worker_mode="shared", **config)) as mqtt:
        answers: list[int] = []
        mqtt.on_subscribe()(lambda _client, _userdata, mid, *_: answers.append(mid))
        mqtt.subscribe("one")
        mqtt.subscribe("two")
        wait_until(lambda: len(answers) == 2)
    [record] = errors(caplog)
    text = record.getMessage()
    assert "'$share/tests/one'" in text
    assert f"code {code})" in text
    assert "MQTT_WORKER_MODE" in text
    assert '"leader"' in text
    assert vars(record)["mqtt_rc"] == code


def test_a_broker_without_shared_subscriptions_is_an_error(
    scripted5: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    scripted5.connack = MQTT5.connack(properties={"SharedSubscriptionAvailable": 0})
    app = make_app(scripted5.port, worker_mode="shared", protocol_version=MQTTv5)
    with connected(app) as mqtt:
        [record] = errors(caplog)
        assert "according to its CONNACK" in record.getMessage()
        assert '"leader"' in record.getMessage()
        mqtt.subscribe("t")
        assert scripted5.of("SUBSCRIBE") == []
    assert len(errors(caplog)) == 1


def test_a_granted_subscription_is_no_error(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[int] = []
    mqtt.on_subscribe()(lambda _client, _userdata, mid, *_: answers.append(mid))
    mqtt.subscribe("t", 2)
    wait_until(lambda: len(answers) == 1)
    assert errors(caplog) == []


def test_the_log_says_that_messages_are_shared(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flask_mqtt")
    with connected(make_app(scripted.port, worker_mode="shared")):
        scripted.drop()
        scripted.wait_connected(2)
    texts = [
        record.getMessage()
        for record in caplog.records
        if getattr(record, "mqtt_event", "") == "shared"
    ]
    [said] = texts
    assert said.startswith("Sharing messages as group 'tests'")


@pytest.mark.parametrize("mode", ["all", "leader"])
def test_other_modes_have_plain_subscriptions(scripted: ScriptedBroker, mode: str) -> None:
    with connected(make_app(scripted.port, worker_mode=mode)) as mqtt:
        mqtt.subscribe("t")
        scripted.wait_for("SUBSCRIBE")
    assert filters(scripted) == ["t"]
