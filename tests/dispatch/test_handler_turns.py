"""The threads of one start and those of the next, where a handler ends the ones it runs in."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from flask_mqtt.dispatch import threads
from flask_mqtt.waiting import WakeUps
from support.apps import make_app
from support.pool import HANDLING
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

    class Late(WakeUps):
        """Takes a wake-up so long after it has come that another thread could have taken it."""

        def wait(self, timeout: float | None) -> bool:
            if threading.current_thread() in before:
                waits.set()
                time.sleep(0.2)
            return super().wait(timeout)

    monkeypatch.setattr(threads, "WakeUps", Late)

    with connected(make_app(scripted.port, handler_threads=2)) as mqtt:

        @mqtt.on_message()
        def handle(client: Client, _userdata: Any, _message: Any) -> None:
            before.extend(each for each in threading.enumerate() if each.name.startswith(HANDLING))
            client._parts.holder.core.wake()
            assert waits.wait(20)
            client.loop_stop()
            client.loop_start()
            handled.set()

        scripted.publish("t", qos=1)
        assert handled.wait(20)
        wait_until(lambda: not any(thread.is_alive() for thread in before))
        scripted.wait_for("PUBACK")
