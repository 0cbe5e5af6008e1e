"""`await mqtt.publish(...)`: in any event loop, without a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN, Client, MQTTMessageInfo
from support.apps import make_app
from support.peer import Peer
from support.ports import free_port
from support.running import connected, unconfirmed
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from flask_mqtt import Mqtt
    from support.mosquitto import Mosquitto

#: Seconds after which a test gives up.
PATIENCE = 10


async def waiting(info: MQTTMessageInfo) -> MQTTMessageInfo:
    return await info


async def begin(info: MQTTMessageInfo) -> asyncio.Task[MQTTMessageInfo]:
    """Begin to wait, and return when that is so."""
    task = asyncio.ensure_future(waiting(info))
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def sent(broker: ScriptedBroker, count: int = 1) -> None:
    await asyncio.to_thread(broker.wait_for, "PUBLISH", count)


@pytest.mark.smoke
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_it_goes_on_when_the_message_is_written_or_confirmed(broker: Mosquitto, qos: int) -> None:
    async def publish() -> None:
        info = mqtt.publish("await/t", "x", qos)
        assert await asyncio.wait_for(info, PATIENCE) is info
        assert info.is_published()
        assert await info is info

    with connected(make_app(broker.port)) as mqtt:
        asyncio.run(publish())


@pytest.mark.smoke
def test_an_async_view_publishes_by_way_of_the_broker(broker: Mosquitto) -> None:
    app = make_app(broker.port)

    @app.post("/<payload>")
    async def publish(payload: str) -> dict[str, bool]:
        info = await mqtt.publish("await/view", payload, qos=1)
        return {"published": info.is_published()}

    with connected(app) as mqtt, Peer(broker.port, "await/view") as peer:
        for number in range(20):
            response = app.test_client().post(f"/{number}")
            assert response.json == {"published": True}
            assert peer.receive().payload == str(number).encode()


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts in Linux's /proc")
def test_a_thousand_at_a_time_cost_no_thread_and_one_pair_of_descriptors() -> None:
    async def publish(broker: ScriptedBroker, mqtt: Mqtt) -> None:
        gc.collect()
        before = threads(), descriptors()
        tasks = [await begin(mqtt.publish("t", str(number), 1)) for number in range(1_000)]
        assert (threads(), descriptors()) == (before[0], before[1] + 2)
        await sent(broker)
        broker.withhold = set()
        for packet in broker.of("PUBLISH"):
            broker.ack("PUBACK", packet.mid)
        infos = await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        assert all(info.is_published() for info in infos)
        del tasks
        gc.collect()
        assert descriptors() == before[1]

    async def with_threads(broker: ScriptedBroker, mqtt: Mqtt) -> None:
        # The loop's own thread for `to_thread` is there before anything is counted.
        await asyncio.to_thread(threads)
        await publish(broker, mqtt)

    with unconfirmed() as (broker, mqtt):
        asyncio.run(with_threads(broker, mqtt))


def test_several_wait_for_one_message_in_two_loops() -> None:
    with unconfirmed() as (broker, mqtt):
        info = mqtt.publish("t", "x", 1)
        barrier = threading.Barrier(3)
        published: list[bool] = []

        async def publish() -> None:
            tasks = [await begin(info), await begin(info)]
            barrier.wait(PATIENCE)
            published.extend([result.is_published() for result in await asyncio.gather(*tasks)])

        loops = [threading.Thread(target=lambda: asyncio.run(publish())) for _ in range(2)]
        for loop in loops:
            loop.start()
        barrier.wait(PATIENCE)
        broker.wait_for("PUBLISH")
        broker.ack("PUBACK", info.mid)
        for loop in loops:
            loop.join(PATIENCE)
        assert published == [True] * 4


def test_a_wait_that_was_cancelled_can_be_begun_again() -> None:
    async def publish(broker: ScriptedBroker, mqtt: Mqtt) -> None:
        info = mqtt.publish("t", "x", 1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(info, 0.05)
        other = await begin(info)
        cancelled = await begin(info)
        cancelled.cancel()
        again = await begin(info)
        await sent(broker)
        broker.ack("PUBACK", info.mid)
        assert await asyncio.wait_for(asyncio.gather(other, again), PATIENCE)
        assert cancelled.cancelled()

    with unconfirmed() as (broker, mqtt):
        asyncio.run(publish(broker, mqtt))


def test_messages_of_two_clients_with_the_same_identifier_are_two_to_wait_for() -> None:
    async def publish() -> None:
        infos = first.publish("t", "x", 1), second.publish("t", "x", 1)
        assert infos[0].mid == infos[1].mid
        assert infos[0] != infos[1]
        both = asyncio.gather(*infos)
        await sent(broker)
        broker.ack("PUBACK", infos[0].mid)
        await asyncio.wait_for(waiting(infos[0]), PATIENCE)
        await asyncio.sleep(0)
        assert not both.done()
        await sent(other)
        other.ack("PUBACK", infos[1].mid)
        assert tuple(await asyncio.wait_for(both, PATIENCE)) == infos

    with unconfirmed() as (broker, first), unconfirmed() as (other, second):
        asyncio.run(publish())


def test_it_waits_for_a_connection_and_for_the_next_one() -> None:
    async def publish(broker: ScriptedBroker) -> None:
        client = Client()
        info = client.publish("t", "x", 1)
        assert info == (MQTT_ERR_NO_CONN, 1)
        task = await begin(info)
        client.connect("127.0.0.1", broker.port)
        await sent(broker)
        assert not task.done()
        broker.withhold = set()
        broker.drop()
        assert (await asyncio.wait_for(task, PATIENCE)).is_published()
        client.close()

    with ScriptedBroker(withhold={"PUBACK"}) as broker:
        asyncio.run(publish(broker))
        assert [packet.connection for packet in broker.of("PUBLISH")] == [1, 2]


def test_without_a_connection_qos_0_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="message 1 is not published: MQTT_ERR_NO_CONN"):
        asyncio.run(waiting(Client().publish("t", "x")))


def test_close_ends_the_wait_with_an_error() -> None:
    async def publish(broker: ScriptedBroker, mqtt: Mqtt) -> None:
        task = await begin(mqtt.publish("t", "x", 1))
        await sent(broker)
        await asyncio.to_thread(mqtt.close)
        with pytest.raises(RuntimeError, match="the connection was ended"):
            await asyncio.wait_for(task, PATIENCE)

    with unconfirmed() as (broker, mqtt):
        asyncio.run(publish(broker, mqtt))


def test_a_loop_that_was_closed_in_between_does_no_harm() -> None:
    with unconfirmed() as (broker, mqtt):
        info = mqtt.publish("t", "x", 1)
        loop = asyncio.new_event_loop()
        task = loop.create_task(waiting(info))
        loop.run_until_complete(asyncio.sleep(0))
        # It complains of the task when it goes, long after this test.
        loop.set_exception_handler(lambda *_: None)
        loop.close()
        broker.wait_for("PUBLISH")
        broker.ack("PUBACK", info.mid)
        assert asyncio.run(waiting(info)).is_published()
        assert not task.done()


@pytest.mark.parametrize("with_flask", [True, False])
def test_an_async_handler_does_not_await_its_own_client(
    scripted: ScriptedBroker, with_flask: bool
) -> None:
    failures: list[str] = []

    async def handle(client: Client, userdata: Any, message: Any) -> None:
        try:
            await client.publish("t", "x", 1)
        except RuntimeError as error:
            failures.append(str(error))

    with contextlib.ExitStack() as stack:
        if with_flask:
            client = stack.enter_context(connected(make_app(scripted.port))).client
        else:
            client = Client()
            stack.callback(client.close)
            client.connect("127.0.0.1", scripted.port)
            client.loop_start()
            stack.callback(client.loop_stop)
            wait_until(client.is_connected)
        client.on_message = handle
        scripted.publish("u", b"x")
        wait_until(lambda: failures)
        assert "use on_publish, or wait in another thread" in failures[0]


def test_a_handler_may_have_another_loop_await(scripted: ScriptedBroker) -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    published: list[MQTTMessageInfo] = []

    def handle(client: Client, userdata: Any, message: Any) -> None:
        info = client.publish("t", "x", 1)
        asyncio.run_coroutine_threadsafe(waiting(info), loop).add_done_callback(
            lambda done: published.append(done.result())
        )

    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_message()(handle)
        scripted.publish("u", b"x")
        wait_until(lambda: published)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)
    loop.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_is_told_that_the_connection_is_its_parents() -> None:
    with unconfirmed() as (_, mqtt):
        asyncio.run(asyncio.sleep(0))
        info = mqtt.publish("t", "x", 1)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                asyncio.run(waiting(info))
            except RuntimeError as error:
                status = 0 if "is the parent process's" in str(error) else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0


VIEWS = """
import os
from flask import Flask
from flask_mqtt import Mqtt

