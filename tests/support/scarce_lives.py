"""The lives of a client that `scarce` has it live while calls fail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask

from flask_mqtt import MQTT_ERR_INVAL, MQTT_ERR_NO_CONN, MQTT_ERR_SUCCESS, Client, Mqtt
from flask_mqtt.process.ends import DISCONNECT_TIMEOUT, _close_clients

from .peer import HOST
from .scarce_scene import LONGEST, PATIENCE, SAID, Scene
from .wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


def begin(scene: Scene) -> Client:
    """Make a client with the settings of the plan."""
    client = Client(client_id=scene.name, clean_session=False)
    client.configure(reconnect_delay_min=0.02, reconnect_delay_max=0.05, max_queued=0)
    client.configure(**scene.plan.settings)
    scene.equip(client)
    return client


def host(scene: Scene) -> str:
    """Return where to connect."""
    url: str = scene.plan.settings.get("broker_url", HOST)
    return url


def ordinary(scene: Scene) -> None:
    """Connect, subscribe, publish, lose the connection, get another one, and part."""
    client = begin(scene)
    client.on_socket_open = lambda _client, _userdata, sock: sock.fileno()
    client.on_socket_close = lambda _client, _userdata, sock: sock.fileno()
    scene.insist("connect", lambda: client.connect(*address(scene)))
    scene.check_loop(client, scene.insist("loop_start", client.loop_start))
    go_through(scene, client)
    part(scene, client)


def offline(scene: Scene) -> None:
    """Publish before there is a connection, which the loop makes."""
    client = begin(scene)
    client.connect_async(*address(scene))
    scene.publish_all(client, "before")
    scene.check_loop(client, scene.insist("loop_start", client.loop_start))
    go_through(scene, client)
    part(scene, client)


def replaced(scene: Scene) -> None:
    """Make the connection again and again, with a loop and without."""
    client = begin(scene)
    scene.insist("connect", lambda: client.connect(*address(scene)))
    again(scene, client, client.reconnect)
    scene.check_loop(client, scene.insist("loop_start", client.loop_start))
    scene.hope(client.is_connected)
    again(scene, client, client.reconnect)
    scene.publish_all(client, "replaced")
    again(scene, client, lambda: client.connect(*address(scene)))
    scene.attempt("loop_stop", client.loop_stop)
    again(scene, client, client.reconnect)
    scene.check_loop(client, scene.insist("loop_start", client.loop_start))
    go_through(scene, client)
    part(scene, client)


def again(scene: Scene, client: Client, connect: Callable[[], Any]) -> None:
    """Connect in the place of a connection, which goes on where that cannot even begin."""
    scene.hope(client.is_connected)
    was_connected, before = client.is_connected(), client.stats()["connections"]

    def attempt() -> Any:
        try:
            return connect()
        except OSError as error:
            if was_connected and "cannot begin" in str(error):
                scene.goes_on(client, before)
            raise

    scene.insist("connect again", attempt)


def filed(scene: Scene) -> None:
    """Keep messages in a file, which is closed and opened again."""
    file = Path(scene.plan.directory, f"{scene.name}.db")
    scene.plan.settings["persistence"] = str(file)
    client = begin(scene)
    client.configure(publish_timeout=1)
    scene.insist("connect", lambda: client.connect(*address(scene)))
    scene.check_loop(client, scene.insist("loop_start", client.loop_start))
    go_through(scene, client)
    client.disconnect()
    scene.publish(client, "kept", 1)
    scene.attempt("close", client.close)
    scene.publish(client, "in memory", 2)
    scene.insist("connect again", lambda: client.connect(*address(scene)))
    scene.hope(client.is_connected)
    part(scene, client)


def application(scene: Scene) -> None:
    """An extension, in an event loop and with `init_app` of another application."""
    mqtt = Mqtt()

    def app() -> Flask:
        made = Flask("scarce")
        where, port = address(scene)
        settings = {
            "broker_url": where,
            "broker_port": port,
            "client_id": scene.name,
            "clean_session": False,
            "reconnect_delay_min": 0.02,
            "reconnect_delay_max": 0.05,
            **scene.plan.settings,
        }
        made.config.update({f"MQTT_{key.upper()}": value for key, value in settings.items()})
        return made

    scene.insist("init_app", lambda: mqtt.init_app(app()))
    client = mqtt.client
    scene.equip(client)
    scene.hope(lambda: mqtt.connected)

    async def awaiting() -> None:
        infos = [scene.publish(client, f"awaited {number}", 1) for number in range(3)]
        waits = [info for info in infos if info is not None and info[1]]
        with contextlib.suppress(*SAID, asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(*waits), scene.patience)

    scene.attempt("await", lambda: asyncio.run(awaiting()))
    scene.insist("init_app again", lambda: mqtt.init_app(app()))
    scene.equip(mqtt.client)
    scene.hope(lambda: mqtt.connected)
    go_through(scene, mqtt.client)
    part(scene, mqtt.client)
    # It has threads beside the client's, and a slot.
    mqtt.close()


def forking(scene: Scene) -> None:
    """Fork while there is a connection; the child makes one of its own."""
    client = begin(scene)
    scene.insist("connect", lambda: client.connect(*address(scene)))
    scene.check_loop(client, scene.insist("loop_start", client.loop_start))
    scene.hope(client.is_connected)
    scene.publish_all(client, "forked")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = forked(scene, client)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        scene.fail(f"the child ended with {status}")
    go_through(scene, client)
    part(scene, client)


def forked(scene: Scene, client: Client) -> int:
    """Live the life of a forked child."""
    signal.alarm(int(LONGEST))
    assert not client.is_connected()
    assert client.publish(scene.topic, "the child's", 1)[0] == MQTT_ERR_NO_CONN
    scene.insist("the child's loop_start", client.loop_start)
    client.configure(client_id=f"{scene.name}-child")
    scene.insist("the child's connect", lambda: client.connect(*address(scene)))
    scene.over()
    rc = client.loop_start()
    assert rc in (MQTT_ERR_SUCCESS, MQTT_ERR_INVAL), rc
    if not client._parts.holder.core.is_wanted():
        client.connect(*address(scene))
    wait_until(client.is_connected, PATIENCE)
    client.publish(scene.topic, "the child's own", 1).wait_for_publish(PATIENCE)
    client.close()
    return len(scene.failures)


def leaving(scene: Scene) -> None:
    """Have several clients, and end the process with what they have on their way."""
    clients = []
    for number in range(3):
        client = begin(scene)
        client.reinitialise(f"{scene.name}-{number}")
        client.configure(reconnect_delay_min=0.02, reconnect_delay_max=0.05, **scene.plan.settings)
        scene.insist("connect", lambda client=client: client.connect(*address(scene)))  # type: ignore[misc]
        scene.insist("loop_start", client.loop_start)
        clients.append(client)
    for client in clients:
        scene.hope(client.is_connected)
    infos = [
        [scene.publish(client, f"{number} {count}", 1) for count in range(20)]
        for number, client in enumerate(clients)
    ]
    begun = time.monotonic()
    scene.attempt("the end of the process", _close_clients)
    if time.monotonic() > begun + DISCONNECT_TIMEOUT:
        scene.fail(f"the end took {time.monotonic() - begun:.1f} s")
    scene.over()
    if any(client.is_connected() for client in clients):
        scene.fail("a client is connected after the end")
    if scene.plan.lasting:
        return
    came = [all(info is not None and info.is_published() for info in sent) for sent in infos]
    if sum(came) < len(clients) - 1:
        scene.fail(f"all messages were acknowledged, by client: {came}")


LIVES = {
    life.__name__: life
    for life in (ordinary, offline, replaced, filed, application, forking, leaving)
}


def address(scene: Scene) -> tuple[str, int]:
    """Return host and port."""
    return (host(scene), scene.plan.settings.get("broker_port", scene.plan.port))


def go_through(scene: Scene, client: Client) -> None:
    """Subscribe, publish, receive, lose the connection, and get another."""
    scene.hope(client.is_connected)
    scene.insist("subscribe", lambda: client.subscribe(scene.topic, 1))
    scene.publish_all(client, "first")
    scene.hope(lambda: any(payload.startswith(b"first") for payload in scene.got))
    if client.is_connected():
        scene.lose()
        scene.hope(lambda: not client.is_connected())
    scene.publish_all(client, "lost")
    scene.hope(client.is_connected)
    scene.publish_all(client, "second")
    scene.check_threads()
    if scene.plan.lasting or scene.is_hurt:
        scene.over()
        scene.heal(client, "after it")


def part(scene: Scene, client: Client) -> None:
    """End the connection, and see that there can be another."""
    scene.attempt("disconnect", client.disconnect)
    scene.attempt("loop_stop", client.loop_stop)
    scene.attempt("close", client.close)
    if client.is_connected():
        scene.fail("it is connected after close()")
    scene.over()
    client.reconnect()
    scene.heal(client, "in the end")
    scene.settle(client)
    client.close()
