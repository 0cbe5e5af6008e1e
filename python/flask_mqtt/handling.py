"""Which client's handlers run here: they must not wait for what that client has published."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._core import Client as CoreClient
    from ._core import Delivery

    Place = threading.Thread | asyncio.AbstractEventLoop

#: The clients whose handlers a thread or an event loop runs: several, where the handler of one has
#: another one call its own.
_places: weakref.WeakKeyDictionary[Place, tuple[CoreClient, ...]] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def handling(place: Place, client: CoreClient) -> Iterator[None]:
    """Take what a thread, or an event loop, runs meanwhile for a client's handlers."""
    outer = _places.get(place, ())
    _places[place] = (*outer, client)
    try:
        yield
    finally:
        _places[place] = outer


def is_handler_of(delivery: Delivery) -> bool:
    """Whether the caller is a handler of the client that published a message."""
    return any(client.published(delivery) for client in _handled_here())


def is_handler(client: CoreClient) -> bool:
    """Whether the caller is a handler of a client."""
    return client in _handled_here()


def _handled_here() -> list[CoreClient]:
    clients = [*_places.get(threading.current_thread(), ())]
    with contextlib.suppress(RuntimeError):
        # Flask runs an `async def` handler on another thread.
        clients += _places.get(asyncio.get_running_loop(), ())
    return clients
