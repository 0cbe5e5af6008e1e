"""Contexts that handlers push themselves, and hooks that are called for each context."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, current_app, g, has_app_context, has_request_context
from flask.ctx import AppContext, _AppCtxGlobals
from flask.globals import app_ctx

from support.apps import make_app
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask_mqtt import Mqtt
    from support.scripted import ScriptedBroker

COUNT = 20

OTHER = Flask("other")


@pytest.fixture(params=[1, 3], ids=["one thread", "a pool"])
def mqtt(app: Flask, request: pytest.FixtureRequest) -> Iterator[Mqtt]:
    app.config["MQTT_HANDLER_THREADS"] = request.param
    with connected(app) as mqtt:
        yield mqtt


def _push_and_pop(app: Flask) -> None:
    context = app.app_context()
    context.push()
    g.value = 1
    context.pop()


def _with(app: Flask) -> None:
    with app.app_context():
        g.value = 1


def _with_request(app: Flask) -> None:
    with app.test_request_context("/x"):
        g.value = 1


def _leave(app: Flask) -> None:
    app.app_context().push()
    g.value = 1


def _leave_two(app: Flask) -> None:
    app.app_context().push()
    app.app_context().push()


def _leave_request(app: Flask) -> None:
    app.test_request_context("/x").push()
    g.value = 1


def _leave_of_another(app: Flask) -> None:
    OTHER.app_context().push()


def _leave_request_of_another(app: Flask) -> None:
    OTHER.test_request_context("/x").push()


def _leave_a_mixture(app: Flask) -> None:
    OTHER.test_request_context("/x").push()
    app.app_context().push()
    app.test_request_context("/x").push()
    OTHER.app_context().push()


def _push_again(app: Flask) -> None:
    app_ctx.push()


def _pop_its_own(app: Flask) -> None:
    app_ctx.pop()


HANDLERS = {
    "with": _with,
    "with a request": _with_request,
    "push and pop": _push_and_pop,
    "push": _leave,
    "push twice": _leave_two,
    "push a request": _leave_request,
    "push another application's": _leave_of_another,
    "push another application's request": _leave_request_of_another,
    "push several": _leave_a_mixture,
    "push the handler's own again": _push_again,
    "pop the handler's own": _pop_its_own,
}

handlers = pytest.mark.parametrize("use", HANDLERS.values(), ids=HANDLERS)


def state() -> tuple[Any, ...]:
    """What a handler finds."""
    return current_app.name, has_request_context(), list(g)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@handlers
@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_what_a_handler_pushes_is_gone_for_the_next_one_and_quiet(
    scripted: ScriptedBroker,
    app: Flask,
    mqtt: Mqtt,
    use: Callable[[Flask], None],
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    found: list[tuple[Any, ...]] = []

    def function(*_: Any) -> None:
        found.append(state())
        use(app)

    async def coroutine(*_: Any) -> None:
        found.append(state())
        use(app)

    mqtt.on_message()(function if kind == "function" else coroutine)
    for number in range(COUNT):
        scripted.publish(str(number))
    wait_until(lambda: len(found) == COUNT)
    if kind == "coroutine" and use is _pop_its_own:
        # It is no coroutine's to pop, as in a view.
        return
    assert set(map(str, found)) == {str(("tests", False, []))}
    mqtt.close()
    assert errors(caplog) == []


@handlers
def test_so_it_is_with_the_other_handlers(
    scripted: ScriptedBroker,
    app: Flask,
    mqtt: Mqtt,
    use: Callable[[Flask], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    found: list[tuple[Any, ...]] = []

    def handler(*_: Any) -> None:
        found.append(state())
        use(app)

    for name in ("connect", "subscribe", "publish", "disconnect", "log"):
        getattr(mqtt, f"on_{name}")()(handler)
    mqtt.subscribe("t")
    mqtt.publish("t")
    scripted.drop()
    wait_until(lambda: len(found) >= 6)
    mqtt.close()
    assert set(map(str, found)) == {str(("tests", False, []))}
    assert errors(caplog) == []
    # Those that `close` called ran in this thread.
    assert not has_app_context()


def test_teardown_functions_run_for_what_was_left(
    scripted: ScriptedBroker, app: Flask, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    torn_down: list[BaseException | None] = []
    app.teardown_appcontext_funcs.append(torn_down.append)
    mqtt.on_message()(lambda *_: _leave(app))
    for number in range(COUNT):
        scripted.publish(str(number))
    # The one that was pushed for the handler, and the handler's own.
    wait_until(lambda: len(torn_down) == 2 * COUNT)
    assert set(torn_down) == {None}
    assert errors(caplog) == []


def test_a_teardown_function_of_what_was_left_that_fails_is_logged_and_the_rest_goes_on(
    scripted: ScriptedBroker, app: Flask, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[tuple[Any, ...]] = []

    def fail(_: BaseException | None) -> None:
        raise RuntimeError("teardown")

    def handler(*_: Any) -> None:
        found.append(state())
        OTHER.app_context().push()

    app.teardown_appcontext_funcs.append(fail)
    mqtt.on_message()(handler)
    for number in range(3):
        scripted.publish(str(number))
    wait_until(lambda: len(found) == 3)
    mqtt.close()
    assert set(map(str, found)) == {str(("tests", False, []))}
    assert "RuntimeError: teardown" in caplog.text


def test_a_context_of_the_caller_is_left_alone(scripted: ScriptedBroker, app: Flask) -> None:
    with app.test_request_context("/view"), connected(app) as mqtt:
        g.mine = 1
        mqtt.on_disconnect()(lambda: _leave(app))
        outer = app_ctx._get_current_object()  # type: ignore[attr-defined]
        mqtt._disconnect()
        assert app_ctx._get_current_object() is outer  # type: ignore[attr-defined]
        assert has_request_context()
        assert list(g) == ["mine"]


# -- hooks ----------------------------------------------------------------------------------------


class Counting(Flask):
    """An application that counts what is done for its contexts."""

    calls = 0

    def count(self) -> None:
        self.calls += 1


class TearingDown(Counting):
    def do_teardown_appcontext(self, *args: Any, **kwargs: Any) -> None:
        self.count()
        super().do_teardown_appcontext(*args, **kwargs)


class Making(Counting):
    def app_context(self) -> AppContext:
        self.count()
        return super().app_context()


class Adapting(Counting):
    def create_url_adapter(self, request: Any) -> Any:
        self.count()
        return super().create_url_adapter(request)


class OwnContext(AppContext):
    def pop(self, *args: Any) -> None:
        self.app.count()  # type: ignore[attr-defined]
        super().pop(*args)


class MakingOwn(Counting):
    def app_context(self) -> AppContext:
        return OwnContext(self)


class OwnGlobals(_AppCtxGlobals):
    def __init__(self) -> None:
        Storing.calls += 1


class Storing(Counting):
    app_ctx_globals_class = OwnGlobals


APPLICATIONS = [TearingDown, Making, Adapting, MakingOwn, Storing]


@pytest.mark.parametrize("kind", APPLICATIONS, ids=lambda kind: kind.__name__)
def test_a_hook_of_the_application_is_called_for_each_handler(
    scripted: ScriptedBroker, kind: type[Counting]
) -> None:
    handled: list[int] = []
    app = kind("hooks")
    app.config |= make_app(scripted.port).config
    with connected(app) as mqtt:
        mqtt.on_message()(lambda *_: handled.append(1))
        before = app.calls
        for _ in range(COUNT):
            scripted.publish("t")
        wait_until(lambda: len(handled) == COUNT)
        # The last context may not have ended yet.
        wait_until(lambda: app.calls - before >= COUNT)
        assert app.calls - before == COUNT


@pytest.mark.parametrize("where", ["the application", "the class"])
def test_a_hook_that_is_replaced_later_is_called_for_each_handler(
    scripted: ScriptedBroker, app: Flask, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    handled: list[int] = []
    torn_down = Flask.do_teardown_appcontext

    def hook(self: Flask, *args: Any, **kwargs: Any) -> None:
        calls.append(1)
        torn_down(self, *args, **kwargs)

    with connected(app) as mqtt:
        mqtt.on_message()(lambda *_: handled.append(1))
        scripted.publish("t")
        wait_until(lambda: handled)
        wait_until(lambda: not mqtt.client._parts.dispatcher.caller._context.kept)
        if where == "the application":
            monkeypatch.setattr(app, "do_teardown_appcontext", hook.__get__(app))
        else:
            monkeypatch.setattr(Flask, "do_teardown_appcontext", hook)
        for _ in range(COUNT):
            scripted.publish("t")
        wait_until(lambda: len(calls) >= COUNT)
        assert (len(handled), len(calls)) == (COUNT + 1, COUNT)


def test_an_untouched_context_of_a_plain_application_is_kept(
    scripted: ScriptedBroker, app: Flask
) -> None:
    contexts: set[int] = set()
    go_on = threading.Event()

    def handler(_client: Any, _userdata: Any, message: Any) -> None:
        if message.topic == "first":
            go_on.wait(10)
        else:
            contexts.add(id(app_ctx._get_current_object()))  # type: ignore[attr-defined]

    with connected(app) as mqtt:
        mqtt.on_message()(handler)
        scripted.publish("first")
        for number in range(COUNT):
            scripted.publish(str(number))
        # It is kept while messages follow each other: all of them wait.
        wait_until(lambda: mqtt.stats()["received"]["messages"]["qos0"] == COUNT + 1)
        go_on.set()
        wait_until(lambda: mqtt.stats()["handlers"]["calls"] == COUNT + 1)
    assert len(contexts) <= 2
