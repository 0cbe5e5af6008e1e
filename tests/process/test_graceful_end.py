"""The end of a process while handlers run: they may finish, within a bound."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from flask_mqtt.process.ends import HANDLING_TIMEOUT
from support.script import Script, running

if TYPE_CHECKING:
    from support.packets import Packet
    from support.scripted import ScriptedBroker

#: What a machine with other work may need beyond a bound, in seconds.
SLACK = 5.0

#: Its handlers return when the test says `go`. It ends when one has been called, or by a signal.
WAITING = """
    import atexit, signal
    app.config["MQTT_HANDLER_THREADS"] = {threads}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    mqtt = Mqtt(app)
    entered, left = threading.Semaphore(0), threading.Event()

    def handler(client, userdata, message):
        entered.release()
        left.wait()
        mqtt.publish("handled", message.payload, qos=1)

    def release():
        sys.stdin.readline()
        left.set()

    mqtt.on_message()(handler)
    until(lambda: mqtt.connected)
    atexit.register(lambda: say("ending"))
    threading.Thread(target=release, daemon=True).start()
    say("ready")
    for _ in range({threads}):
        entered.acquire()
    say("entered")
"""

#: The handlers of its clients never return.
HANGING = """
    entered = threading.Semaphore(0)

    def handler(client, userdata, message):
        entered.release()
        time.sleep(600)

    for number in range({clients}):
        app.config[f"MQTT{{number}}_BROKER_URL"] = "127.0.0.1"
        app.config[f"MQTT{{number}}_BROKER_PORT"] = int(sys.argv[1])
        mqtt = Mqtt(config_prefix=f"MQTT{{number}}")
        mqtt.on_message()(handler)
        mqtt.init_app(app)
        mqtt.subscribe("t", qos=1)
        entered.acquire()
"""


def sends_with_subscriptions(broker: ScriptedBroker, packet: Packet) -> bool:
    if packet.kind == "SUBSCRIBE":
        broker.publish("t", qos=1)
    return False


def assert_waits(script: Script) -> None:
    script.expect("ending")
    with pytest.raises(subprocess.TimeoutExpired):
        script.process.wait(0.3)


def assert_ended(script: Script) -> None:
    assert script.finish() == 0, script.errors
    assert script.errors == ""


@pytest.mark.parametrize("by_signal", [False, True], ids=["the end of main", "SIGTERM"])
def test_a_handler_that_runs_may_finish(
    scripted: ScriptedBroker, threads: int, by_signal: bool
) -> None:
    end = "time.sleep(600)" if by_signal else ""
    with running(WAITING.format(threads=threads) + f"\n    {end}\n", scripted.port) as script:
        script.expect("ready")
        # The last one has no thread that is free.
        for number in range(threads + 1):
            scripted.publish(f"t/{number}", str(number).encode(), qos=1)
        script.expect("entered")
        if by_signal:
            script.process.send_signal(signal.SIGTERM)
        assert_waits(script)
        script.go()
        assert_ended(script)
    scripted.wait_for("DISCONNECT")
    handled = sorted(packet.payload for packet in scripted.of("PUBLISH"))
    assert handled == [str(number).encode() for number in range(threads)]
    # Each is acknowledged, and what it has published sent; the other one is the next process'.
    assert len(scripted.of("PUBACK")) == threads
    assert scripted.packets[-1].kind == "DISCONNECT"


def test_what_the_connection_has_reported_meanwhile_is_logged(scripted: ScriptedBroker) -> None:
    code = WAITING.format(threads=1).replace(
        "mqtt = Mqtt(app)", 'app.config["MQTT_RECONNECT_DELAY_MIN"] = 0.05; mqtt = Mqtt(app)'
    )
    lost = 'until(lambda: mqtt.stats()["failed_attempts"] >= 2, 30)'
    with running(f"{code}\n    {lost}\n", scripted.port) as script:
        script.expect("ready")
        scripted.publish("t", qos=1)
        script.expect("entered")
        scripted.stop_listening()
        scripted.drop()
        assert_waits(script)
        script.go()
        assert script.finish() == 0, script.errors
    # The first is about what the handler has published.
    _, ended, refused, *_ = script.errors.splitlines()
    assert "connection closed by the broker" in ended
    assert "Connection refused" in refused


def let_it_finish(code: str, scripted: ScriptedBroker) -> None:
    """Have a program end while its handler runs, which then returns."""
    with running(code, scripted.port) as script:
        script.expect("ready")
        scripted.publish("t", qos=1)
        script.expect("entered")
        assert_waits(script)
        script.go()
        assert_ended(script)
    scripted.wait_for("DISCONNECT")


def test_what_a_handler_acknowledges_itself_is_acknowledged(scripted: ScriptedBroker) -> None:
    code = WAITING.format(threads=1).replace(
        'mqtt.publish("handled", message.payload, qos=1)',
        "client.ack(message.mid, message.qos)",
    )
    code = code.replace("mqtt = Mqtt(app)", "mqtt = Mqtt(app); mqtt.client.manual_ack_set(True)")
    let_it_finish(code, scripted)
    assert [packet.kind for packet in scripted.packets[-2:]] == ["PUBACK", "DISCONNECT"]


def test_a_handler_in_a_loop_of_the_applications_may_finish(scripted: ScriptedBroker) -> None:
    code = WAITING.format(threads=1).replace(
        "until(lambda: mqtt.connected)",
        """mqtt.client.loop_stop()
    threading.Thread(target=mqtt.client.loop_forever, daemon=True).start()
    until(lambda: mqtt.connected)""",
    )
    let_it_finish(code, scripted)
    assert len(scripted.of("PUBACK")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("clients", [1, 3])
def test_handlers_that_hang_hold_up_the_end_for_a_bounded_time(
    scripted: ScriptedBroker, clients: int
) -> None:
    """All clients share the bound."""
    scripted.hook = sends_with_subscriptions
    with running(HANGING.format(clients=clients) + "    end()\n", scripted.port) as script:
        took = script.seconds_to_exit()
    assert HANDLING_TIMEOUT <= took < HANDLING_TIMEOUT + SLACK
    assert script.errors.count("An MQTT handler is still running after 5.0 s") == clients
    scripted.wait_for("DISCONNECT", count=clients)
    # They were not handled to the end, so they come again.
    assert scripted.of("PUBACK") == []


def test_ctrl_c_ends_the_wait_for_a_handler_that_hangs(scripted: ScriptedBroker) -> None:
    scripted.hook = sends_with_subscriptions
    end = "    import atexit; atexit.register(say, 'ending')\n"
    with running(HANGING.format(clients=1) + end, scripted.port) as script:
        assert_waits(script)
        script.process.send_signal(signal.SIGINT)
        script.finish(HANDLING_TIMEOUT - 1)
        assert "KeyboardInterrupt" in script.errors
    scripted.wait_for("DISCONNECT")
