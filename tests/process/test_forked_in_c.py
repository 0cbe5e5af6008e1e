"""A child that was forked in C, without Python's hooks: it is as with those."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.script import running
from support.wait import wait_until

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

pytestmark = pytest.mark.slow

#: A fork as a program in C makes it: with the GIL, or without, which a thread may have then.
FORKS = ["ctypes.PyDLL(None).fork", "ctypes.CDLL(None).fork"]

PARENT = """
    import asyncio, ctypes, logging, signal

    class Warnings(logging.Handler):
        def __init__(self):
            super().__init__(logging.WARNING)
            self.events = []
        def emit(self, record):
            self.events.append(vars(record).get("mqtt_event"))

    warnings = Warnings()
    logging.getLogger("flask_mqtt").addHandler(warnings)

    def waits(task):
        # In a system call, and not for the interpreter's lock, which is waited for with a time.
        with open(f"/proc/self/task/{task}/syscall") as call:
            number, *arguments = call.read().split()
        return number != "running" and (number not in ("202", "98") or arguments[3] == "0x0")

    def fork_with(fork):
        # Python itself does not survive such a fork where another thread wants to run.
        others = [task for task in os.listdir("/proc/self/task") if int(task) != os.getpid()]
        until(lambda: all(map(waits, others)))
        return fork()

    def in_child(steps, fork):
        child = fork_with(fork)
        if child == 0:
            # One that hangs is ended.
            signal.alarm(10)
            status = 1
            try:
                steps()
                status = 0
            except BaseException:
                import traceback; traceback.print_exc()
            os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    mqtt = Mqtt(app)
    until(lambda: mqtt.connected)
