"""`Mqtt.healthy`, and the pages for orchestrators."""

from __future__ import annotations

import functools
import os
import signal
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN, Mqtt, health
from flask_mqtt.client.base import parts_of
from flask_multimqtt import MultiMQTT
from support.apps import make_app
from support.children import in_child
from support.running import connected, subscribe
from support.script import running
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.mosquitto import Mosquitto
    from support.workers import Worker, Workers

NO_CONNECTION = health.Health(healthy=False, reason="there is no connection to a broker")


def silent(broker: Mosquitto) -> None:
    """Have a broker hang: its connections stay, and nothing comes."""
    os.kill(broker.pid, signal.SIGSTOP)


def loud(broker: Mosquitto) -> None:
    os.kill(broker.pid, signal.SIGCONT)


def test_healthy_is_a_connection_with_all_subscriptions(broker: Mosquitto) -> None:
    mqtt = Mqtt()
    mqtt.subscribe("health/a")
    assert mqtt.healthy() == NO_CONNECTION
    mqtt.init_app(make_app(broker.port))
    wait_until(mqtt.healthy)
    assert mqtt.healthy(max_age=0) == health.Health(healthy=True)
    mqtt.close()
    assert mqtt.healthy() == mqtt.healthy(max_age=1) == NO_CONNECTION
    assert not mqtt.healthy()


def test_a_subscription_counts_when_it_is_acknowledged() -> None:
    with (
        ScriptedBroker(withhold={"SUBACK"}) as broker,
        connected(make_app(broker.port)) as mqtt,
    ):
        assert mqtt.healthy()
        assert mqtt.subscribe("slow") == (0, 1)
        broker.wait_for("SUBSCRIBE")
        looked = mqtt.healthy()
        reason = "1 of the subscriptions not acknowledged by the broker"
        assert looked == health.Health(healthy=False, reason=reason, unanswered=("slow",))
        broker.send(broker.version.suback(1, 0))
        wait_until(mqtt.healthy)


def test_a_refused_subscription_is_not_healthy() -> None:
    with (
        ScriptedBroker(withhold={"SUBACK"}) as broker,
        connected(make_app(broker.port)) as mqtt,
    ):
        assert mqtt.subscribe("forbidden") == (0, 1)
        broker.wait_for("SUBSCRIBE")
        broker.send(broker.version.suback(1, 0x80))
        reason = "1 of the subscriptions refused by the broker"
        expected = health.Health(healthy=False, reason=reason, refused=("forbidden",))
        wait_until(lambda: mqtt.healthy() == expected)
        mqtt.unsubscribe("forbidden")
        assert mqtt.healthy()


def test_held_subscriptions_are_not_missed(broker: Mosquitto) -> None:
    with connected(make_app(broker.port)) as mqtt:
        core = parts_of(mqtt.client).holder.core
        core.hold(True)
        mqtt.subscribe("health/held")
        assert mqtt.healthy()
        core.hold(False)
        wait_until(mqtt.healthy)
        assert core.health()["unanswered"] == (0, [])


def test_no_ping_is_sent_while_the_broker_is_not_older_than_it_may_be(
    scripted: ScriptedBroker,
) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        assert mqtt.healthy()
        assert mqtt.healthy(max_age=60)
        assert scripted.of("PINGREQ") == []
        for count in (1, 2):
            assert mqtt.healthy(max_age=0)
            assert len(scripted.of("PINGREQ")) == count


