"""What a life of `scarce_lives` does, and what it has to show."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from flask_mqtt import MQTT_ERR_INVAL, MQTT_ERR_NO_CONN, MQTT_ERR_SUCCESS, Client

from .packets import MQTT311
from .peer import HOST, Peer
from .wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .scarcity import Scarcity

T = TypeVar("T")

#: Seconds for a life, and for what has to happen in one.
LONGEST = 40.0
PATIENCE = 10.0
#: Seconds for what may not happen, since something has failed.
HOPE = 0.2
#: SQLite takes a read that fails for a file that is damaged.
UNREADABLE = "damaged or unreadable"
#: Calls that may fail in a way that is said. Everything else is a bug.
SAID = (OSError, RuntimeError)


class Plan(NamedTuple):
    """What is to be lived."""

    life: str
    #: The port of the broker without TLS and websockets, where everything is seen.
    port: int
    #: Settings of the client, by the names of `configure`.
    settings: dict[str, Any]
    #: Which calls may fail.
    kinds: list[str]
    #: Whether a failure lasts, or it is a single call that fails.
    lasting: bool
    #: Every which one of the calls is to fail.
    step: int
    #: Where files go.
    directory: str
    #: Of a write to a disk.
    disk_error: int
    #: The first call that fails.
    first: int = 1
    #: Whether threads are those of gevent.
    green: bool = False


class Scene:
    """A life, and what it has to show in the end."""

    def __init__(self, plan: Plan, name: str, scarcity: Scarcity) -> None:
        self.plan = plan
        self.name = name
        self.topic = f"scarce/{name}"
        self._scarcity = scarcity
        self.failures: list[str] = []
        #: What calls have said that could not do what they were to.
        self.said: list[str] = []
        self.accepted: dict[bytes, int] = {}
        self._mids: Counter[int] = Counter()
        self.reported: Counter[int] = Counter()
        self.got: list[bytes] = []
        self._lock = threading.Lock()
        self._observer = Peer(plan.port, f"{self.topic}/#")
        self._rival = socket.create_connection((HOST, plan.port))
        threading.excepthook = self._thread_failed
        sys.unraisablehook = self._unraisable
        handler = _Records(self)
        logger = logging.getLogger("flask_mqtt")
        logger.addHandler(handler)
        logger.propagate = False

    # -- what it checks ---------------------------------------------------------------------------

    def fail(self, text: str) -> None:
        """Note what is wrong."""
        self.failures.append(text)

    def _thread_failed(self, arguments: Any) -> None:
        text = "".join(traceback.format_exception(arguments.exc_value))
        self.fail(f"an exception out of {arguments.thread}: {text}")

    def _unraisable(self, arguments: Any) -> None:
        self.fail(f"an exception out of {arguments.object}: {arguments.exc_value!r}")

    def attempt(self, what: str, call: Callable[[], T]) -> T | None:
        """Do something that may say that it cannot."""
        try:
            return call()
        except (*SAID, ValueError) as error:
            if isinstance(error, ValueError) and UNREADABLE not in str(error):
                raise
            self.said.append(f"{what}: {type(error).__name__}: {error}")
            if not self._scarcity.injected:
                self.fail(f"{what} failed without a reason: {error!r}")
        return None

    def insist(self, what: str, call: Callable[[], T]) -> T | None:
        """Do something that may say that it cannot, and once more then, as an application does."""
        said = len(self.said)
        result = self.attempt(what, call)
        if result is None and len(self.said) > said and not self.plan.lasting:
            return call()
        return result

    def over(self) -> None:
        """From now on everything works again."""
        self._scarcity.disarm()

    @property
    def is_hurt(self) -> bool:
        """Whether something has failed yet."""
        return self._scarcity.injected > 0

    def expect(self, what: str, condition: Callable[[], Any], seconds: float = PATIENCE) -> bool:
        """Wait for what has to come."""
        try:
            wait_until(condition, seconds)
        except AssertionError:
            self.fail(f"in vain: {what}")
            return False
        return True

    @property
    def patience(self) -> float:
        """Seconds for what has to come, unless what failed goes on failing."""
        return HOPE if self.is_hurt and self.plan.lasting else PATIENCE

    def hope(self, condition: Callable[[], Any]) -> None:
        """Wait for what has to come, unless what failed goes on failing."""
        begun = time.monotonic()
        # It may fail while it is waited for.
        with contextlib.suppress(AssertionError):
            wait_until(lambda: condition() or time.monotonic() > begun + self.patience, PATIENCE)

    # -- what it does -----------------------------------------------------------------------------

    def equip(self, client: Client) -> None:
        """Note what the client is told."""
        client.on_publish = self._published
        client.on_message = lambda _client, _userdata, message: self.got.append(message.payload)

    def _published(self, _client: Any, _userdata: Any, mid: int) -> None:
        with self._lock:
            self.reported[mid] += 1

    def publish(self, client: Client, payload: str, qos: int) -> Any:
        """Publish, and remember what was accepted."""
        data = payload.encode()
        info = self.attempt(f"publish {payload}", lambda: client.publish(self.topic, data, qos))
        if info is not None and qos and info[0] in (MQTT_ERR_SUCCESS, MQTT_ERR_NO_CONN):
            self.accepted[data] = qos
            with self._lock:
                self._mids[info[1]] += 1
        return info

    def publish_all(self, client: Client, when: str) -> None:
        """Publish with each QoS, and wait for it."""
        infos = [self.publish(client, f"{when} {qos}", qos) for qos in (0, 1, 2)]
        if all(info is not None and info[0] == MQTT_ERR_SUCCESS for info in infos):
            with contextlib.suppress(RuntimeError):
                infos[-1].wait_for_publish(self.patience)

    def lose(self) -> None:
        """Have the broker end the connection: another client takes its name."""
        self._rival.sendall(MQTT311.connect(self.name, clean=False, keepalive=0))
        self._rival.settimeout(PATIENCE)
        assert self._rival.recv(16)
        self._rival.close()

    def check_loop(self, client: Client, rc: int | None) -> None:
        """Compare what `loop_start` has said with what there is."""
        is_there = client._parts.dispatcher.working
        if is_there != (rc == MQTT_ERR_SUCCESS):
            self.fail(f"loop_start said {rc!r}, and a thread is {'' if is_there else 'not '}there")

    def heal(self, client: Client, when: str) -> None:
        """See that the client does everything now that nothing fails any more."""
        rc = client.loop_start()
        if rc not in (MQTT_ERR_SUCCESS, MQTT_ERR_INVAL):
            self.fail(f"loop_start said {rc}")
        if not self.expect(f"a connection {when}", client.is_connected):
            return
        self.check_threads()
        payload = f"healed {when}".encode()
        subscribed = threading.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        client.subscribe(self.topic, 1)
        self.expect(f"a SUBACK {when}", subscribed.is_set)
        self.publish(client, payload.decode(), 1)
        self.expect(f"a message {when}", lambda: payload in self.got)
        if not client.is_connected():
            self.fail(f"the connection was lost again {when}")

    def goes_on(self, client: Client, connections: int) -> None:
        """See that a connection is still the one that it was, with a thread of its own."""
        there = threads().count("mqtt-connection")
        if not client.is_connected() or there != 1:
            self.fail(f"connected: {client.is_connected()}, with {there} threads")
        info = self.publish(client, f"goes on {len(self.accepted)}", 1)
        with contextlib.suppress(RuntimeError):
            info.wait_for_publish(self.patience)
        if client.stats()["connections"] != connections:
            self.fail("the connection that there was did not go on")

    def check_threads(self) -> None:
        """See that no connection has two threads."""
        if threads().count("mqtt-connection") > 1:
            self.expect(
                f"one thread for the connection, not {threads()}",
                lambda: threads().count("mqtt-connection") <= 1,
            )

    def settle(self, client: Client) -> None:
        """See that everything accepted has arrived and was reported."""
        self.expect(
            "a report of everything that was accepted",
            lambda: all(self.reported[mid] >= count for mid, count in self._mids.items()),
        )
        again = {mid: self.reported[mid] for mid in self._mids if self.reported[mid] != 1}
        # What a disk did not take of acknowledgements is sent again when the file is opened again.
        forgotten = any("cannot be stored" in text for text in self.said)
        if again and not forgotten:
            self.fail(f"reported so often: {again}")
        with Peer(self.plan.port) as last:
            last.publish(f"{self.topic}/end")
        came: Counter[bytes] = Counter()
        while (packet := self._observer.receive()).topic == self.topic:
            came[packet.payload or b""] += 1
        lost = [payload for payload in self.accepted if not came[payload]]
        twice = [
            payload for payload, qos in self.accepted.items() if qos == 2 and came[payload] > 1
        ]
        if lost:
            self.fail(f"accepted, and never arrived: {lost}")
        if twice:
            self.fail(f"QoS 2, and arrived more than once: {twice}")


class _Records(logging.Handler):
    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self._scene = scene

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self._scene.said.append(f"log: {text}")
        if "a bug" in text:
            self._scene.fail(text)
        if record.exc_info:
            self._scene.fail(f"{text}: {record.exc_text or record.exc_info[1]!r}")


def threads() -> list[str]:
    """Return the names of this process's threads."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        # One may end meanwhile.
        with contextlib.suppress(OSError):
            names.append((task / "comm").read_text().strip())
    return sorted(names)


def descriptors() -> dict[str, str]:
    """Return the descriptors of this process, and what each one is."""
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found[link.name] = str(link.readlink())
    return {name: what for name, what in found.items() if not what.startswith("/proc/")}
