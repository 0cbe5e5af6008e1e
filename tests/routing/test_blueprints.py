"""Blueprints of routes, and the hooks of these and of the extension."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import BuildError, Mqtt, MqttBlueprint
from support.apps import make_app
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.scripted import ScriptedBroker


def nothing(client: Any, message: Any, **values: Any) -> None:
    """Take everything."""


def subscriptions(broker: ScriptedBroker) -> list[tuple[str, int]]:
    return [item for packet in broker.of("SUBSCRIBE") for item in packet.filters]


class Scene:
    """What was called, and a way to have it called."""

    def __init__(self, broker: ScriptedBroker) -> None:
        self.broker = broker
        self.seen: list[Any] = []

    def note(self, word: Any, result: Any = None) -> Any:
        def hook(client: Any, message: Any) -> Any:
            self.seen.append(word)
            return result

        return hook

    def after(self, topic: str) -> list[Any]:
        """Send a message, and return what was called for it."""
        self.seen.clear()
        acknowledged = len(self.broker.of("PUBACK"))
        self.broker.publish(topic, qos=1)
        wait_until(lambda: len(self.broker.of("PUBACK")) > acknowledged)
        return self.seen


@pytest.fixture
def scene(scripted: ScriptedBroker) -> Scene:
    return Scene(scripted)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_blueprint_has_its_topics_and_names_under_its_own(
    scripted: ScriptedBroker, scene: Scene, when: str
) -> None:
    sensors = MqttBlueprint("sensors", prefix="sensors/<site>")

    @sensors.topic("<int:id>/temperature", qos=1)
    def temperature(client: Any, message: Any, site: str, id: int) -> None:  # noqa: A002
        scene.seen.append((site, id))

    @sensors.on_topic("log/#")
    def log(client: Any, userdata: Any, message: Any) -> None:
        scene.seen.append((userdata, message.topic))

    with Mqtt() as mqtt:
        mqtt.client.user_data_set("userdata")
        if when == "before":
            mqtt.register_blueprint(sensors)
        mqtt.init_app(make_app(scripted.port))
        wait_until(lambda: mqtt.connected)
        if when == "after":
            mqtt.register_blueprint(sensors)
        assert scene.after("sensors/roof/7/temperature") == [("roof", 7)]
        assert scene.after("sensors/roof/log/x") == [("userdata", "sensors/roof/log/x")]
        wait_until(lambda: subscriptions(scripted) == [("sensors/+/+/temperature", 1)])
        topic = mqtt.topic_for("sensors.temperature", site="roof", id=7)
        assert topic == "sensors/roof/7/temperature"
        with pytest.raises(BuildError, match=r"no such route, did you mean 'sensors.temperature'"):
            mqtt.topic_for("temperature", site="roof", id=7)


def test_blueprints_nest_and_may_be_registered_twice(mqtt: Mqtt, scene: Scene) -> None:
    inner, outer = MqttBlueprint("inner", prefix="in"), MqttBlueprint("outer", prefix="out/<o>/")
    inner.topic("/<x>", name="x")(lambda _c, _m, x, **rest: scene.seen.append((x, rest)))
    outer.register_blueprint(inner)
    outer.register_blueprint(inner, prefix="other", name="second")
    mqtt.register_blueprint(outer)
    mqtt.register_blueprint(outer, prefix="", name="bare")
    assert mqtt.topic_for("outer.inner.x", o=1, x=2) == "out/1/in/2"
    assert mqtt.topic_for("outer.second.x", o=1, x=2) == "out/1/other/2"
    assert mqtt.topic_for("bare.inner.x", x=2) == "in/2"
    assert scene.after("out/a/other/b") == [("b", {"o": "a"})]
    assert scene.after("in/c") == [("c", {})]


def test_hooks_run_as_those_of_flask_do(mqtt: Mqtt, scene: Scene) -> None:
    inner, outer = MqttBlueprint("inner"), MqttBlueprint("outer")
    owners = {"mqtt": mqtt, "outer": outer, "inner": inner}
    for name, owner in owners.items():
        for number in (1, 2):
            owner.before_message()(scene.note(f"{name} before {number}"))
            owner.after_message()(scene.note(f"{name} after {number}"))
    for name, owner in owners.items():

        @owner.topic(f"{name}/<x>")
        async def handler(client: Any, message: Any, x: str) -> None:
            scene.seen.append(x)

    outer.register_blueprint(inner)
    mqtt.register_blueprint(outer)
    first, last = ["mqtt before 1", "mqtt before 2"], ["mqtt after 2", "mqtt after 1"]
    assert scene.after("mqtt/x") == [*first, "x", *last]
    assert scene.after("inner/x") == [
        *first,
        *["outer before 1", "outer before 2", "inner before 1", "inner before 2", "x"],
        *["inner after 2", "inner after 1", "outer after 2", "outer after 1"],
        *last,
    ]
    # One of the extension that comes later counts for the routes that there are.
    mqtt.before_message()(scene.note("late", "instead"))
    assert scene.after("mqtt/x") == [*first, "late", *last]
    # Other handlers have none.
    mqtt.on_topic("plain")(lambda *_: scene.seen.append("plain"))
    assert scene.after("plain") == ["plain"]


def test_the_handler_of_the_nearest_class_gets_an_error(
    mqtt: Mqtt, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    blueprint = MqttBlueprint("b", prefix="b")
    errors = [LookupError("mine"), KeyError("more"), ValueError("other"), OSError("nobody's")]

    def note(word: str) -> Any:
        async def handle(client: Any, message: Any, error: Exception) -> None:
            scene.seen.append((word, message.topic, error))

        return handle

    for owner in (mqtt, blueprint):

        @owner.topic("<int:x>")
        async def fail(client: Any, message: Any, x: int) -> None:
            raise errors[x]

    blueprint.errorhandler(LookupError)(note("lookup"))
    blueprint.after_message()(scene.note("after"))
    mqtt.errorhandler(KeyError)(note("key"))
    mqtt.errorhandler(ValueError)(note("value"))
    mqtt.register_blueprint(blueprint)
    assert scene.after("b/0") == [("lookup", "b/0", errors[0]), "after"]
    # That of the blueprint comes first, as in Flask.
    assert scene.after("b/1") == [("lookup", "b/1", errors[1]), "after"]
    assert scene.after("b/2") == [("value", "b/2", errors[2]), "after"]
    assert scene.after("1") == [("key", "1", errors[1])]
    assert caplog.records == []
    assert scene.after("b/3") == ["after"]
    assert "fail failed" in caplog.text
    assert "nobody's" in caplog.text
    assert scene.after("0") == []
    assert mqtt.stats()["handlers"]["failures"] == 2


def test_an_error_of_a_hook_is_one_of_the_handler(
    mqtt: Mqtt, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(client: Any, message: Any) -> None:
        raise ValueError(message.topic)

    mqtt.topic("<x>")(lambda *_, x: scene.seen.append(x))
    mqtt.before_message()(fail)
    mqtt.after_message()(scene.note("after"))
    assert scene.after("a") == ["after"]
    assert "ValueError: a" in caplog.text
    mqtt.errorhandler(ValueError)(lambda *_: scene.seen.append("handled"))
    assert scene.after("a") == ["handled", "after"]


def test_each_hook_after_a_message_is_called_whatever_another_raises(
    mqtt: Mqtt, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(client: Any, message: Any) -> None:
        scene.seen.append("fails")
        raise ValueError(message.topic)

    mqtt.after_message()(scene.note("last"))
    mqtt.after_message()(fail)
    mqtt.after_message()(scene.note("first"))
    mqtt.topic("<x>")(lambda *_, x: scene.seen.append(x))
    assert scene.after("a") == ["a", "first", "fails", "last"]
    assert "ValueError: a" in caplog.text


def test_too_late_for_a_blueprint(mqtt: Mqtt) -> None:
    blueprint, other = MqttBlueprint("b"), MqttBlueprint("c")
    blueprint.register_blueprint(other)
    mqtt.register_blueprint(blueprint)
    for late, name in ((blueprint, "b"), (other, "c")):
        said = rf"the blueprint '{name}' is registered already"
        for register in (
            functools.partial(late.topic("<x>"), nothing),
            functools.partial(late.on_topic("x"), lambda *_: None),
            functools.partial(late.before_message(), lambda *_: None),
            functools.partial(late.register_blueprint, MqttBlueprint("d")),
        ):
            with pytest.raises(RuntimeError, match=said):
                register()


def test_bad_blueprints() -> None:
    mqtt, blueprint = Mqtt(), MqttBlueprint("b", prefix="p")
    values: list[tuple[Callable[[], Any], str]] = [
        (lambda: MqttBlueprint(""), "name '': it must not be empty"),
        (lambda: MqttBlueprint("a.b"), "name 'a.b': .* contain a dot"),
        (lambda: MqttBlueprint("b", prefix="a/<x"), "prefix|rule 'a/<x/x': malformed"),
        (lambda: MqttBlueprint("b", prefix="a/#"), "'#' must be the last"),
        (lambda: blueprint.topic("<x", name="x")(nothing), "rule 'p/<x': malformed"),
        (
            lambda: blueprint.topic("<x>", name="a.b")(nothing),
            "name 'a.b': it must not contain a dot",
        ),
        (lambda: blueprint.register_blueprint(blueprint), "in itself"),
    ]
    for make, said in values:
        with pytest.raises(ValueError, match=said):
            make()
    types: list[tuple[Callable[[], Any], str]] = [
        (lambda: MqttBlueprint(None), "name None"),  # type: ignore[arg-type]
        (lambda: MqttBlueprint("b", prefix=1), "prefix 1"),  # type: ignore[arg-type]
        (lambda: mqtt.register_blueprint("b"), "of type str"),  # type: ignore[arg-type]
        (lambda: mqtt.errorhandler(404), "errorhandler 404"),  # type: ignore[arg-type]
        (lambda: blueprint.before_message(nothing), "needs parentheses"),  # type: ignore[call-arg]
        (lambda: mqtt.after_message()(lambda: None), r"\(client, message\)"),
        (lambda: blueprint.on_topic(nothing), "needs a filter"),  # type: ignore[arg-type]
    ]
    for wrong, said in types:
        with pytest.raises(TypeError, match=said):
            wrong()


def test_nothing_is_left_of_a_blueprint_that_fails(mqtt: Mqtt, scene: Scene) -> None:
    inner, outer = MqttBlueprint("inner"), MqttBlueprint("outer", prefix="p/<id>")
    inner.topic("good")(lambda *_, **values: scene.seen.append(values))
    outer.register_blueprint(inner)
    outer.topic("bad")(lambda client, message: None)
    with pytest.raises(TypeError, match=r"topic\('p/<id>/bad'\) .* no parameter 'id'"):
        mqtt.register_blueprint(outer)
    mqtt.on_message()(lambda *_: scene.seen.append("nobody's"))
    assert scene.after("p/3/good") == ["nobody's"]
    assert mqtt.stats()["routes"]["routes"] == 0
    # Its name is free, too.
    mqtt.register_blueprint(outer, prefix="", name="again")
    with pytest.raises(ValueError, match=r"blueprint 'again': .* is registered already"):
        mqtt.register_blueprint(MqttBlueprint("again"))
    mqtt.register_blueprint(MqttBlueprint("outer"))


def test_threads_register_blueprints_at_once(mqtt: Mqtt, scene: Scene) -> None:
    blueprint = MqttBlueprint("b", prefix="b/<int:x>")
    blueprint.topic("t")(lambda *_, x: scene.seen.append(x))
    start, failed = threading.Barrier(8), list[Exception]()

    def register() -> None:
        start.wait()
        try:
            mqtt.register_blueprint(blueprint)
        except ValueError as error:
            failed.append(error)

    threads = [threading.Thread(target=register) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 7
    assert scene.after("b/3/t") == [3]


def test_blueprints_that_are_in_each_other(mqtt: Mqtt) -> None:
    one, other = MqttBlueprint("one"), MqttBlueprint("other")
    one.topic("<x>")(nothing)
    one.register_blueprint(other)
    other.register_blueprint(one)
    with pytest.raises(ValueError, match=r"blueprint 'one.other.one': it is registered in itself"):
        mqtt.register_blueprint(one)
    assert mqtt.stats()["routes"]["routes"] == 0


def test_a_batch_has_hooks_for_each_message_and_no_handler_of_errors(
    mqtt: Mqtt, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    mqtt.before_message()(scene.note("before"))
    mqtt.errorhandler(ValueError)(lambda *_: scene.seen.append("handled"))

    @mqtt.batch("a", max=1, qos=1)
    def fail(client: Any, messages: Any) -> None:
        scene.seen.append(len(messages))
        raise ValueError("a batch")

    assert scene.after("a") == ["before", 1]
    wait_until(lambda: "ValueError: a batch" in caplog.text)