def test_a_broker_that_hangs_is_not_healthy_and_is_so_again_later(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    broker = broker_factory()
    with connected(make_app(broker.port)) as mqtt:
        subscribe(mqtt, "health/hang")
        silent(broker)
        try:
            # The connection is there, and TCP says nothing else.
            assert mqtt.healthy()
            looked = mqtt.healthy(max_age=0, timeout=0.3)
            assert not looked
            assert looked.reason.endswith("has not answered a PINGREQ within 0.3 s")
        finally:
            loud(broker)
        assert mqtt.healthy(max_age=0, timeout=30)


def test_who_asks_at_the_same_time_shares_one_ping() -> None:
    with (
        ScriptedBroker(withhold={"PINGRESP"}) as broker,
        connected(make_app(broker.port)) as mqtt,
    ):
        looked: list[health.Health] = []

        def look() -> None:
            looked.append(mqtt.healthy(max_age=0, timeout=30))

        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        broker.wait_for("PINGREQ")
        assert not mqtt.healthy(max_age=0, timeout=0)
        broker.drop()
        for thread in threads:
            thread.join(20)
        # Nobody waits longer than the connection lasts.
        assert looked == [NO_CONNECTION] * 8
        assert len(broker.of("PINGREQ")) == 1


def test_handlers_that_are_behind_are_the_reason_where_nothing_is_read(
    scripted: ScriptedBroker,
) -> None:
    go_on = threading.Event()
    with connected(make_app(scripted.port, max_incoming_messages=1)) as mqtt:
        mqtt.on_message()(lambda *_: go_on.wait(30))
        for _ in range(600):
            scripted.publish("t", b"x")
        wait_until(lambda: mqtt.stats()["reading"]["paused"])
        try:
            looked = mqtt.healthy(max_age=0, timeout=0.2)
            assert looked.reason == "nothing is read from the broker: the handlers are behind"
        finally:
            go_on.set()
        wait_until(lambda: mqtt.healthy(max_age=0))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_healthy_when_it_has_a_connection_of_its_own(broker: Mosquitto) -> None:
    app = make_app(broker.port)

    def child() -> None:
        reason = "this process connects with its first use"
        # To ask is none.
        assert mqtt.healthy(max_age=0) == mqtt.healthy() == health.Health(False, reason)
        mqtt.publish("health/child", qos=1).wait_for_publish(20)
        assert mqtt.healthy(max_age=0)
        mqtt.subscribe("health/child")
        wait_until(mqtt.healthy)
        mqtt.close()
        assert mqtt.healthy() == NO_CONNECTION

    with connected(app) as mqtt:
        in_child(child)
        assert mqtt.healthy(max_age=0)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_that_finds_no_broker_has_no_connection(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    broker = broker_factory()

    def child() -> None:
        assert mqtt.publish("health/child").rc == MQTT_ERR_NO_CONN
        assert mqtt.healthy() == NO_CONNECTION

    with connected(make_app(broker.port)) as mqtt:
        broker.stop()
        in_child(child)


@pytest.mark.parametrize("name", ["max_age", "timeout"])
def test_limits_are_seconds(name: str) -> None:
    mqtt = Mqtt()
    wrong: Any = {name: "1"}
    with pytest.raises(TypeError, match=f"{name} must be a number of seconds, not '1'"):
        mqtt.healthy(**wrong)
    with pytest.raises(TypeError, match=name):
        health.blueprint(mqtt, **wrong)
    for value in (-1, float("nan")):
        with pytest.raises(ValueError, match=f"{name} must be at least 0 seconds, not {value}"):
            mqtt.healthy(**{name: value})
    with pytest.raises(TypeError, match="needs the extensions"):
        health.blueprint()


def test_two_extensions_of_one_prefix_are_both_looked_at(broker: Mosquitto) -> None:
    app = make_app(broker.port)
    with connected(app) as mqtt:
        app.register_blueprint(health.blueprint(Mqtt(), mqtt, Mqtt()))
        answer = app.test_client().get("/readyz")
        reasons = dict.fromkeys(["MQTT", "MQTT-3"], "there is no connection to a broker")
        assert (answer.status_code, answer.json) == (503, {"ready": False, "reasons": reasons})


def test_what_is_no_extension_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="objects of Mqtt, not MultiMQTT; of a MultiMQTT, give its"):
        health.blueprint(MultiMQTT())  # type: ignore[arg-type]


def test_the_pages_say_whether_it_lives_and_is_ready(broker: Mosquitto) -> None:
    app = make_app(broker.port)
    other = Mqtt(config_prefix="OTHER")
    with connected(app) as mqtt:
        app.register_blueprint(health.blueprint(mqtt, max_age=10))
        pages = health.blueprint(mqtt, other, name="both")
        app.register_blueprint(pages, url_prefix="/internal")
        web = app.test_client()
        answer = web.get("/readyz")
        assert (answer.status_code, answer.json) == (200, {"ready": True, "reasons": {}})
        assert answer.headers["Cache-Control"] == "no-store"
        answer = web.get("/internal/readyz")
        reasons = {"OTHER": "there is no connection to a broker"}
        assert (answer.status_code, answer.json) == (503, {"ready": False, "reasons": reasons})
        assert web.get("/internal/healthz").json == {"alive": True, "reasons": {}}
    answer = web.get("/readyz")
    assert answer.status_code == 503
    # It lives, and may connect again.
    assert web.get("/healthz").status_code == 200


@pytest.mark.slow
def test_every_worker_is_healthy_in_mode_leader(broker: Mosquitto, workers: Workers) -> None:
    before = """
    @mqtt.on_connect()
    def now_connected(*_):
        mqtt.subscribe("health/leader")
    """

    def is_healthy(worker: Worker) -> bool:
        return worker.ask("bool(mqtt.healthy(max_age=0))") == "True"

    config = {"worker_mode": "leader", "client_id": "health-leader"}
    leader, standby = workers.pair(broker.port, before=before, **config)
    for worker, leads in ((leader, "True"), (standby, "False")):
        assert worker.ask("mqtt.is_leader") == leads
        wait_until(functools.partial(is_healthy, worker), 30)
    leader.kill()
    wait_until(lambda: standby.ask("mqtt.is_leader and bool(mqtt.healthy())") == "True", 30)
    core = "__import__('flask_mqtt.client.base').client.base.parts_of(mqtt.client).holder.core"
    assert standby.ask(f"{core}.health()['unanswered']") == "(0, [])"


@pytest.mark.slow
def test_a_thread_that_was_killed_is_not_alive(broker: Mosquitto) -> None:
    code = """
    import gevent.monkey; gevent.monkey.patch_all()
    import gc
    from flask_mqtt import health

    mqtt = Mqtt(app)
    app.register_blueprint(health.blueprint(mqtt))
    page = app.test_client().get
    say(page("/healthz").status_code)
    [thread] = [each for each in threading.enumerate() if each.name == "mqtt-dispatch"]
    greenlets = [each for each in gc.get_objects() if isinstance(each, gevent.Greenlet)]
    gevent.killall([each for each in greenlets if id(each) == thread.ident])
    answer = page("/healthz")
    say(answer.status_code, answer.json)
    mqtt.client.loop_start()
    say(page("/healthz").status_code)
    """
    with running(textwrap.dedent(code), broker.port) as script:
        script.expect("200")
        reasons = {"MQTT": "the thread that calls the handlers has ended"}
        script.expect(f"503 {{'alive': False, 'reasons': {reasons}}}")
        script.expect("200")


@pytest.mark.slow
@pytest.mark.parametrize(
    "patch",
    ["import gevent.monkey; gevent.monkey.patch_all()", "import eventlet; eventlet.monkey_patch()"],
    ids=["gevent", "eventlet"],
)
def test_green_threads_go_on_while_one_waits_for_the_broker(
    patch: str, broker_factory: Callable[..., Mosquitto]
) -> None:
    broker = broker_factory()
    code = """
    mqtt = Mqtt(app)
    until(mqtt.healthy)
    say("ready")
    sys.stdin.readline()
    turns, looked = [], []
    def look():
        looked.append(mqtt.healthy(max_age=0, timeout=1))
    thread = threading.Thread(target=look)
    thread.start()
    while not looked:
        time.sleep(0.01)
        turns.append(1)
    say(bool(looked[0]), len(turns) > 10)
    sys.stdin.readline()
    say(bool(mqtt.healthy(max_age=0, timeout=20)))
    """
    with running(patch + textwrap.dedent(code), broker.port) as script:
        script.expect("ready")
        silent(broker)
        try:
            script.go()
            script.expect("False True")
        finally:
            loud(broker)
        script.go()
        script.expect("True")