app = Flask(__name__)
app.config["MQTT_BROKER_URL"] = "127.0.0.1"
app.config["MQTT_BROKER_PORT"] = int(os.environ["BROKER_PORT"])
mqtt = Mqtt(app)

@app.route("/<payload>")
async def publish(payload):
    return str((await mqtt.publish("await/gunicorn", payload, qos=1)).is_published())
"""


@pytest.mark.slow
def test_async_views_of_a_threaded_server_publish(broker: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "views.py").write_text(VIEWS)
    port = free_port()

    def get(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def serves() -> bool:
        with contextlib.suppress(OSError):
            return get("first") == "True"
        return False

    command = [
        "-m",
        "gunicorn",
        "--worker-class=gthread",
        "--threads=4",
        f"--bind=127.0.0.1:{port}",
    ]
    with subprocess.Popen(
        [sys.executable, *command, "--log-level=warning", "views:app"],
        cwd=tmp_path,
        env=os.environ | {"BROKER_PORT": str(broker.port)},
    ) as server:
        try:
            wait_until(serves, what="the application serves")
            with Peer(broker.port, "await/gunicorn") as peer:
                answers: list[str] = []
                callers = [
                    threading.Thread(target=lambda number=number: answers.append(get(str(number))))
                    for number in range(20)
                ]
                for caller in callers:
                    caller.start()
                for caller in callers:
                    caller.join(PATIENCE)
                assert answers == ["True"] * 20
                assert {peer.receive().payload for _ in range(20)} == {
                    str(number).encode() for number in range(20)
                }
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(PATIENCE)
