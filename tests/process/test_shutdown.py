"""The end of a process: prompt whatever the broker and the handlers do, and with a DISCONNECT."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from flask_mqtt import Client
from support.ending import CONNECTED, PROMPT, assert_prompt
from support.ports import unanswered, unanswered_port
from support.script import running
from support.wait import wait_until

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker


@pytest.mark.slow
@pytest.mark.parametrize(
    ("last", "code"),
    [
        pytest.param("end()", 0, id="the end of main"),
        pytest.param("end(); sys.exit(3)", 3, id="sys.exit"),
        pytest.param("end(); mqtt.close()", 0, id="close"),
    ],
)
def test_a_process_with_a_connected_client_ends_promptly_with_a_disconnect(
    scripted: ScriptedBroker, last: str, code: int
) -> None:
    with running(f"{CONNECTED}\n    {last}\n", scripted.port) as script:
        assert_prompt(script, code)
    scripted.wait_for("DISCONNECT")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wait", "does_wait"),
    [
        ("info.wait_for_publish()", "waits(thread)"),
        ("asyncio.run(settled())", "waiting._waits"),
    ],
    ids=["a thread", "an event loop"],
)
def test_daemon_threads_that_wait_for_a_message_end_without_a_word(
    scripted: ScriptedBroker, wait: str, does_wait: str
) -> None:
    scripted.withhold.add("PUBACK")
    code = f"""
        import asyncio
        from flask_mqtt import waiting
        from support.running import waits

        mqtt = Mqtt(app)
        until(lambda: mqtt.connected)
        info = mqtt.publish("t", "x", 1)

        async def settled():
            await info

        thread = threading.Thread(target=lambda: {wait}, daemon=True)
        thread.start()
        until(lambda: {does_wait})
        end()
    """
    with running(code, scripted.port) as script:
        assert_prompt(script)
        assert "Exception" not in script.errors


@pytest.mark.slow
def test_a_broker_that_reads_nothing_does_not_hold_up_the_end(scripted: ScriptedBroker) -> None:
    code = """
        mqtt = Mqtt(app)
        until(lambda: mqtt.connected)
        say("connected")
        sys.stdin.readline()
        mqtt.client.configure(publish_timeout=0.1)
        payload = b"x" * 1_000_000
        while mqtt.publish("t", payload, 1)[0] != flask_mqtt.MQTT_ERR_QUEUE_SIZE:
            pass
        end()
    """
    with running(code, scripted.port) as script:
        script.expect("connected")
        scripted.pause()
        script.go()
        assert_prompt(script)


@pytest.mark.slow
def test_a_broker_that_answers_nothing_does_not_hold_up_the_end(scripted: ScriptedBroker) -> None:
    scripted.connack = None
    with running("mqtt = Mqtt(app)\nend()\n", scripted.port) as script:
        assert_prompt(script)


@pytest.mark.slow
def test_the_wait_before_the_next_attempt_does_not_hold_up_the_end(
    scripted: ScriptedBroker,
) -> None:
    code = """
        mqtt = Mqtt(app)
        lost = threading.Event()
        mqtt.on_disconnect()(lambda *_: lost.set())
        until(lambda: mqtt.connected)
        say("connected")
        if lost.wait(10):
            end()
    """
    with running(code, scripted.port) as script:
        script.expect("connected")
        scripted.stop_listening()
        scripted.drop()
        assert_prompt(script)


@pytest.mark.slow
def test_an_attempt_to_connect_does_not_hold_up_the_end() -> None:
    code = "mqtt = Mqtt(app, connect_async=True)\nsys.stdin.readline()\nend()\n"
    with unanswered_port() as port:
        before = unanswered(port)
        with running(code, port) as script:
            wait_until(lambda: unanswered(port) > before, 30)
            script.go()
            assert_prompt(script)


def test_ctrl_c_ends_the_process_promptly_with_a_disconnect(scripted: ScriptedBroker) -> None:
    code = f"""{CONNECTED}
    try:
        say("connected")
        time.sleep(60)  # until Ctrl-C
    finally:
        end()
    """
    with running(code, scripted.port) as script:
        script.expect("connected")
        script.process.send_signal(signal.SIGINT)
        took = script.seconds_to_exit()
        print(f"exit took {took:.3f} s")
        assert took < PROMPT
        assert "KeyboardInterrupt" in script.errors
        assert script.process.returncode in (-signal.SIGINT, 130)
    scripted.wait_for("DISCONNECT")


@pytest.mark.slow
def test_ctrl_c_in_a_publish_that_waits_ends_it(scripted: ScriptedBroker) -> None:
    code = f"""{CONNECTED}
    from support.running import waits

    def watch():
        until(lambda: waits(threading.main_thread()))
        say("waits")

    say("connected")
    sys.stdin.readline()
    threading.Thread(target=watch, daemon=True).start()
    try:
        while mqtt.publish("t", b"x" * 1_000_000, 1)[0] == 0:
            pass
    finally:
        end()
    """
    with running(code, scripted.port) as script:
        script.expect("connected")
        scripted.pause()
        script.go()
        script.expect("waits")
        script.process.send_signal(signal.SIGINT)
        took = script.seconds_to_exit()
        print(f"exit took {took:.3f} s")
        assert took < PROMPT
        assert "KeyboardInterrupt" in script.errors


@pytest.mark.parametrize("last", ["pass", "sys.exit(0)", "mqtt.close()", "mqtt.publish('own')"])
def test_a_forked_child_ends_promptly_and_leaves_the_parent_its_connection(
    scripted: ScriptedBroker, last: str
) -> None:
    code = f"""{CONNECTED}
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    ended = []
    mqtt.on_disconnect()(lambda *_: ended.append(1))
    child = os.fork()
    if child == 0:
        began = time.monotonic()
        {last}
        sys.exit(0)
    began = time.monotonic()
    status = os.waitpid(child, 0)[1]
    say("child", status, time.monotonic() - began < {PROMPT})
    mqtt.publish("parent", "alive", 1)
    sent = threading.Event()
    mqtt.on_publish()(lambda *_: sent.set())
    mqtt.publish("parent", "again", 1)
    sent.wait(20)
    say(ended, mqtt.connected)
    end()
    """
    with running(code, scripted.port) as script:
        script.expect("child 0 True")
        script.expect("[] True")
        assert_prompt(script)
    own = ["CONNECT", "PUBLISH", "DISCONNECT"] if "publish" in last else []
    wait_until(lambda: len(scripted.packets) >= 4 + len(own))
    kinds = [packet.kind for packet in scripted.packets]
    assert kinds == ["CONNECT", *own, "PUBLISH", "PUBLISH", "DISCONNECT"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_can_forget_the_clients_of_its_parent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        clients = [Client() for _ in range(30)]
        for client in clients:
            client.connect("127.0.0.1", server.getsockname()[1])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                # A thread makes the C library give the memory of the parent's threads away.
                thread = threading.Thread(target=int)
                thread.start()
                thread.join()
                clients.clear()
                del client
                gc.collect()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        for client in clients:
            client.disconnect()
            client.loop_stop()