"""


@pytest.mark.parametrize("fork", FORKS)
def test_messages_and_requests_are_refused_with_one_warning(
    scripted: ScriptedBroker, fork: str
) -> None:
    code = f"""
    {PARENT}
    mqtt.subscribe("parent/#")
    client = flask_mqtt.Client()
    client.connect("127.0.0.1", int(sys.argv[1]))
    client.loop_start()
    until(client.is_connected)
    def steps():
        for qos in (0, 1, 2):
            assert client.publish("t", "x", qos) == (4, 0)
        assert client.subscribe("child/#")[0] == 4
        assert client.unsubscribe("child/#")[0] == 4
        assert not mqtt.connected and not client.is_connected()
        assert warnings.events.count("forked") == 1, warnings.events
        # It is known what the parent has subscribed to.
        assert list(mqtt.topics) == ["parent/#"]
        mqtt.stats()
    say(in_child(steps, {fork}))
    say(mqtt.connected, mqtt.publish("parent", "x", 1).wait_for_publish(20))
    """
    with running(code, scripted.port) as script:
        script.expect("0")
        script.expect("True None")
        assert script.finish() == 0, script.errors
    assert [packet.topic for packet in scripted.of("PUBLISH")] == ["parent"]
    # The end of the parent's connections is the parent's.
    assert len(scripted.of("DISCONNECT")) == 2


@pytest.mark.parametrize("fork", FORKS)
def test_an_extension_connects_with_its_first_use(scripted: ScriptedBroker, fork: str) -> None:
    code = f"""
    {PARENT}
    subscribed = threading.Event()
    mqtt.on_subscribe()(lambda *_: subscribed.set())
    def steps():
        for qos in (0, 1, 2):
            mqtt.publish("t", "child", qos).wait_for_publish(20)
        assert mqtt.connected
        assert warnings.events == [], warnings.events
        assert mqtt.subscribe("child/#")[0] in (0, 4)
        assert subscribed.wait(20)
    say(in_child(steps, {fork}))
    say(mqtt.connected, mqtt.publish("parent", "x", 1).wait_for_publish(20))
    """
    with running(code, scripted.port) as script:
        script.expect("0")
        script.expect("True None")
        assert script.finish() == 0, script.errors
    scripted.wait_for("SUBSCRIBE")
    assert [packet.topic for packet in scripted.of("PUBLISH")] == ["t", "t", "t", "parent"]


#: What a child may ask first, each in a child of its own.
FIRST = [
    "assert mqtt.publish('t', 'x', 1).rc == 0",
    "assert mqtt.subscribe('child/#')[0] in (0, 4)",
    "assert mqtt.client.unsubscribe('parent/#')[0] in (0, 4)",
    "assert mqtt.unsubscribe_all() in (True, False)",
    "assert not mqtt.stats()['connected']",
    "assert not mqtt.client.is_connected()",
    "assert not mqtt.connected",
    "assert mqtt.client._thread is None",
    "assert mqtt.client.disconnect() == 4",
    "mqtt._disconnect()",
    "mqtt.close()",
    "mqtt.client.close()",
    "assert mqtt.client.loop(0) == 4",
    "assert mqtt.client.loop_stop() == 3",
    "assert mqtt.client.loop_start() == 0 and mqtt.client.loop_stop() == 0",
    "assert mqtt.client.loop_forever() == 4",
    "assert mqtt.client.ack(1, 1) in (0, 4)",
    "mqtt.client.username_pw_set('me')",
    "mqtt.client.keepalive = 7",
    "mqtt.client.on_message = print",
    "mqtt.client.on_log = lambda *_: None",
    "mqtt.on_topic('x')(lambda *_: None)",
    "mqtt.client.reinitialise()",
    "del mqtt",
]


@pytest.mark.parametrize("fork", FORKS)
def test_whatever_is_asked_first_does_not_hang_while_the_parent_is_busy(
    broker: Mosquitto, fork: str
) -> None:
    code = f"""
    {PARENT}
    # Only its I/O thread is busy, since a thread of Python's may not be at such a fork.
    other = flask_mqtt.Client()
    other.connect("127.0.0.1", int(sys.argv[1]))
    until(other.is_connected)
    infos = [mqtt.publish("parent/t", "x", qos) for qos in (0, 1, 2)]
    codes = {{}}
    for number, first in enumerate({FIRST!r} * 3):
        # What its I/O thread does makes locks that are held at the fork.
        for _ in range(200):
            other.publish("parent/t", b"x" * 200, 0)
        def steps():
            exec(first, {{"mqtt": mqtt, "print": print}})
            for info in infos:
                assert info.rc == 0
                try:
                    info.wait_for_publish()
                except RuntimeError:
                    pass
                else:
                    raise AssertionError("waited")
        code = in_child(steps, {fork})
        if code:
            codes[first] = code
    say(codes, mqtt.connected)
    """
    with running(code, broker.port) as script:
        script.expect("{} True")
        assert script.finish() == 0, script.errors


@pytest.mark.parametrize("way", ["mqtt.init_app(app)", "mqtt._connect()", "reconnect"])
@pytest.mark.parametrize("fork", FORKS)
def test_a_child_connects_itself(broker: Mosquitto, fork: str, way: str) -> None:
    if way == "reconnect":
        way = "mqtt.client.reconnect(); mqtt.client.loop_start()"
    code = f"""
    {PARENT}
    subscribed = threading.Event()
    mqtt.on_subscribe()(lambda *_: subscribed.set())
    mqtt.subscribe("in_c/#", 1)
    assert subscribed.wait(10)
    got = []
    mqtt.on_message()(lambda client, userdata, message: got.append(message.payload))
    def steps():
        {way}
        until(lambda: mqtt.connected)
        mqtt.publish("in_c/t", "child", 1).wait_for_publish(20)
        until(lambda: b"child" in got)
        mqtt.close()
    say(in_child(steps, {fork}))
    until(lambda: b"child" in got)
    mqtt.publish("in_c/t", "parent", 1).wait_for_publish(20)
    until(lambda: b"parent" in got)
    say(mqtt.connected, mqtt.client.stats()["connections"])
    """
    with running(code, broker.port) as script:
        script.expect("0")
        script.expect("True 1")
        assert script.finish() == 0, script.errors


@pytest.mark.parametrize("use", ["pass", "mqtt.publish('t', 'x')"])
@pytest.mark.parametrize("fork", FORKS)
def test_the_end_of_a_child_is_not_that_of_the_connection(
    scripted: ScriptedBroker, fork: str, use: str
) -> None:
    code = f"""
    {PARENT}
    if fork_with({fork}) == 0:
        signal.alarm(10)
        {use}
        sys.exit(0)
    say(os.waitstatus_to_exitcode(os.wait()[1]))
    say(mqtt.publish("parent", "x", 1).wait_for_publish(20))
    sys.stdin.readline()
    """
    with running(code, scripted.port) as script:
        script.expect("0")
        script.expect("None")
        own = [] if use == "pass" else ["CONNECT", "PUBLISH", "DISCONNECT"]
        wait_until(lambda: len(scripted.packets) >= 2 + len(own))
        kinds = [packet.kind for packet in scripted.packets]
        assert kinds == ["CONNECT", *own, "PUBLISH"]
        script.go()
        assert script.finish() == 0, script.errors


def test_a_child_of_a_child_and_both_kinds_of_forks(scripted: ScriptedBroker) -> None:
    code = f"""
    {PARENT}
    forks = [os.fork, ctypes.PyDLL(None).fork]
    client = flask_mqtt.Client()
    client.connect("127.0.0.1", int(sys.argv[1]))
    client.loop_start()
    until(client.is_connected)
    def refused(ways):
        def steps():
            if len(ways) != 2:
                assert client.publish("t", "x", 1) == (4, 0)
            if ways:
                assert in_child(refused(ways[1:]), ways[0]) == 0
        return steps
    for first in forks:
        for second in forks:
            for third in forks:
                say(in_child(refused([second, third]), first))
    """
    with running(code, scripted.port) as script:
        for _ in range(8):
            script.expect("0")
        assert script.finish() == 0, script.errors
    assert scripted.of("PUBLISH") == []


@pytest.mark.parametrize("fork", ["os.fork", *FORKS])
def test_without_descriptors_the_child_is_refused_in_the_same_way(
    scripted: ScriptedBroker, fork: str
) -> None:
    code = f"""
    {PARENT}
    import resource
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    first, second = flask_mqtt.Client(), flask_mqtt.Client()
    first.connect("127.0.0.1", int(sys.argv[1]))
    first.loop_start()
    until(first.is_connected)
    def steps():
        assert first.publish("t", "x", 1) == (4, 0)
        # It tries to connect, and cannot.
        assert mqtt.publish("t", "x", 1)[0] == 4
        # It had no connection, so its message waits for one.
        assert second.publish("t", "x", 1)[0] == 4
    def fork():
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        return {fork}()
    code = in_child(steps, fork)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    say(code, mqtt.connected)
    """
    with running(code, scripted.port) as script:
        script.expect("0 True")
        assert script.finish() == 0, script.errors
    assert scripted.of("PUBLISH") == []
