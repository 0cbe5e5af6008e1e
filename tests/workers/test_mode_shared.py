"""Mode "shared": workers share the messages of a real broker, and know plain topics only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTTv5, MQTTv311
from support.apps import make_app
from support.running import connected, subscribe
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto
    from support.workers import Worker, Workers

pytestmark = pytest.mark.slow


@pytest.fixture(params=[MQTTv311, MQTTv5], ids=["MQTT 3.1.1", "MQTT 5"])
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The configuration of a worker, with each version."""
    return {"worker_mode": "shared", "protocol_version": int(request.param)}


def wait_for_messages(workers: list[Worker], count: int) -> list[str]:
    """Wait until workers have got so many messages, and return all that they have."""

    def found() -> list[str]:
        return [message for worker in workers for message in worker.messages]

    wait_until(lambda: len(found()) >= count, 30, f"{count} messages")
    return found()


def test_each_of_1000_messages_is_handled_once(
    broker: Mosquitto, workers: Workers, config: dict[str, Any]
) -> None:
    topic = f"shared/{config['protocol_version']}/each"
    both = [workers.start(broker.port, **config) for _ in range(2)]
    for worker in both:
        worker.subscribe(topic, 1)
    with connected(make_app(broker.port)) as mqtt:
        for number in range(1_000):
            assert mqtt.publish(topic, str(number), 1).rc == 0
        numbers = wait_for_messages(both, 1_000)
        # What came behind all of them has come, so nothing is on its way.
        for worker in both:
            worker.subscribe("shared/last", 1)
        mqtt.publish("shared/last", "last", 1)
        wait_for_messages(both, 1_001)
    assert sorted(map(int, numbers)) == list(range(1_000))
    assert all(worker.messages for worker in both)


def test_a_worker_that_is_killed_and_started_again_loses_nothing(
    roomy: Mosquitto, workers: Workers, config: dict[str, Any]
) -> None:
    config |= {"client_id": "killed", "clean_session": False}
    started = list(workers.pair(roomy.port, **config))
    for worker in started:
        worker.subscribe("shared/killed", 1)

    def found() -> set[str]:
        return {message for worker in started for message in worker.messages}

    with connected(make_app(roomy.port)) as mqtt:
        for number in range(2_000):
            if number == 1_000:
                wait_until(lambda: len(found()) > 500, 30)
                started[1].kill()
            assert mqtt.publish("shared/killed", str(number), 1).rc == 0
        started.append(workers.start(roomy.port, **config))
        wait_until(lambda: len(found()) == 2_000, 30, "all messages")


def test_handlers_and_topics_have_plain_topics(
    broker: Mosquitto, workers: Workers, config: dict[str, Any]
) -> None:
    before = """
        @mqtt.on_topic("plain/+/one")
        def one(client, userdata, message):
            say("handler", message.topic)

        @mqtt.topic("plain/<int:number>/route", qos=1)
        def route(client, message, number):
            say("route", number)

        @mqtt.topic("plain/<name>/own", share="others")
        def own(client, message, name):
            say("own", name)
    """
    worker = workers.start(broker.port, before=before, prefix="levels/of", **config)
    worker.subscribe("plain/+/one", 1)
    # Before it: the two of the routes.
    worker.wait_for("subscribed", 3)
    topics = ["plain/+/one", "plain/+/route", "$share/others/plain/+/own"]
    assert worker.ask("sorted(mqtt.topics)") == str(sorted(topics))
    with connected(make_app(broker.port)) as mqtt:
        for name in ("1/one", "2/route", "3/own"):
            mqtt.publish(f"levels/of/plain/{name}", "x", 1)
    worker.wait_for("handler plain/1/one")
    worker.wait_for("route 2")
    worker.wait_for("own 3")


def test_a_subscription_of_a_handler_is_shared_too(
    broker: Mosquitto, workers: Workers, config: dict[str, Any]
) -> None:
    topic = f"shared/{config['protocol_version']}/handler"
    before = f"""
        @mqtt.on_connect()
        def on_connect(client, userdata, flags, rc):
            client.subscribe([({topic!r}, 1), ("{topic}/more", 0)])
    """
    both = [workers.start(broker.port, before=before, **config) for _ in range(2)]
    for worker in both:
        worker.wait_for("subscribed")
        # After the next connection too.
        worker.tell("client = mqtt.client; client.disconnect(); client.reconnect()")
        worker.wait_for("subscribed", 2)
    with connected(make_app(broker.port)) as mqtt:
        for number in range(100):
            mqtt.publish(topic, str(number), 1)
        assert sorted(map(int, wait_for_messages(both, 100))) == list(range(100))


def test_unsubscribing(broker: Mosquitto, workers: Workers, config: dict[str, Any]) -> None:
    topic = f"shared/{config['protocol_version']}/unsubscribed"
    before = "mqtt.on_unsubscribe()(lambda client, userdata, mid, *_: say('unsubscribed'))"
    worker = workers.start(broker.port, before=before, **config)
    worker.subscribe(topic)
    worker.subscribe(f"{topic}/last")
    worker.tell(f"mqtt.unsubscribe({topic!r})")
    worker.wait_for("unsubscribed")
    assert worker.ask("list(mqtt.topics)") == f"['{topic}/last']"
    with connected(make_app(broker.port)) as mqtt:
        mqtt.publish(topic, "unwanted", 1)
        mqtt.publish(f"{topic}/last", "last", 1)
    worker.wait_for("got")
    assert worker.messages == ["last"]


