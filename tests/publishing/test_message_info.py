"""What `publish` returns: a tuple, and what became of the message since."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import os
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import (
    MQTT_ERR_ACL_DENIED,
    MQTT_ERR_CONN_LOST,
    MQTT_ERR_NO_CONN,
    MQTT_ERR_SUCCESS,
    Client,
    Mqtt,
    MQTTErrorCode,
    MQTTMessageInfo,
    MQTTv5,
)
from support.apps import make_app
from support.packets import MQTT5
from support.ports import closed_port
from support.running import connected, unconfirmed
from support.script import running
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.mosquitto import Mosquitto
    from support.packets import Packet

IN_A_HANDLER = "a handler must not wait for a message of its own client"


@pytest.mark.smoke
def test_it_is_the_tuple_that_it_always_was(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        info = mqtt.publish("t", "x")
        rc, mid = info
        assert isinstance(info, tuple)
        assert (rc, mid) == (0, 1) == info
        assert info == (0, 1)
        assert info != (0, 2)
        assert hash(info) == hash((0, 1))
        assert (type(info[0]), len(info)) == (MQTTErrorCode, 2)
        # Not %s: what that makes of an IntEnum depends on the version of Python.
        assert "rc %d, mid %d" % info == "rc 0, mid 1"  # noqa: UP031 - of all forms this one
        assert f"{info}" == "(<MQTTErrorCode.MQTT_ERR_SUCCESS: 0>, 1)"
        assert json.dumps(info) == "[0, 1]"
        for twin in (pickle.loads(pickle.dumps(info)), copy.copy(info), copy.deepcopy(info)):
            assert (type(twin), twin) == (tuple, (0, 1))
            assert type(twin[0]) is MQTTErrorCode


def test_every_return_code_has_a_name(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, max_queued=1, max_inflight=1)
    scripted.withhold = {"PUBACK"}
    with connected(app) as mqtt:
        client = mqtt.client
        codes = [
            mqtt.publish("t", "x")[0],
            client.publish("t", "x")[0],
            client.publish("t", "x").rc,
            *[mqtt.publish("t", "x", 1)[0] for _ in range(3)],
            mqtt.subscribe("a")[0],
            client.subscribe("b")[0],
            *(mqtt.unsubscribe("a") or ())[:1],
            client.unsubscribe("b")[0],
            client.ack(7, 1),
            client.loop(0),
            client.loop_start(),
            client.loop_stop(),
            client.disconnect(),
            client.disconnect(),
            client.publish("t", "x")[0],
            client.publish("t", "x", 1)[0],
            client.subscribe("b")[0],
            client.unsubscribe("b")[0],
            client.reconnect(),
        ]
        client.manual_ack_set(True)
        codes += [client.ack(7, 1), client.ack(70_000, 1)]
    assert {type(code) for code in codes} == {MQTTErrorCode}
    assert {code.name for code in codes} == {
        "MQTT_ERR_SUCCESS",
        "MQTT_ERR_QUEUE_SIZE",
        "MQTT_ERR_INVAL",
        "MQTT_ERR_NO_CONN",
        "MQTT_ERR_NOT_FOUND",
    }


def test_it_has_the_attributes_of_pahos(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        for info in (mqtt.publish("t"), mqtt.client.publish("t")):
            assert isinstance(info, MQTTMessageInfo)
            assert type(info.rc) is MQTTErrorCode
            assert (info.rc, info.mid) == info
        assert repr(info) == "<MQTTMessageInfo rc=MQTT_ERR_SUCCESS mid=2>"


@pytest.mark.smoke
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_wait_for_publish_returns_when_the_message_is_written_or_confirmed(
    broker: Mosquitto, qos: int
) -> None:
    with connected(make_app(broker.port)) as mqtt:
        info = mqtt.publish("info/t", "x", qos)
        info.wait_for_publish()
        assert info.is_published()
        info.wait_for_publish()
        assert info.rc == MQTT_ERR_SUCCESS


@pytest.mark.parametrize(("qos", "missing"), [(1, "PUBACK"), (2, "PUBREC"), (2, "PUBCOMP")])
def test_it_is_not_published_before_the_last_answer_of_the_broker(qos: int, missing: str) -> None:
    with (
        ScriptedBroker(withhold={missing}) as broker,
        connected(make_app(broker.port)) as mqtt,
    ):
        info = mqtt.publish("t", "x", qos)
        broker.wait_for("PUBREL" if missing == "PUBCOMP" else "PUBLISH")
        for timeout in (0.05, 0, -1):
            info.wait_for_publish(timeout)
            assert not info.is_published()
        broker.withhold = set()
        broker.ack(missing, info.mid)
        info.wait_for_publish(20)
        assert info.is_published()


def test_several_threads_wait_for_the_same_message() -> None:
    with unconfirmed() as (broker, mqtt):
        info = mqtt.publish("t", "x", 1)
        threads = [threading.Thread(target=info.wait_for_publish, args=(10,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        broker.wait_for("PUBLISH")
        broker.ack("PUBACK", info.mid)
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        assert info.is_published()


def test_without_a_connection_qos_0_is_not_published() -> None:
    info = Client().publish("t", "x")
    assert info == (MQTT_ERR_NO_CONN, 1)
    for ask in (info.is_published, info.wait_for_publish):
        with pytest.raises(RuntimeError, match="message 1 is not published: MQTT_ERR_NO_CONN"):
            ask()


def test_a_message_that_waits_for_a_connection_is_published_after_it(
    scripted: ScriptedBroker,
) -> None:
    client = Client()
    info = client.publish("t", "x", 1)
    assert info.rc == MQTT_ERR_NO_CONN
    for ask in (info.is_published, info.wait_for_publish):
        with pytest.raises(RuntimeError, match="MQTT_ERR_NO_CONN"):
            ask()
    client.connect("127.0.0.1", scripted.port)
    wait_until(lambda: info.rc == MQTT_ERR_SUCCESS)
    info.wait_for_publish(20)
    assert info.is_published()
    assert info == (MQTT_ERR_NO_CONN, 1)
    client.close()


@pytest.mark.parametrize(("rc", "error"), [(15, ValueError), (9, RuntimeError), (10, RuntimeError)])
def test_what_was_not_accepted_is_an_error(rc: int, error: type[Exception]) -> None:
    info = MQTTMessageInfo((MQTTErrorCode(rc), 0))
    for ask in (info.is_published, info.wait_for_publish):
        with pytest.raises(error, match=MQTTErrorCode(rc).name):
            ask()
    with pytest.raises(error, match=MQTTErrorCode(rc).name):
        asyncio.run(awaiting(info))


def test_what_no_client_has_published_is_not_waited_for() -> None:
    info = MQTTMessageInfo((MQTT_ERR_SUCCESS, 7))
    assert not info.is_published()
    with pytest.raises(RuntimeError, match="message 7 has no client, or none any more"):
        info.wait_for_publish()


async def awaiting(info: MQTTMessageInfo) -> None:
    await info


def test_a_qos_0_message_that_was_not_written_is_lost_with_the_connection() -> None:
    with (
        ScriptedBroker() as broker,
        connected(make_app(broker.port)) as mqtt,
    ):
        broker.pause()
        infos = [mqtt.publish("t", b"x" * 4_000_000) for _ in range(4)]
        assert not infos[-1].rc
        assert not infos[-1].is_published()
        broker.drop(reset=True)
        broker.resume()
        with pytest.raises(RuntimeError, match="MQTT_ERR_CONN_LOST"):
            infos[-1].wait_for_publish(20)
        assert infos[-1].rc == MQTT_ERR_CONN_LOST


def test_a_refusal_of_the_broker_is_an_error_with_its_reason() -> None:
    def refuse(broker: ScriptedBroker, packet: Packet) -> bool:
        if packet.kind == "PUBLISH":
            broker.send(bytes([0x40, 3, 0, packet.mid, 0x87]))
        return packet.kind == "PUBLISH"

    with (
        ScriptedBroker(version=MQTT5, hook=refuse) as broker,
        connected(make_app(broker.port, protocol_version=MQTTv5)) as mqtt,
    ):
        info = mqtt.publish("t", "x", 1)
        refusal = r"the broker refused message 1: Not authorized \(code 135\)"
        with pytest.raises(RuntimeError, match=refusal):
            info.wait_for_publish(20)
        with pytest.raises(RuntimeError, match=refusal):
            info.is_published()
        assert info.rc == MQTT_ERR_ACL_DENIED


def test_a_connection_that_is_made_again_does_not_end_the_wait() -> None:
    with unconfirmed() as (broker, mqtt):
        info = mqtt.publish("t", "x", 1)
        waiting = threading.Thread(target=info.wait_for_publish)
        waiting.start()
        broker.wait_for("PUBLISH")
        broker.withhold = set()
        broker.drop()
        waiting.join(10)
        assert not waiting.is_alive()
        assert info.is_published()
        assert [packet.connection for packet in broker.of("PUBLISH")] == [1, 2]


@pytest.mark.parametrize("end", [Mqtt.close, lambda mqtt: mqtt.client.disconnect()])
def test_the_end_of_the_connection_ends_the_wait_and_the_message_is_kept(
    end: Callable[[Mqtt], object],
) -> None:
    with ScriptedBroker(withhold={"PUBACK"}) as broker:
        app = make_app(broker.port)
        with connected(app) as mqtt:
            info = mqtt.publish("t", "x", 1)
            failures: list[str] = []

            def wait() -> None:
                try:
                    info.wait_for_publish()
                except RuntimeError as error:
                    failures.append(str(error))

            waiting = threading.Thread(target=wait)
            waiting.start()
            broker.wait_for("PUBLISH")
            end(mqtt)
            waiting.join(20)
            assert len(failures) == 1
            assert failures[0].startswith(
                "message 1 is not acknowledged, and the connection was ended"
            )
            broker.withhold = set()
            mqtt.client.reconnect()
            info.wait_for_publish(20)
            assert info.is_published()


def test_connecting_anew_does_not_end_the_wait() -> None:
    with unconfirmed() as (broker, mqtt):
        info = mqtt.publish("t", "x", 1)
        waiting = threading.Thread(target=info.wait_for_publish)
        waiting.start()
        broker.wait_for("PUBLISH")
        broker.withhold = set()
        mqtt.client.reconnect()
        waiting.join(20)
        assert not waiting.is_alive()
        assert info.is_published()


def test_where_no_connection_comes_about_the_wait_ends() -> None:
    client = Client()
    info = client.publish("t", "x", 1)

    async def wait() -> None:
        waiting = asyncio.ensure_future(awaiting(info))
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(client.connect, "127.0.0.1", closed_port())
        with pytest.raises(RuntimeError, match="message 1 is not acknowledged"):
            await waiting

    asyncio.run(wait())


@pytest.mark.slow
def test_a_client_that_is_gone_takes_the_wait_with_it() -> None:
    client = Client()
    info = client.publish("t", "x", 1)
    del client
    gc.collect()
    with pytest.raises(RuntimeError, match="MQTT_ERR_CONN_LOST"):
        info.wait_for_publish()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_handler_does_not_wait_for_its_own_client(
    scripted: ScriptedBroker, asynchronous: bool
) -> None:
    failures: list[str] = []

    def wait_in_handler(*_: Any) -> None:
        try:
            mqtt.publish("t", "x", 1).wait_for_publish()
        except RuntimeError as error:
            failures.append(str(error))

    async def wait_in_async_handler(*_: Any) -> None:
        wait_in_handler()

    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_message()(wait_in_async_handler if asynchronous else wait_in_handler)
        scripted.publish("u", b"x")
        wait_until(lambda: failures)
        assert failures[0].startswith(IN_A_HANDLER)
        # Here is no handler.
        mqtt.publish("t", "x", 1).wait_for_publish(20)


def test_a_handler_that_had_another_client_call_one_is_still_a_handler(
    scripted: ScriptedBroker,
) -> None:
    ended: list[int] = []
    failures: list[str] = []
    with ScriptedBroker() as second, connected(make_app(scripted.port)) as mqtt:
        other = Client()
        other.on_disconnect = lambda _client, _userdata, rc: ended.append(rc)
        other.connect("127.0.0.1", second.port)

        def handle(*_: Any) -> None:
            other.disconnect()
            try:
                mqtt.publish("t", "x", 1).wait_for_publish(1)
            except RuntimeError as error:
                failures.append(str(error))
            else:
                failures.append("it waited")

        mqtt.on_message()(handle)
        scripted.publish("u", b"x")
        wait_until(lambda: failures)
    assert ended == [0]
    assert failures[0].startswith(IN_A_HANDLER)


def test_a_handler_may_wait_for_another_client(scripted: ScriptedBroker) -> None:
    published: list[bool] = []
    with ScriptedBroker() as second, connected(make_app(second.port)) as other:

        def handle(*_: Any) -> None:
            info = other.publish("t", "x", 1)
            info.wait_for_publish(20)
            published.append(info.is_published())

        with connected(make_app(scripted.port)) as mqtt:
            mqtt.on_message()(handle)
            scripted.publish("u", b"x")
            wait_until(lambda: published)
    assert published == [True]


@pytest.mark.slow
@pytest.mark.parametrize(
    "patch",
    ["from gevent import monkey; monkey.patch_all()", "import eventlet; eventlet.monkey_patch()"],
)
@pytest.mark.filterwarnings("ignore")
def test_green_threads_wait_as_such(patch: str) -> None:
    code = f"""
        {patch}
        with Mqtt(app) as mqtt:
            until(lambda: mqtt.connected)
            info = mqtt.publish("t", "x", 1)
            waiting = threading.Thread(target=info.wait_for_publish)
            waiting.start()
            say("another one runs")
            waiting.join(10)
            say(info.is_published())
    """
    with ScriptedBroker(withhold={"PUBACK"}) as broker, running(code, broker.port) as script:
        script.expect("another one runs")
        broker.wait_for("PUBLISH")
        broker.ack("PUBACK", 1)
        script.expect("True")
        assert script.finish() == 0


def test_a_wait_that_timed_out_leaves_nothing_behind() -> None:
    with unconfirmed() as (_, mqtt):
        info = mqtt.publish("t", "x", 1)
        info.wait_for_publish(0.001)
        before = open_descriptors()
        for _ in range(100):
            info.wait_for_publish(0.001)
        assert open_descriptors() == before


def open_descriptors() -> int:
    """Return how many descriptors this process has, by the number of the next one."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


@pytest.mark.slow
def test_an_info_of_qos_0_does_not_keep_its_client_alive(scripted: ScriptedBroker) -> None:
    client = Client()
    client.connect("127.0.0.1", scripted.port)
    wait_until(client.is_connected)
    info = client.publish("t", "x")
    del client
    gc.collect()
    scripted.wait_for("DISCONNECT")
    with pytest.raises(RuntimeError, match="message 1 has no client, or none any more"):
        info.wait_for_publish()


def test_one_of_qos_0_is_looked_for_late(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        infos = [mqtt.publish("t", str(number)) for number in range(1000)]
        for info in reversed(infos):
            info.wait_for_publish(20)
        assert all(info.is_published() for info in infos)
