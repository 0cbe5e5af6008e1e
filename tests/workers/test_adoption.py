"""What a worker leaves behind that has ended for good, others finish.

Most tests are of mode "shared", in which half of what is published waits for the worker that has
been killed, and mode "all" waits longer.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN
from flask_mqtt.process import slots
from support.wait import wait_until
from support.workers import (
    CONNECTING,
    PATIENCE,
    Site,
    client_of,
    has_session,
    payloads,
    wait_until_it_leads,
)

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto
    from support.workers import Worker, Workers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

BEFORE = (
    CONNECTING
    + """
    @mqtt.on_message()
    def handle(client, userdata, message):
        say("message", message.payload.decode(), client is mqtt.client)
        if message.payload == b"raise":
            raise RuntimeError("as the test wants")

    def identity():
        return mqtt._rs_worker.identity
"""
)


def a_site(workers: Workers, broker: Mosquitto, **config: Any) -> Site:
    config = {"worker_mode": "shared"} | config
    return Site(workers, broker, BEFORE, awaited="subscribed", **config)


def pair(site: Site, before: str | None = None) -> tuple[Worker, Worker]:
    """Start a worker that finishes what others leave behind, and one that is to do so."""
    return site.start(LOGGED if before is None else before), site.start()


def send(broker: Mosquitto, *texts: str) -> None:
    """Publish, and wait until the broker has it."""
    with client_of(broker) as client:
        for text in texts:
            client.publish(f"in/{text}", text, 1).wait_for_publish(PATIENCE)


def wait_for_the_end(worker: Worker, count: int = 1) -> None:
    """Wait until a worker has finished what others have left behind."""
    worker.wait_for("INFO Finished what worker", count, PATIENCE)
    assert slots.free_dirty(worker.ask("identity()")) == []


LOGGED = (
    BEFORE
    + """
    logging.getLogger().setLevel("INFO")
"""
)


DELAYS = {"reconnect_delay_min": 0.1, "reconnect_delay_max": 0.5}
NUMBERS = [str(number) for number in range(20)]


def test_a_session_is_finished(workers: Workers, own: Mosquitto) -> None:
    survivor, victim = pair(a_site(workers, own))
    victim.kill()
    send(own, *NUMBERS)
    wait_for_the_end(survivor)
    assert sorted(payloads(survivor)) == sorted(NUMBERS)
    assert {line.split()[1] for line in survivor.having("message")} == {"True"}
    assert not has_session(own, "site-1")
    assert own.log.count("Received PUBACK from site-1 ") == 10
    assert "Received UNSUBSCRIBE from site-1" in own.log
    send(own, *NUMBERS)
    survivor.wait_for("message", 40, PATIENCE)


def test_in_mode_all_too(workers: Workers, own: Mosquitto) -> None:
    survivor, victim = pair(a_site(workers, own, worker_mode="all"))
    victim.kill()
    send(own, *NUMBERS)
    wait_for_the_end(survivor)
    # Its own, and those of the other worker.
    assert Counter(payloads(survivor)) == dict.fromkeys(NUMBERS, 2)
    assert not has_session(own, "site-1")


def test_a_file_is_finished(workers: Workers, own: Mosquitto, tmp_path: Path) -> None:
    survivor, victim = pair(
        a_site(workers, own, persistence=str(tmp_path / "messages.db"), **DELAYS)
    )
    own.stop()
    victim.wait_for("disconnected", timeout=PATIENCE)
    assert (tmp_path / "messages-1.db").exists()
    for number in range(5):
        publishing = f"int(mqtt.publish('in/kept', 'kept-{number}', 1)[0])"
        assert victim.ask(publishing) == str(MQTT_ERR_NO_CONN)
    victim.kill()
    own.start()
    wait_for_the_end(survivor)
    wait_until(lambda: len(set(payloads(survivor))) == 5, PATIENCE, "5 messages")
    assert not list(tmp_path.glob("messages-1*"))
    assert (tmp_path / "messages.db").exists()


def test_a_file_of_something_else_is_tried_again_later(
    workers: Workers, own: Mosquitto, tmp_path: Path
) -> None:
    survivor, victim = pair(a_site(workers, own, persistence=str(tmp_path / "messages.db")))
    victim.kill()
    for path in tmp_path.glob("messages-1*"):
        path.unlink()
    damaged = tmp_path / "messages-1.db"
    damaged.write_text("no database " * 1000)
    [warning] = survivor.wait_for("WARNING What worker 1 has left behind", timeout=PATIENCE)
    assert "tried again: ValueError: MQTT_PERSISTENCE: this file is not one of this" in warning
    damaged.unlink()
    wait_for_the_end(survivor)
    # 10 s later.
    assert len(survivor.having("INFO Finishing")) == 2
    assert survivor.having("ERROR") == []


#: A worker counts the connections of an hour, and says how often it has looked at them.
COUNTING = (
    LOGGED
    + """
    from flask_mqtt.process import slots

    slots.COUNTED_SECONDS = 3600.0
    is_quiet = slots.is_quiet

    def say_quiet(identity):
        is_so = is_quiet(identity)
        say("quiet", is_so)
        return is_so

    slots.is_quiet = say_quiet
