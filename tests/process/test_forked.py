"""A forked child: the connection is its parent's, and the child has one when it has connected."""

from __future__ import annotations

import asyncio
import contextlib
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN, Client, MQTTMessageInfo
from support.apps import make_app
from support.children import PATIENCE, in_child
from support.running import closing, connected, unconfirmed
from support.script import running
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


async def waiting(info: MQTTMessageInfo) -> None:
    await info


@contextlib.contextmanager
def warnings_counted(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    found: list[str] = []
    caplog.clear()
    yield found
    found += [
        record.getMessage()
        for record in caplog.records
        if record.name == "flask_mqtt" and record.levelname == "WARNING"
    ]


def test_the_messages_and_requests_of_a_client_are_refused_with_one_warning(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Client()) as client:
        client.connect("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(client.is_connected)

        def child() -> None:
            with warnings_counted(caplog) as warnings:
                for qos in (0, 1, 2):
                    info = client.publish("t", "x", qos)
                    assert info == (MQTT_ERR_NO_CONN, 0)
                    with pytest.raises(RuntimeError, match="MQTT_ERR_NO_CONN"):
                        info.wait_for_publish()
                    with pytest.raises(RuntimeError, match="MQTT_ERR_NO_CONN"):
                        asyncio.run(waiting(info))
                assert client.subscribe("child/#") == (MQTT_ERR_NO_CONN, None)
                assert client.unsubscribe("child/#") == (MQTT_ERR_NO_CONN, None)
                assert not client.is_connected()
            [warning] = warnings
            assert "parent process" in warning
            assert "reconnect()" in warning
            assert [vars(record).get("mqtt_event") for record in caplog.records][:1] == ["forked"]

        in_child(child)
        assert client.is_connected()
        assert client.publish("parent", "x", 1)[0] == 0
        scripted.wait_for("PUBLISH")
    assert [packet.topic for packet in scripted.of("PUBLISH")] == ["parent"]


def test_a_message_of_the_parent_is_not_waited_for() -> None:
    with unconfirmed() as (_, mqtt):
        infos = [mqtt.publish("t", "x", qos) for qos in (0, 1)]
        # What becomes of it is looked up when somebody asks.
        assert not infos[1].is_published()

        def child() -> None:
            for info in infos:
                assert info.rc == 0
                assert isinstance(info, MQTTMessageInfo)
                with pytest.raises(RuntimeError, match=r"parent process's|no client"):
                    info.wait_for_publish()
            with pytest.raises(RuntimeError, match="parent process's"):
                infos[1].is_published()

        in_child(child)


@pytest.mark.parametrize("way", ["init_app", "reconnect"])
def test_a_child_connects_itself(broker: Mosquitto, way: str) -> None:
    code = f"""
        app.config["MQTT_CLIENT_ID"] = ""
        mqtt = Mqtt(app)
        got = []
        mqtt.on_message()(lambda client, userdata, message: got.append(message.payload))
        until(lambda: mqtt.connected)
        mqtt.subscribe("forked/{way}/#", 1)
        mqtt.publish("forked/{way}", "before", 1).wait_for_publish(20)
        until(lambda: got == [b"before"])
        child = os.fork()
        if child == 0:
            got.clear()
            if {way!r} == "init_app":
                mqtt.init_app(app)
            else:
                mqtt.client.reconnect()
                mqtt.client.loop_start()
            until(lambda: mqtt.connected)
            # It has the subscriptions of its parent, and a thread that calls the handlers.
            mqtt.publish("forked/{way}", "child", 1).wait_for_publish(20)
            until(lambda: got == [b"child"])
            say("child", type(mqtt.client._parts.holder.core).__name__)
            sys.exit(0)
        status = os.waitpid(child, 0)[1]
        until(lambda: got == [b"before", b"child"])
        mqtt.publish("forked/{way}", "after", 1).wait_for_publish(20)
        until(lambda: got == [b"before", b"child", b"after"])
        say("parent", status, mqtt.connected)
    """
    with running(code, broker.port) as script:
        script.expect("child Client")
        script.expect("parent 0 True")
        assert script.finish() == 0, script.errors


def test_a_client_without_a_connection_is_as_it_was(scripted: ScriptedBroker) -> None:
    code = """
        client = flask_mqtt.Client()
        if os.fork() == 0:
            # The message waits for the first connection.
            assert client.publish("t", "x", 1)[0] == 4
            client.connect("127.0.0.1", int(sys.argv[1]))
            client.loop_start()
            until(client.is_connected)
            client.publish("t", "y", 1).wait_for_publish(20)
            client.disconnect()
            os._exit(0)
        say(os.wait()[1])
    """
    with running(code, scripted.port) as script:
        script.expect("0")
        assert script.finish() == 0, script.errors
    assert [packet.payload for packet in scripted.of("PUBLISH")] == [b"x", b"y"]


def test_the_fork_of_a_fork_and_of_a_handler(scripted: ScriptedBroker) -> None:
    code = """
        mqtt = Mqtt(app)
        until(lambda: mqtt.connected)

        @mqtt.on_message()
        def handler(client, userdata, message):
            child = os.fork()
            if child == 0:
                mqtt.publish("t", "child", 1).wait_for_publish(20)
                if os.fork() == 0:
                    mqtt.publish("t", "grandchild", 1).wait_for_publish(20)
                    os._exit(0)
                os._exit(os.wait()[1] >> 8)
            say(os.waitpid(child, 0)[1] >> 8)

        say("ready")
        sys.stdin.readline()
    """
    with running(code, scripted.port) as script:
        script.expect("ready")
        scripted.publish("t", b"x", qos=1)
        script.expect("0")
        scripted.wait_for("PUBACK")
        script.go()
        assert script.finish() == 0, script.errors
    published = [(packet.connection, packet.payload) for packet in scripted.of("PUBLISH")]
    assert [payload for _, payload in published] == [b"child", b"grandchild"]
    assert len({1, *(connection for connection, _ in published)}) == 3


def test_a_child_may_begin_anew(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)) as mqtt:

        def child() -> None:
            mqtt.client.reinitialise("child")
            mqtt.client.connect("127.0.0.1", scripted.port)
            mqtt.client.loop_start()
            wait_until(mqtt.client.is_connected)
            mqtt.client.publish("t", "x", 1).wait_for_publish(20)

        in_child(child)
        assert mqtt.connected


def test_a_child_may_handle_messages_in_its_own_thread_where_its_parent_has_several(
    broker: Mosquitto,
) -> None:
    with connected(make_app(broker.port, handler_threads=2)) as mqtt:
        got: list[bytes] = []
        mqtt.on_message()(lambda _client, _userdata, message: got.append(message.payload))

        def child() -> None:
            mqtt.client.reconnect()
            while not mqtt.connected:
                mqtt.client.loop(0.1)
            mqtt.subscribe("own/thread")
            mqtt.publish("own/thread", "x")
            while not got:
                mqtt.client.loop(0.1)

        in_child(child)
        assert got == []


def test_children_of_a_process_that_publishes_hard_do_not_hang(broker: Mosquitto) -> None:
    code = """
        import faulthandler, logging
        logging.getLogger("flask_mqtt").setLevel(logging.CRITICAL)
        mqtt = Mqtt(app)
        mqtt.on_message()(lambda client, userdata, message: None)
        until(lambda: mqtt.connected)
        mqtt.subscribe("hard/#")
        on = True

        def publish(qos):
            while on:
                infos.append(mqtt.publish("hard/t", b"x" * 200, qos))
                del infos[:-5]

        infos = []
        threads = [threading.Thread(target=publish, args=[qos]) for qos in (0, 1)]
        for thread in threads:
            thread.start()
        until(lambda: infos)
        statuses = set()
        for number in range(200):
            child = os.fork()
            if child == 0:
                on = False
                faulthandler.dump_traceback_later(8, exit=True)
                if number % 4 == 1:
                    mqtt.publish("hard/t", "child", number % 3).wait_for_publish(20)
                elif number % 4 == 3:
                    assert mqtt.subscribe("other/#")[0] in (0, 4)
                    assert mqtt.client.unsubscribe("other/#")[0] in (0, 4)
                else:
                    assert not mqtt.client.is_connected()
                for info in infos:
                    info.rc, repr(info)
                if number % 20 == 0:
                    mqtt.init_app(app)
                    mqtt.publish("hard/child", "x", 1).wait_for_publish(20)
                    mqtt.close()
                os._exit(0)
            statuses.add(os.waitpid(child, 0)[1])
        on = False
        say(statuses)
        os._exit(0)
    """
    with running(textwrap.dedent(code), broker.port) as script:
        script.expect("{0}")


def test_a_child_that_another_thread_forks_while_a_client_is_made_anew(broker: Mosquitto) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        assert client.publish("t", "child", 1)[0] == MQTT_ERR_NO_CONN
        client.connect(broker.host, broker.port)
        client.loop_start()
        client.publish("t", "child", 1).wait_for_publish(PATIENCE)

    def fork() -> None:
        try:
            in_child(work)
        except BaseException as error:
            failures.append(error)

    class Watched(Client):
        forks = False

        @property
        def on_publish(self) -> Any:  # type: ignore[override]
            if self.forks:
                self.forks = False
                thread = threading.Thread(target=fork)
                thread.start()
                thread.join()
            return None

    client = Watched()
    with closing(client):
        client.connect(broker.host, broker.port)
        client.loop_start()
        client.forks = True
        client.reinitialise()
        assert not client.forks
    assert failures == []
