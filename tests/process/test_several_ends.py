"""Several clients end with their process, at the same time and within one bound."""

from __future__ import annotations

import pytest

from support.ending import PROMPT, assert_prompt
from support.script import running
from support.scripted import ScriptedBroker
from support.wait import wait_until

SEVERAL = """
    clients = []
    for _ in range(5):
        client = flask_mqtt.Client()
        client.connect("127.0.0.1", int(sys.argv[1]))
        clients.append(client)
    until(lambda: all(client.is_connected() for client in clients))
"""


@pytest.mark.slow
def test_several_clients_end_at_the_same_time() -> None:
    with ScriptedBroker(reads_on=True) as broker:
        with running(SEVERAL, broker.port) as script:
            assert script.finish() == 0, script.errors
        wait_until(lambda: len(broker.closed) == 5)
        said = [packet.at for packet in broker.of("DISCONNECT")]
        # The broker does not close, so each of them waits for a while after its DISCONNECT.
        assert len(said) == 5
        assert max(said) < min(closed.at for closed in broker.closed)


@pytest.mark.slow
def test_a_client_whose_end_fails_does_not_keep_the_others_from_theirs() -> None:
    code = f"""{SEVERAL}
    import logging
    class Raising(logging.Handler):
        def emit(self, record):
            raise ValueError("no log")
    logger = logging.getLogger("flask_mqtt")
    logger.setLevel(logging.INFO)
    logger.addHandler(Raising())
    """
    with ScriptedBroker(reads_on=True) as broker:
        with running(code, broker.port) as script:
            script.finish()
        assert "ValueError: no log" in script.errors
        wait_until(lambda: len(broker.closed) == 5)
        said = {packet.connection: packet.at for packet in broker.of("DISCONNECT")}
        # Each has waited for the broker, which does not close.
        assert all(closed.at - said[closed.connection] > 0.1 for closed in broker.closed)


def test_twenty_clients_of_a_broker_that_hangs_end_as_soon_as_one_though_one_fails() -> None:
    code = f"""{SEVERAL.replace("range(5)", "range(20)")}
    for client in clients:
        client.publish("t", "x", 1)
    def fail(_until):
        raise ValueError("no end")
    clients[0]._parts.connection.begin_end = fail
    say("connected")
    sys.stdin.readline()
    end()
    """
    with ScriptedBroker(withhold={"PUBACK"}) as broker, running(code, broker.port) as script:
        script.expect("connected")
        broker.pause()
        script.go()
        took = script.seconds_to_exit()
        print(f"exit took {took:.3f} s")
        # One after the other, they would take 18 s.
        assert took < PROMPT
        assert "ValueError: no end" in script.errors


def test_the_ends_of_all_clients_have_one_bound() -> None:
    code = f"""{SEVERAL}
    from flask_mqtt.connection import connection
    from flask_mqtt.process import ends
    def wait_out(waiter, timeout):
        # In place of a wait in vain.
        time.sleep(timeout)
        return False
    connection.wait_for = wait_out
    ends.DISCONNECT_TIMEOUT = 0.5
    end()
    """
    with ScriptedBroker() as broker, running(code, broker.port) as script:
        took = script.seconds_to_exit()
        print(f"exit took {took:.3f} s")
        # One after the other, they would take 2.5 s.
        assert 0.5 < took < 2.2


def test_the_end_of_a_client_that_was_dropped_is_waited_for() -> None:
    code = """
        import gc
        for _ in range(3):
            client = flask_mqtt.Client()
            client.connect("127.0.0.1", int(sys.argv[1]))
            until(client.is_connected)
            client.publish("t", "x", 1)
            del client
            gc.collect()
        end()
    """
    # What is not acknowledged is waited for before the DISCONNECT.
    with ScriptedBroker(withhold={"PUBACK"}) as broker:
        with running(code, broker.port) as script:
            assert_prompt(script)
        broker.wait_for("DISCONNECT", count=3)