def test_topics_edited_by_the_application(broker: Mosquitto, workers: Workers) -> None:
    worker = workers.start(broker.port, worker_mode="shared")
    worker.subscribe("shared/edited/out")
    worker.tell("from flask_mqtt import TopicQos")
    worker.tell("mqtt.topics['shared/edited/in'] = TopicQos('shared/edited/in', 1)")
    worker.tell("del mqtt.topics['shared/edited/out']")
    worker.tell("mqtt.client.disconnect(); mqtt.client.reconnect()")
    worker.wait_for("subscribed", 2)
    with connected(make_app(broker.port)) as mqtt:
        mqtt.publish("shared/edited/out", "out", 1)
        mqtt.publish("shared/edited/in", "in", 1)
    worker.wait_for("got")
    assert worker.messages == ["in"]


def test_a_retained_message_is_not_sent(broker: Mosquitto, workers: Workers) -> None:
    # With MQTT 3.1.1 nobody can ask mosquitto 2.0 not to send it.
    config: dict[str, Any] = {"worker_mode": "shared", "protocol_version": int(MQTTv5)}
    topic = "shared/retained"
    with connected(make_app(broker.port)) as mqtt:
        mqtt.publish(topic, "kept", 1, retain=True).wait_for_publish(20)
        worker = workers.start(broker.port, **config)
        worker.subscribe(topic)
        mqtt.publish(topic, "new", 1)
        worker.wait_for("got")
        assert worker.messages == ["new"]
        mqtt.publish(topic, "", 1, retain=True).wait_for_publish(20)


def test_messages_of_a_persistent_session_are_kept_for_the_worker(
    broker: Mosquitto, workers: Workers, config: dict[str, Any]
) -> None:
    topic = f"shared/{config['protocol_version']}/session"
    config |= {"client_id": topic.replace("/", "-"), "clean_session": False}
    worker = workers.start(broker.port, **config)
    worker.subscribe(topic)
    worker.kill()
    with connected(make_app(broker.port)) as mqtt:
        for number in range(10):
            mqtt.publish(topic, str(number), 1).wait_for_publish(20)
    again = workers.start(broker.port, **config)
    assert wait_for_messages([again], 10) == [str(number) for number in range(10)]


def test_each_worker_has_a_file(broker: Mosquitto, workers: Workers, tmp_path: Path) -> None:
    config = {"worker_mode": "shared", "persistence": str(tmp_path / "messages.db")}
    both = workers.pair(broker.port, **config)
    for worker in both:
        worker.subscribe("shared/files")
        worker.tell("mqtt.publish('shared/files', 'x', 1)")
    assert wait_for_messages(list(both), 2) == ["x", "x"]
    assert {path.name for path in tmp_path.glob("*.db")} == {"messages.db", "messages-1.db"}


def test_applications_with_another_group_do_not_share(broker: Mosquitto, workers: Workers) -> None:
    groups = ("one", "two", "")
    started = [
        workers.start(broker.port, worker_mode="shared", shared_group=group) for group in groups
    ]
    for worker in started:
        worker.subscribe("shared/groups")
    with connected(make_app(broker.port)) as mqtt:
        mqtt.publish("shared/groups", "x", 1)
    for worker in started:
        worker.wait_for("got")


def test_multimqtt_shares_too(broker: Mosquitto, workers: Workers) -> None:
    before = """
        from flask_multimqtt import MultiMQTT
        multi = MultiMQTT(app)

        @multi.topic("shared/multi")
        def multi_topic(client, message):
            say("multi", message.payload.decode())

        multi.connect()
        until(lambda: multi.connected)
    """
    both = [workers.start(broker.port, before=before, worker_mode="shared") for _ in range(2)]
    for worker in both:
        worker.wait_for("connected")
        worker.subscribe("shared/multi/last")
    with connected(make_app(broker.port)) as mqtt:
        for number in range(100):
            mqtt.publish("shared/multi", str(number), 1)

        def found() -> list[str]:
            return [line for worker in both for line in worker.having("multi")]

        wait_until(lambda: len(found()) >= 100, 20)
    assert sorted(map(int, found())) == list(range(100))


def test_the_mode_is_changed_by_another_init_app(broker: Mosquitto, workers: Workers) -> None:
    both = [workers.start(broker.port) for _ in range(2)]
    for worker in both:
        worker.subscribe("shared/changed")
        worker.tell("app.config['MQTT_WORKER_MODE'] = 'shared'; mqtt.init_app(app)")
        worker.wait_for("subscribed", 2)
    with connected(make_app(broker.port)) as mqtt:
        subscribe(mqtt, "shared/changed")
        for number in range(100):
            mqtt.publish("shared/changed", str(number), 1)
        assert sorted(map(int, wait_for_messages(both, 100))) == list(range(100))
