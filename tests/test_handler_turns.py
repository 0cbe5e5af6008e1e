"""The threads of one start and those of the next, where a handler ends the ones it runs in."""

from __future__ import annotations

import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from flask_mqtt.dispatch import Dispatcher
from support.apps import make_app
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    import pytest

    from flask_mqtt import Client
    from support.scripted import ScriptedBroker


def test_what_wakes_a_thread_that_is_to_end_is_not_taken_by_the_next(
    scripted: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = threading.Event()
    handled = threading.Event()
    before: list[threading.Thread] = []

    class Late(socket.socket):
        """Takes a byte so long after it has come that another thread could have taken it."""

        def recv(self, *arguments: Any) -> bytes:
            is_first = threading.current_thread() in before
            if is_first:
                waits.set()
            select.select([self], [], [])
            if is_first:
                time.sleep(0.2)
            return super().recv(*arguments)

    monkeypatch.setattr(Dispatcher, "_wake_socket", lambda self: Late(fileno=self._core.wake_fd()))

    with connected(make_app(scripted.port, handler_threads=2)) as mqtt:

        @mqtt.on_message()
        def handle(client: Client, _userdata: Any, _message: Any) -> None:
            before.extend(each for each in threading.enumerate() if each.name.startswith("mqtt-"))
            client._core.wake()
            assert waits.wait(5)
            client.loop_stop()
            client.loop_start()
            handled.set()

        scripted.publish("t", qos=1)
        assert handled.wait(5)
        wait_until(lambda: not any(thread.is_alive() for thread in before))
        scripted.wait_for("PUBACK")
