"""Which client's handlers run here: they must not wait for what that client has published."""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from .._core import Client as CoreClient
    from .._core import Delivery

    Place = threading.Thread | asyncio.AbstractEventLoop


class _Stay:
    """That a client's handlers run in a place."""

    __slots__ = ("client", "is_over")

    def __init__(self, client: CoreClient) -> None:
        self.client = client
        self.is_over = False


#: The clients whose handlers a thread or an event loop runs: several, where the handler of one has
#: another one call its own.
_places: weakref.WeakKeyDictionary[Place, tuple[_Stay, ...]] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def handling(place: Place, client: CoreClient) -> Iterator[None]:
    """Take what a thread, or an event loop, runs meanwhile for a client's handlers."""
    stay = _Stay(client)
    try:
        _places[place] = (*_stays(place), stay)
        yield
    finally:
        # Said first, and without a call: an interruption keeps nobody here.
        stay.is_over = True
        _places[place] = _stays(place)


def _stays(place: Place) -> tuple[_Stay, ...]:
    return tuple(stay for stay in _places.get(place, ()) if not stay.is_over)


def is_handler_of(delivery: Delivery) -> bool:
    """Whether the caller is a handler of the client that published a message."""
    return any(client.published(delivery) for client in clients_here())


def is_handler(client: CoreClient) -> bool:
    """Whether the caller is a handler of a client."""
    return client in clients_here()


def clients_here() -> list[CoreClient]:
    """Return the clients whose handlers run in this thread or task."""
    places: list[Place] = [threading.current_thread()]
    # No loop runs where nobody has imported it, and this package does so only when it must.
    loops = sys.modules.get("asyncio")
    if loops is not None:
        with contextlib.suppress(RuntimeError):
            # Flask runs an `async def` handler on another thread.
            places.append(loops.get_running_loop())
    return [stay.client for place in places for stay in _stays(place)]
