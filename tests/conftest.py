"""Fixtures for all tests."""

from __future__ import annotations

import contextlib
import contextvars
import fcntl
import functools
import os
import signal
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client
from flask_mqtt.dynsec import DynamicSecurity
from support.apps import make_app
from support.certificates import Certificates
from support.dynsec import DynsecMosquitto
from support.mosquitto import Listener, Mosquitto
from support.original import ORIGINAL
from support.packets import MQTT5
from support.pool import Gate
from support.running import closing, connected
from support.scripted import ScriptedBroker
from support.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from flask import Flask
    from selenium import webdriver

    from flask_mqtt import Mqtt


# A shell starts a job in the background with Ctrl-C ignored, which programs of tests inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

CRASHED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Let tests fork although others have imported eventlet into the same process."""
    config.addinivalue_line("filterwarnings", "ignore:Using fork:DeprecationWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that run alone last, where no other worker waits for them."""
    items.sort(key=_runs_alone)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let tests of several workers run at once, and one that is marked `alone` by itself."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    assert item.config.cache is not None, "the workers of pytest-xdist share a lock in its cache"
    with (item.config.cache.mkdir("workers") / "turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX if _runs_alone(item) else fcntl.LOCK_SH)
        try:
            return (yield)
        finally:
            # Closing alone would not: forked children that are left have the file too.
            fcntl.flock(turn, fcntl.LOCK_UN)


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(sched: Any) -> None:
    """Note that a worker of pytest-xdist has crashed in a test."""
    sched.config.stash[CRASHED] = True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let ./scripts/test tell a crash from a failure: it is no race, and nothing is tried again."""
    if session.config.stash.get(CRASHED, False):
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run each test in a context (PEP 567) of its own.

    Where an interruption keeps Flask from popping its context, the variable cannot be unset.
    """
    function = pyfuncitem.obj
    pyfuncitem.obj = functools.partial(contextvars.copy_context().run, function)
    try:
        return (yield)
    finally:
        pyfuncitem.obj = function


def _runs_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@pytest.fixture(scope="session")
def original_python() -> Path:
    """The interpreter that has Flask-MQTT and paho."""
    if not ORIGINAL.exists():
        pytest.skip(f"Flask-MQTT and paho are not installed at {ORIGINAL}: run ./scripts/test")
    return ORIGINAL


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A mosquitto that all tests share; it has .host and .port. Use topics of your own."""
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as mosquitto:
        yield mosquitto


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A real browser without a window."""
    # Here, so that what needs no browser needs no selenium either.
    from support.browser import chromium

    with chromium(tmp_path / "profile") as driver:
        yield driver


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates and keys, good ones and bad ones."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def tls_broker(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[Mosquitto]:
    """A mosquitto that all tests share, reached in every way; see its .listeners.

    tls, wss: TLS. mutual, mutual_wss: TLS that wants the certificate of a client. ws: websockets.
    unix: a unix socket. Its .port is without TLS.
    """
    tls = Listener(certificate=certificates.server.certificate, key=certificates.server.key)
    mutual = replace(tls, cafile=certificates.ca, require_certificate=True)
    listeners = {
        "tls": tls,
        "mutual": mutual,
        "ws": Listener("websockets"),
        "wss": replace(tls, kind="websockets"),
        "mutual_wss": replace(mutual, kind="websockets"),
        "unix": Listener("unix"),
    }
    directory = tmp_path_factory.mktemp("mosquitto")
    with Mosquitto(directory, listeners=listeners) as mosquitto:
        yield mosquitto


@pytest.fixture
def broker_factory(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Mosquitto]]:
    """Start further brokers, with the options of Mosquitto; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*args: Any, **options: Any) -> Mosquitto:
            directory = tmp_path_factory.mktemp("mosquitto")
            return stack.enter_context(Mosquitto(directory, *args, **options))

        yield start


@pytest.fixture
def roomy(broker_factory: Callable[..., Mosquitto]) -> Mosquitto:
    """A broker that keeps whatever waits for a client, and not only 1,000 messages."""
    return broker_factory(options=("max_queued_messages 0",))


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynsecMosquitto]:
    """A mosquitto with its plugin that all tests share. Use names of your own."""
    with DynsecMosquitto(tmp_path_factory.mktemp("dynsec")) as broker:
        yield broker


@pytest.fixture
def own_plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynsecMosquitto]:
    """One of a test's own."""
    with DynsecMosquitto(tmp_path_factory.mktemp("dynsec")) as broker:
        yield broker


