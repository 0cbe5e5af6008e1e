"""The connection lives in a thread that never takes the GIL."""

from __future__ import annotations

import ctypes
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.apps import make_app
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.alone

HOLD = 3.0


@pytest.fixture
def stubborn_threads() -> Iterator[None]:
    """No thread is asked to give up the GIL for 10 s."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(10)
    yield
    sys.setswitchinterval(before)


def spin() -> None:
    """Run Python code that never waits."""
    end = time.perf_counter() + HOLD
    while time.perf_counter() < end:
        pass


def sleep_in_c() -> None:
    """Call a C function that does not give up the GIL: PyDLL calls with the GIL held."""
    ctypes.PyDLL(None).sleep(int(HOLD))


@pytest.mark.usefixtures("stubborn_threads")
@pytest.mark.parametrize("hold_the_gil", [spin, sleep_in_c])
def test_a_connection_with_a_keepalive_of_1_s_survives_3_s_without_the_gil(
    broker: Mosquitto, hold_the_gil: Callable[[], None]
) -> None:
    name = f"gil-{hold_the_gil.__name__}"
    ended: list[int] = []
    seen: list[bytes] = []
    handled_at: list[float] = []

    def pings() -> int:
        return broker.log.count(f"Received PINGREQ from {name}")

    def on_message(client: Any, userdata: Any, message: Any) -> None:
        handled_at.append(time.perf_counter())
        seen.append(message.payload)

    with connected(make_app(broker.port, client_id=name, keepalive=1)) as mqtt:
        mqtt.on_disconnect()(lambda _client, _userdata, rc: ended.append(rc))
        mqtt.on_message()(on_message)
        subscribed: list[int] = []
        mqtt.on_subscribe()(lambda *_: subscribed.append(1))
        mqtt.subscribe(f"{name}/#")
        wait_until(lambda: subscribed)
        # Sent by the thread without the GIL; its way back to the handler has to wait for it.
        mqtt.publish(f"{name}/during", b"held", 1)
        before = pings()
        began = time.perf_counter()
        hold_the_gil()
        held = time.perf_counter() - began
        during = pings() - before
        assert held > HOLD - 0.5
        assert during >= int(held) - 1, f"{during} pings in {held:.1f} s"
        wait_until(lambda: seen)
        # No handler ran while the GIL was held, so it was held.
        assert handled_at[0] >= began + held or handled_at[0] <= began
        assert ended == []
        assert mqtt.connected
    assert seen == [b"held"]
    assert f"{name} has exceeded timeout" not in broker.log