"""
)


def test_workers_that_connect_come_first(workers: Workers, own: Mosquitto) -> None:
    survivor, victim = pair(a_site(workers, own), COUNTING)
    victim.kill()
    send(own, *NUMBERS)
    survivor.wait_for("quiet", 5, PATIENCE)
    assert set(survivor.having("quiet")) == {"False"}
    assert len(re.findall(r"connected from \S+ as site-1 ", own.log)) == 1
    # The counted ones are over.
    survivor.tell("slots.COUNTED_SECONDS = 0.0")
    wait_for_the_end(survivor)
    assert sorted(payloads(survivor)) == sorted(NUMBERS)


SLOW = (
    LOGGED
    + """
    from flask_mqtt.extension import adoption

    # In the place of five minutes, and of ten seconds.
    adoption._LONGEST, adoption._FAILURE_SECONDS = 0.5, 1.0

    @mqtt.on_message()
    def handle_slowly(client, userdata, message):
        # For 70 messages, that is much longer than `_LONGEST`.
        time.sleep(0.1)
        say("message", message.payload.decode())
"""
)


def test_slow_handlers_get_all_messages_before_the_session_is_ended(
    workers: Workers, own: Mosquitto
) -> None:
    survivor, victim = pair(a_site(workers, own), SLOW)
    victim.kill()
    numbers = [str(number) for number in range(140)]
    send(own, *numbers)
    wait_for_the_end(survivor)
    wait_until(lambda: len(set(payloads(survivor))) == len(numbers), PATIENCE, "all messages")
    [failure, *_] = survivor.having("WARNING What worker 1 has left behind")
    assert failure.endswith("it takes too long")
    assert not has_session(own, "site-1")


def test_a_worker_that_is_started_again_comes_first(workers: Workers, own: Mosquitto) -> None:
    site = a_site(workers, own)
    survivor, victim = pair(site)
    waiting = BEFORE + "    say('waiting')\n    sys.stdin.readline()"
    successor = site.start(waiting, awaited="waiting")
    victim.kill()
    send(own, *NUMBERS)
    successor.tell("")
    successor.wait_for("message", 10, PATIENCE)
    survivor.wait_for("message", 10, PATIENCE)
    assert successor.client_id == "site-1"
    assert sorted(payloads(survivor) + payloads(successor)) == sorted(NUMBERS)
    assert survivor.having("INFO Finishing") == []


def test_handlers_may_raise(workers: Workers, own: Mosquitto) -> None:
    survivor, victim = pair(a_site(workers, own))
    victim.kill()
    send(own, *["raise"] * 10, "last", "last")
    wait_for_the_end(survivor)
    assert Counter(payloads(survivor)) == {"raise": 10, "last": 2}
    assert len(survivor.having("ERROR MQTT handler")) == 10


def test_close_ends_it_and_another_worker_goes_on(workers: Workers, own: Mosquitto) -> None:
    site = a_site(workers, own)
    slow = (
        LOGGED
        + """
    plain = handle

    @mqtt.on_message()
    def handle(client, userdata, message):
        if threading.current_thread() is not mqtt.client._parts.dispatcher.thread:
            say("adopted", message.payload.decode())
            threading.Event().wait(1)
        plain(client, userdata, message)
    """
    )
    survivor, victim = pair(site, slow)
    victim.kill()
    send(own, *NUMBERS)
    survivor.wait_for("adopted", timeout=PATIENCE)
    survivor.tell("mqtt.close()")
    assert survivor.ask("mqtt.connected") == "False"
    assert survivor.having("INFO Finished") == []
    assert len(survivor.having("adopted")) < 10
    # The session is there for the next ones.
    first, second = site.start(), site.start()
    assert first.client_id == "site"
    everyone = (survivor, first, second)
    wait_until(
        lambda: {text for one in everyone for text in payloads(one)} == {*NUMBERS},
        PATIENCE,
        "all messages",
    )


def test_the_leader_sends_what_a_standby_has_stored(
    workers: Workers, own: Mosquitto, tmp_path: Path
) -> None:
    file = str(tmp_path / "messages.db")
    site = a_site(workers, own, worker_mode="leader", persistence=file, **DELAYS)
    leader = site.start(LOGGED)
    standby = site.start(awaited="connected")
    own.stop()
    standby.wait_for("disconnected", timeout=PATIENCE)
    standby.ask("mqtt.publish('in/kept', 'kept', 1)")
    standby.kill()
    own.start()
    wait_for_the_end(leader)
    leader.wait_for("message kept", timeout=PATIENCE)
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["messages.db"]


def test_a_standby_that_takes_over_sends_what_it_has_stored(
    workers: Workers, own: Mosquitto, tmp_path: Path
) -> None:
    file = str(tmp_path / "messages.db")
    site = a_site(workers, own, worker_mode="leader", persistence=file, **DELAYS)
    leader = site.start()
    standby = site.start(LOGGED, awaited="connected")
    own.stop()
    for worker, text in ((leader, "of the leader"), (standby, "of the standby")):
        worker.wait_for("disconnected", timeout=PATIENCE)
        worker.ask(f"mqtt.publish('in/kept', {text.replace(' ', '-')!r}, 1)")
    leader.kill()
    wait_until_it_leads(standby)
    own.start()
    standby.wait_for("message of-the-leader", timeout=PATIENCE)
    wait_for_the_end(standby)
    standby.wait_for("message of-the-standby", timeout=PATIENCE)


def test_batches_are_acknowledged_when_they_are_handled(workers: Workers, own: Mosquitto) -> None:
    batches = """
    logging.getLogger().setLevel("INFO")

    @mqtt.batch("in/<name>", qos=1, max=10, wait=3)
    def handle(client, messages):
        say("batch", *(message.payload.decode() for message in messages))

    def identity():
        return mqtt._rs_worker.identity
    """
    site = a_site(workers, own)
    survivor, victim = site.start(batches), site.start(batches)
    victim.kill()
    send(own, *NUMBERS)
    wait_for_the_end(survivor)
    handled = Counter(text for line in survivor.having("batch") for text in line.split())
    assert handled == dict.fromkeys(NUMBERS, 1)
    assert own.log.count("Received PUBACK from site-1 ") == 10


def test_manual_ack_is_refused_with_a_warning(workers: Workers, own: Mosquitto) -> None:
    site = a_site(workers, own)
    survivor = site.start(LOGGED + "    mqtt.client.manual_ack_set(True)\n")
    survivor.wait_for("WARNING With manual_ack, workers do not finish", timeout=PATIENCE)


def test_nothing_is_looked_for_without_sessions_and_files(workers: Workers, own: Mosquitto) -> None:
    looks = "'mqtt-adoption' in str(threading.enumerate())"
    assert a_site(workers, own, clean_session=True).start().ask(looks) == "False"
    assert a_site(workers, own).start().ask(looks) == "True"


def test_many_workers_finish_a_session_once(workers: Workers, own: Mosquitto) -> None:
    site = a_site(workers, own)
    survivors, victim = [site.start(LOGGED) for _ in range(3)], site.start()
    victim.kill()
    send(own, *NUMBERS)
    wait_until(
        lambda: sum(len(one.having("INFO Finished")) for one in survivors), PATIENCE, "the end"
    )
    assert sum(len(one.having("INFO Finishing")) for one in survivors) == 1
    handled = [text for one in survivors for text in payloads(one)]
    assert sorted(handled) == sorted(NUMBERS)
    assert len(re.findall(r"connected from \S+ as site-3 ", own.log)) == 3


TRIES = (
    LOGGED
    + """
    from flask_mqtt.extension import adoption

    # In the place of ten seconds.
    adoption._FAILURE_SECONDS = 1.0

    class Tries(logging.Handler):
        def emit(self, record):
            if vars(record).get("mqtt_event") == "adopting":
                say("tries", time.monotonic())

    logging.getLogger("flask_mqtt").addHandler(Tries())
"""
)


def test_what_cannot_be_finished_is_tried_less_and_less_often(
    workers: Workers, own: Mosquitto, tmp_path: Path
) -> None:
    site = a_site(workers, own, persistence=str(tmp_path / "messages.db"))
    survivors, victim = [site.start(TRIES), site.start(TRIES)], site.start()
    victim.kill()
    for path in tmp_path.glob("messages-2*"):
        path.unlink()
    (tmp_path / "messages-2.db").write_text("no database " * 1000)
    for survivor in survivors:
        times = [float(line) for line in survivor.wait_for("tries", 4, PATIENCE)]
        # After 1, 2 and 4 s, whatever the other worker does. The first may be said late.
        assert times[3] - times[0] > 6
