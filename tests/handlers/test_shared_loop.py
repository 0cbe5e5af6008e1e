"""Handlers whose coroutines run in the event loop of a server, as under Quart's `ensure_sync`."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_mqtt import Client, Mqtt, MQTTMessage
from support.apps import make_app
from support.wait import wait_until

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Coroutine, Iterator

    from support.mosquitto import Mosquitto

PATIENCE = 20


class Server:
    """An event loop in a thread of its own, in which everything runs."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def begin(self, view: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        """Run a view in it."""
        return asyncio.run_coroutine_threadsafe(view, self.loop)

    def stop(self) -> None:
        """End it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Served(Flask):
    """An application that runs coroutines in the loop of its server."""

    server: Server

    def async_to_sync(self, func: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
        """Run a coroutine there, and wait for it here."""

        def run(*arguments: Any, **options: Any) -> Any:
            return self.server.begin(func(*arguments, **options)).result(PATIENCE)

        return run


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def app(broker: Mosquitto, server: Server) -> Served:
    app = Served(__name__)
    app.server = server
    app.config.update(make_app(broker.port).config)
    return app


def test_a_view_waits_for_its_message_while_a_handler_runs_in_the_same_loop(
    app: Served, server: Server
) -> None:
    begun, goes_on = threading.Event(), asyncio.Event()
    with Mqtt(app) as mqtt:

        @mqtt.topic("shared-loop/view")
        async def handle(client: Client, message: MQTTMessage) -> None:
            begun.set()
            await asyncio.wait_for(goes_on.wait(), PATIENCE)

        async def view() -> bool:
            info = await asyncio.wait_for(mqtt.publish("shared-loop/other", b"", 1), PATIENCE)
            return info.is_published()

        mqtt.publish("shared-loop/view", b"", 1).wait_for_publish(PATIENCE)
        assert begun.wait(PATIENCE)
        try:
            assert server.begin(view()).result(PATIENCE)
        finally:
            server.loop.call_soon_threadsafe(goes_on.set)


def test_a_handler_and_the_tasks_that_it_makes_must_not_wait(app: Served) -> None:
    refused: list[str] = []
    with Mqtt(app) as mqtt:

        async def wait() -> None:
            try:
                await mqtt.publish("shared-loop/other", b"", 1)
            except RuntimeError as error:
                refused.append(str(error))

        @mqtt.topic("shared-loop/tasks")
        async def handle(client: Client, message: MQTTMessage) -> None:
            await wait()
            await asyncio.gather(wait(), asyncio.create_task(wait()))

        mqtt.publish("shared-loop/tasks", b"", 1)
        wait_until(lambda: len(refused) == 3, PATIENCE, "all are refused")
    assert all("a handler must not wait" in text for text in refused)


def test_messages_are_handled_in_order_one_at_a_time(app: Served) -> None:
    handled: list[int] = []
    running = 0
    with Mqtt(app) as mqtt:

        @mqtt.topic("shared-loop/order/<int:number>")
        async def handle(client: Client, message: MQTTMessage, number: int) -> None:
            nonlocal running
            running += 1
            assert running == 1
            await asyncio.sleep(0)
            handled.append(number)
            running -= 1

        for number in range(100):
            mqtt.publish(f"shared-loop/order/{number}", b"", 1)
        wait_until(lambda: len(handled) == 100, PATIENCE, "all are handled")
    assert handled == list(range(100))
