"""A forked child connects by itself when it uses its parent's extension for the first time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from support.parent import CONNECTED, PARENT
from support.script import running

if TYPE_CHECKING:
    from pathlib import Path

    from support.packets import Packet
    from support.scripted import ScriptedBroker

pytestmark = pytest.mark.slow


def of_child(scripted: ScriptedBroker, number: int = 2) -> list[Packet]:
    """Return what came on the connection of a child."""
    return [packet for packet in scripted.packets if packet.connection == number]


def test_to_publish_it_connects_for_that_alone(scripted: ScriptedBroker) -> None:
    code = f"""{CONNECTED}
    def steps():
        infos = [mqtt.publish("t", str(qos), qos) for qos in (0, 1, 2)]
        assert [info.rc for info in infos] == [0, 0, 0], infos
        assert mqtt.connected and mqtt.client.is_connected()
        assert threads() == [], threads()
        for info in infos:
            info.wait_for_publish(20)
        mqtt.close()
        assert not mqtt.connected
        assert called == [] and records.texts == [], (called, records.texts)
    say(in_child(steps))
    say(mqtt.connected, called, mqtt.publish("t", "parent", 1).wait_for_publish(20))
    """
    with running(code, scripted.port) as script:
        script.expect("0")
        script.expect("True [] None")
        assert script.finish() == 0, script.errors
    child = of_child(scripted)
    connect = child[0].connect
    assert connect is not None
    assert (connect.client_id, connect.clean_session, connect.will) == ("site-1", True, None)
    kinds = [packet.kind for packet in child]
    assert kinds == ["CONNECT", "PUBLISH", "PUBLISH", "PUBLISH", "PUBREL", "DISCONNECT"]
    parent = of_child(scripted, 1)
    assert [packet.kind for packet in parent] == ["CONNECT", "PUBLISH", "DISCONNECT"]
    connect = parent[0].connect
    assert connect is not None
    assert (connect.client_id, connect.clean_session) == ("site", False)
    assert connect.will is not None


def test_to_subscribe_it_connects_fully(scripted: ScriptedBroker) -> None:
    scripted.echo = True
    code = f"""{CONNECTED}
    mqtt.subscribe("parent/#", 1)
    def steps():
        mqtt.subscribe("child/#", 1)
        until(lambda: called == ["on_connect"])
        assert mqtt.publish("child/t", "echo", 1).rc == 0
        until(lambda: called == ["on_connect", "echo"])
        assert threads() == ["mqtt-dispatch"], threads()
        mqtt.close()
    say(in_child(steps))
    say(mqtt.connected, called, list(mqtt.topics), threads())
    """
    with running(code, scripted.port) as script:
        script.expect("0")
        script.expect("True [] ['parent/#'] ['mqtt-dispatch', 'mqtt-handover']")
        assert script.finish() == 0, script.errors
    child = of_child(scripted)
    connect = child[0].connect
    assert connect is not None
    assert (connect.client_id, connect.clean_session) == ("site-1", False)
    assert connect.will is not None
    filters = {each[0] for packet in child for each in packet.filters}
    assert filters == {"parent/#", "child/#"}


def test_it_subscribes_after_it_has_published(scripted: ScriptedBroker) -> None:
    scripted.echo = True
    code = f"""{CONNECTED}
    mqtt.subscribe("parent/#", 1)
    def steps():
        for number in range(1000):
            assert mqtt.publish("t", str(number), 0).rc == 0
            assert mqtt.publish("t", str(number), 1).rc == 0
        mqtt.subscribe("child/#", 1)
        until(lambda: "on_connect" in called)
        mqtt.publish("child/t", "last", 1).wait_for_publish(20)
        until(lambda: called[-1] == "last")
        assert called.count("on_connect") == 1
        assert threads() == ["mqtt-dispatch"], threads()
        mqtt.close()
    say(in_child(steps))
    """
    with running(code, scripted.port) as script:
        script.expect("0")
        assert script.finish() == 0, script.errors
    connects = [packet for packet in scripted.of("CONNECT") if packet.connection > 1]
    assert [packet.connect and packet.connect.client_id for packet in connects] == ["site-1"] * 2
    # Subscriptions are the second one's.
    assert {packet.connection for packet in scripted.of("SUBSCRIBE")} == {1, 3}
    for qos in (0, 1):
        sent = [packet for packet in scripted.of("PUBLISH") if packet.qos == qos]
        payloads = dict.fromkeys(packet.payload for packet in sent if packet.topic == "t")
        assert list(payloads) == [str(number).encode() for number in range(1000)]


def test_eight_threads_at_once_make_one_connection(scripted: ScriptedBroker) -> None:
    code = f"""{CONNECTED}
    def steps():
        barrier, codes = threading.Barrier(8), []
        def publish(number):
            barrier.wait()
            codes.append(mqtt.publish("t", str(number), number % 2).rc)
        workers = [threading.Thread(target=publish, args=[number]) for number in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert codes == [0] * 8, codes
        mqtt.close()
    say([in_child(steps) for _ in range(5)])
    """
    with running(code, scripted.port) as script:
        script.expect("[0, 0, 0, 0, 0]")
        assert script.finish() == 0, script.errors
    assert len(scripted.of("CONNECT")) == 6
    for child in range(2, 7):
        sent = [item.payload for item in of_child(scripted, child) if item.kind == "PUBLISH"]
        assert sorted(sent) == [str(number).encode() for number in range(8)]


def test_threads_that_publish_meanwhile_wait_for_the_connection(scripted: ScriptedBroker) -> None:
    accepts = threading.Event()

    def hold_back(_: ScriptedBroker, packet: Packet) -> bool:
        if packet.kind == "CONNECT" and packet.connection == 2:
            accepts.wait(20)
        return False

    scripted.hook = hold_back
    code = f"""{CONNECTED}
    def steps():
        codes = []
        def publish(number):
            codes.append(mqtt.publish("t", str(number), 0).rc)
        workers = [threading.Thread(target=publish, args=[number]) for number in range(8)]
        workers[0].start()
        sys.stdin.readline()
        for worker in workers[1:]:
            worker.start()
        say("started", codes)
        for worker in workers:
            worker.join()
        assert codes == [0] * 8, codes
        mqtt.close()
    say(in_child(steps))
    """
    with running(code, scripted.port) as script:
        try:
            scripted.wait_for("CONNECT", count=2, timeout=20)
            script.go()
            script.expect("started []")
        finally:
            accepts.set()
        script.expect("0")
        assert script.finish() == 0, script.errors
    assert len(scripted.of("CONNECT")) == 2
    assert len(scripted.of("PUBLISH")) == 8


@pytest.mark.parametrize("ends", ["sys.exit", "os._exit"])
def test_a_child_that_uses_nothing_is_silent(scripted: ScriptedBroker, ends: str) -> None:
    code = f"""{CONNECTED}
    say(in_child(lambda: None, {ends}), in_child(lambda: mqtt.connected, {ends}))
    say(in_child(mqtt.close, {ends}), mqtt.connected, called)
    """
    with running(code, scripted.port) as script:
        script.expect("0 0")
        script.expect("0 True []")
        assert script.finish() == 0
        assert script.errors == ""
    assert [packet.kind for packet in scripted.packets] == ["CONNECT", "DISCONNECT"]


def test_what_was_accepted_is_sent_before_a_child_exits(scripted: ScriptedBroker) -> None:
    code = f"""{CONNECTED}
    def steps():
        for number in range(500):
            assert mqtt.publish("t", str(number), number % 3).rc == 0
    say(in_child(steps, sys.exit))
    """
    with running(code, scripted.port) as script:
        script.expect("0")
        assert script.finish() == 0
        assert script.errors == ""
    # Messages with QoS 0 need not wait for others.
    sent = [packet.payload for packet in scripted.of("PUBLISH")]
    assert sorted(sent) == sorted(str(number).encode() for number in range(500))
    assert of_child(scripted)[-1].kind == "DISCONNECT"


def test_without_a_broker_it_goes_on_trying(scripted: ScriptedBroker) -> None:
    code = f"""{CONNECTED}
    say("connected")
    sys.stdin.readline()
    until(lambda: not mqtt.connected)
    def steps():
        records.texts.clear()
        assert [mqtt.publish("t", "lost", 0).rc, mqtt.publish("t", "kept", 1).rc] == [4, 4]
        errors = [text for text in records.texts if text.startswith("MQTT: ")]
        assert len(errors) == 1 and "refused" in errors[0], records.texts
        say("tried")
        until(lambda: mqtt.connected)
        mqtt.publish("t", "more", 1).wait_for_publish(20)
        mqtt.close()
    say(in_child(steps))
    """
    with running(code, scripted.port) as script:
        script.expect("connected")
        scripted.stop_listening()
        scripted.drop()
        script.go()
        script.expect("tried")
        scripted.listen()
        script.expect("0")
        assert script.finish() == 0, script.errors
    assert [packet.payload for packet in scripted.of("PUBLISH")] == [b"kept", b"more"]


def test_a_broker_that_refuses_is_no_success(scripted: ScriptedBroker) -> None:
    scripted.connack = [0, 5]
    code = f"""{CONNECTED}
    def steps():
        assert mqtt.publish("t", "x", 0).rc == 4
        assert not mqtt.connected
        # The reason comes behind the failure, and the next message has it logged.
        until(lambda: mqtt.publish("t", "x").rc == 4 and "not authorized" in str(records.texts))
    say(in_child(steps))
    """
    with running(code, scripted.port) as script:
        script.expect("0")
        assert script.finish() == 0, script.errors
    assert scripted.of("PUBLISH") == []


def test_what_cannot_begin_is_told_once(scripted: ScriptedBroker, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    code = f"""{CONNECTED}
    def steps():
        mqtt.tls_ca_certs, mqtt.tls_enabled = sys.argv[2], True
        for _ in range(100):
            assert mqtt.publish("t", "x", 1).rc == 4
        errors = [text for text in records.texts if "MQTT_TLS_CA_CERTS" in text]
        assert len(errors) == 1, records.texts
    say(in_child(steps))
    """
    with running(code, scripted.port, ca) as script:
        script.expect("0")
        assert script.finish() == 0, script.errors


def test_handlers_that_publish_before_the_connection_do_not_begin_another_one(
    scripted: ScriptedBroker,
) -> None:
    code = f"""{CONNECTED}
    early = []
    def before(client, userdata):
        early.append(mqtt.publish("t", "early", 1).rc)
    mqtt.client.on_pre_connect = before
    def steps():
        assert mqtt.publish("t", "x", 1).rc == 0
        assert early == [4], early
        mqtt.close()
    say(in_child(steps))
    """
    with running(code, scripted.port) as script:
        script.expect("0")
        assert script.finish() == 0, script.errors
    assert len(scripted.of("CONNECT")) == 2


def test_the_first_request_connects_fully(scripted: ScriptedBroker) -> None:
    code = f"""{CONNECTED}
    mqtt.subscribe("parent/#", 1)
    app.route("/")(lambda: str(mqtt.publish("t", "x", 1).rc))
    def steps():
        assert app.test_client().get("/").text == "0"
        until(lambda: called == ["on_connect"])
        assert app.test_client().get("/").text == "0"
        mqtt.close()
    say(in_child(steps))
    def one_request():
        called.clear()
        # Werkzeug forks for each request.
        multi = {{"wsgi.multiprocess": True, "SERVER_SOFTWARE": "Werkzeug/3.1"}}
        assert app.test_client().get("/", environ_overrides=multi).text == "0"
        assert called == [] and threads() == []
        mqtt.close()
    say(in_child(one_request))
    """
    with running(code, scripted.port) as script:
        script.expect("0")
        script.expect("0")
        assert script.finish() == 0, script.errors
    assert len(scripted.of("CONNECT")) == 3
    # The parent serves nobody, so it lets go of its connection for the first one.
    kinds = [packet.kind for packet in of_child(scripted, 1)]
    assert kinds == ["CONNECT", "SUBSCRIBE", "DISCONNECT"]
    assert {packet.connection for packet in scripted.of("SUBSCRIBE")} == {1, 2}


def test_a_parent_that_serves_requests_keeps_its_connection(scripted: ScriptedBroker) -> None:
    code = f"""{CONNECTED}
    app.route("/")(lambda: "served")
    app.test_client().get("/")
    until(lambda: threads() == ["mqtt-dispatch"])
    def steps():
        app.test_client().get("/")
        until(lambda: called == ["on_connect"])
        mqtt.close()
    say(in_child(steps), mqtt.connected, called)
    """
    with running(code, scripted.port) as script:
        script.expect("0 True []")
        assert script.finish() == 0, script.errors
    assert len(scripted.of("CONNECT")) == 2


def test_a_parent_that_has_let_go_connects_when_it_is_used_again(scripted: ScriptedBroker) -> None:
    code = f"""{CONNECTED}
    mqtt.subscribe("parent/#", 1)
    app.route("/")(lambda: "served")
    def steps():
        app.test_client().get("/")
        until(lambda: called == ["on_connect"])
    say(in_child(steps), mqtt.connected, called, threads())
    mqtt.publish("t", "parent", 1).wait_for_publish(20)
    say("mqtt-dispatch" in threads(), mqtt.connected)
    mqtt.init_app(app)
    until(lambda: called == ["on_disconnect", "on_connect"])
    """
    with running(code, scripted.port) as script:
        script.expect("0 False ['on_disconnect'] []")
        script.expect("False True")
        assert script.finish() == 0, script.errors


@pytest.mark.parametrize("mode", ["all", "leader"])
def test_it_subscribes_after_it_has_published_with_a_file(
    scripted: ScriptedBroker, tmp_path: Path, mode: str
) -> None:
    code = f"""{PARENT}
    app.config["MQTT_PERSISTENCE"] = sys.argv[2] + "/messages.db"
    app.config["MQTT_WORKER_MODE"] = sys.argv[3]
    mqtt.init_app(app)
    until(lambda: called == ["on_connect"])
    called.clear()
    def steps():
        assert mqtt.publish("t", "first", 1).rc == 0
        mqtt.subscribe("child/#", 1)
        until(lambda: called == ["on_connect"])
        mqtt.publish("t", "second", 1).wait_for_publish(20)
        mqtt.close()
        assert records.texts == [], records.texts
    say(in_child(steps))
    say(sorted(name for name in os.listdir(sys.argv[2]) if name.endswith(".db")))
    """
    folder = tmp_path / "files"
    folder.mkdir()
    with running(code, scripted.port, folder, mode) as script:
        script.expect("0")
        script.expect("['messages-1.db', 'messages.db']")
        assert script.finish() == 0, script.errors
    connects = [packet for packet in scripted.of("CONNECT") if packet.connection > 1]
    assert [packet.connect and packet.connect.client_id for packet in connects] == ["site-1"] * 2