@pytest.fixture
def admin(plugin: DynsecMosquitto) -> Iterator[Mqtt]:
    """The extension of an administrator of `plugin`."""
    app = make_app(plugin.port, username=plugin.admin, password=plugin.password)
    with connected(app) as mqtt:
        yield mqtt


@pytest.fixture
def dynsec(admin: Mqtt) -> DynamicSecurity:
    """What administers `plugin`."""
    return DynamicSecurity(admin)


@pytest.fixture
def scripted() -> Iterator[ScriptedBroker]:
    """A well-behaved recording broker; change its attributes to script it."""
    with ScriptedBroker() as broker:
        yield broker


@pytest.fixture
def scripted5() -> Iterator[ScriptedBroker]:
    """A recording broker that speaks MQTT 5."""
    with ScriptedBroker(version=MQTT5) as broker:
        yield broker


@pytest.fixture
def app(scripted: ScriptedBroker) -> Flask:
    """An application whose broker is `scripted`."""
    return make_app(scripted.port)


@pytest.fixture
def mqtt(app: Flask) -> Iterator[Mqtt]:
    """The client of `app`, which the broker has accepted."""
    with connected(app) as mqtt:
        yield mqtt


@pytest.fixture
def client() -> Iterator[Client]:
    """A client without an application, which is to connect."""
    with closing(Client()) as client:
        yield client


@pytest.fixture
def short_delays(client: Client) -> None:
    """Have `client` lose no time between attempts to connect."""
    client.reconnect_delay_set(0.05, 0.1)


@pytest.fixture
def connected_by_loop(client: Client, scripted: ScriptedBroker) -> None:
    """Have `client` connected to `scripted`, with `loop` in the thread of the test."""
    client.connect(scripted.host, scripted.port)
    while not client.is_connected():
        client.loop(0.1)


@pytest.fixture
def prefixed(scripted: ScriptedBroker) -> Iterator[Mqtt]:
    """A client of `scripted` with the prefix ``p`` of its topics."""
    app = make_app(scripted.port, config_prefix="MQTT", prefix="p", reconnect_delay_min=0.05)
    with connected(app) as mqtt:
        yield mqtt


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def threads(request: pytest.FixtureRequest) -> int:
    """How many threads call handlers: each of these numbers in turn."""
    number: int = request.param
    return number


def _kind_of(error: tuple[type[BaseException], Any]) -> str:
    return error[0].__name__


@pytest.fixture(params=[(ValueError, "a"), (SystemExit, 3), (KeyboardInterrupt,)], ids=_kind_of)
def error(request: pytest.FixtureRequest) -> Iterator[BaseException]:
    """An exception for a test to raise in other threads: one of each kind in turn.

    It is the test's own: its traceback refers to what raised it, and must not outlive that. Where
    it is raised again and again, `with_traceback(None)` keeps that from becoming longer.
    """
    kind, *arguments = request.param
    value: BaseException = kind(*arguments)
    yield value
    # Else what it refers to would be collected at any time, and by any thread.
    value.__traceback__ = value.__context__ = None


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A handler that waits on some topics until it may go on; in the end all of them may."""
    gate = Gate()
    yield gate
    for topic in set(gate.entered):
        gate.open(topic)


@pytest.fixture
def own(broker_factory: Callable[..., Mosquitto]) -> Mosquitto:
    """A broker whose log has nothing of others, and that the test may stop."""
    return broker_factory()


@pytest.fixture
def slots_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own for slots, of this process and of those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path / f"flask-mqtt-{os.geteuid()}"


@pytest.fixture
def workers(slots_folder: Path) -> Iterator[Workers]:
    """Start workers; they end with the test."""
    with contextlib.ExitStack() as stack:
        yield Workers(stack, slots_folder)
