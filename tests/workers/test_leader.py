"""Mode "leader": one worker handles the messages, and another one takes over."""

from __future__ import annotations

import re
import signal
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN, Client, MQTTv5
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

#: What a worker does besides: it says when it is the leader.
BEFORE = (
    CONNECTING
    + """
    import signal
    from flask import has_app_context

    signal.signal(signal.SIGTERM, lambda *_: sys.exit())

    @mqtt.on_message()
    def handle(client, userdata, message):
        say("message", message.payload.decode(), time.time())

    def lead(client, userdata):
        say("leader", client is mqtt.client, has_app_context(), mqtt.connected)
"""
)
EARLY = (
    BEFORE
    + """
    mqtt.on_leader()(lead)
"""
)


def a_site(workers: Workers, broker: Mosquitto, **config: Any) -> Site:
    return Site(workers, broker, EARLY, worker_mode="leader", **config)


def pair(site: Site, before: str | None = None) -> tuple[Worker, Worker]:
    """Start a leader and a standby."""
    leader, standby = site.start(before), site.start(before)
    assert leader.ask("mqtt.is_leader") == "True"
    assert standby.ask("mqtt.is_leader") == "False"
    return leader, standby


def publish(worker: Worker, topic: str, payload: str, qos: int = 1) -> int:
    """Have a worker publish, and return what that says."""
    return int(worker.ask(f"int(mqtt.publish({topic!r}, {payload!r}, {qos})[0])"))


def connects(broker: Mosquitto) -> list[str]:
    """Return who has connected, and whether with a clean session, in the order of that."""
    found = re.findall(r"New client connected from \S+ as (\S+) \(p\d, c(\d)", broker.log)
    return [f"{name} c{clean}" for name, clean in found]


class Stream:
    """Publishes numbers, one after the other, until it is closed."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.count = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.005):
            self.client.publish("in/stream", str(self.count), 1)
            self.count += 1

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        wait_until(lambda: self.client.stats()["in_flight"] == 0, PATIENCE, "the last PUBACK")


def test_one_worker_handles_and_all_publish(workers: Workers, own: Mosquitto) -> None:
    site = a_site(workers, own)
    leader, standby = pair(site)
    third = site.start()
    for number, worker in enumerate((leader, standby, third)):
        for qos in range(3):
            assert publish(worker, f"in/{qos}", f"{number}-{qos}", qos) == 0
    wanted = {f"{number}-{qos}" for number in range(3) for qos in range(3)}
    leader.wait_for("message", 9, PATIENCE)
    assert sorted(payloads(leader)) == sorted(wanted)
    assert payloads(standby) == payloads(third) == []
    assert leader.having("leader") == ["True True True"]
    assert standby.having("leader") == third.having("leader") == []
    assert leader.having("as") == ["site"]
    assert third.having("as") == ["site-2"]
    assert connects(own) == ["site c0", "site-1 c1", "site-2 c1"]
    assert standby.ask("mqtt.subscribe('more')[1]") == "None"
    assert not re.search(r"SUBSCRIBE from site-", own.log)


def test_nothing_is_lost_when_leaders_are_killed(workers: Workers, own: Mosquitto) -> None:
    site = a_site(workers, own)
    leader, standby = pair(site)
    everyone = [leader, standby]
    times = []
    with client_of(own) as client:
        stream = Stream(client)
        for _ in range(20):
            leader.wait_for("message", timeout=PATIENCE)
            leader.kill()
            killed_at = time.time()
            first = standby.wait_for("message", timeout=PATIENCE)[0]
            times.append(float(first.split()[1]) - killed_at)
            leader, standby = standby, site.start()
            everyone.append(standby)
        stream.close()
    wanted = set(map(str, range(stream.count)))
    wait_until(
        lambda: not wanted.difference(*map(payloads, everyone)),
        PATIENCE,
        f"all of {stream.count} messages are handled",
    )
    handled = sum(len(payloads(worker)) for worker in everyone)
    print(
        f"\n{stream.count} messages, {handled - stream.count} handled twice; seconds from the kill "
        f"to the first message of the next leader: median {statistics.median(times):.3f}, "
        f"longest {max(times):.3f}"
    )


#: A worker counts the connections of an hour, says whether there is room, and connects without it
#: after a while that is longer than the test.
COUNTING = (
    EARLY
    + """
    from flask_mqtt.process import slots

    worker = mqtt._rs_worker
    slots.COUNTED_SECONDS, worker._room.longest, worker._lead_room.longest = 3600.0, 3600.0, 3600.0
    has_room = slots.has_room

    def say_room(identity, further):
        has = has_room(identity, further)
        say("room", has)
        return has

    slots.has_room = say_room
"""
)


def test_a_standby_waits_where_others_have_just_connected(workers: Workers, own: Mosquitto) -> None:
    site = a_site(workers, own)
    leader, standby = pair(site, COUNTING)
    for _ in range(2):
        further = site.start()
        further.kill()
    before = len(standby.having("room"))
    leader.kill()
    standby.wait_for("room", before + 5, PATIENCE)
    assert standby.having("room")[-1] == "False"
    assert standby.ask("mqtt.is_leader") == "False"
    # The counted ones are over.
    standby.tell("slots.COUNTED_SECONDS = 0.0")
    standby.wait_for("leader", timeout=PATIENCE)
    assert standby.having("as") == ["site-1", "site"]


def test_a_standby_connects_all_the_same_after_a_while(workers: Workers, own: Mosquitto) -> None:
    site = a_site(workers, own)
    leader, standby = pair(site, COUNTING)
    for _ in range(2):
        site.start().kill()
    standby.tell("worker._lead_room.longest = 0.5")
    leader.kill()
    standby.wait_for("leader", timeout=PATIENCE)
    assert standby.having("room")[-1] == "False"


def test_a_worker_that_starts_as_a_standby_waits_too(workers: Workers, own: Mosquitto) -> None:
    site = a_site(workers, own)
    pair(site)
    for _ in range(2):
        site.start().kill()
    late = site.start(COUNTING.replace("3600.0, 3600.0,", "3600.0, 0.5,"))
    assert late.having("room")[-1] == "False"
    assert late.client_id == "site-2"


@pytest.mark.parametrize("way", ["close", "SIGTERM"])
def test_a_leader_that_ends_hands_over(workers: Workers, own: Mosquitto, way: str) -> None:
    leader, standby = pair(a_site(workers, own))
    if way == "close":
        leader.tell("mqtt.close()")
        assert leader.ask("mqtt.is_leader") == "False"
    else:
        leader.process.send_signal(signal.SIGTERM)
        assert leader.process.wait(PATIENCE) == 0
    standby.wait_for("leader", timeout=PATIENCE)
    assert standby.ask("mqtt.is_leader") == "True"
    assert standby.having("as") == ["site-1", "site"]
    # The leader has said goodbye before another one became it.
    assert own.log.index("Received DISCONNECT from site\n") < own.log.rindex("connected from")
    assert publish(standby, "in/own", "own") == 0
    standby.wait_for("message own", timeout=PATIENCE)
    threads = "sorted(thread.name for thread in threading.enumerate())"
    assert standby.ask(f"'mqtt-leader' in {threads}") == "False"


def test_what_comes_between_two_leaders_is_handled(workers: Workers, own: Mosquitto) -> None:
    site = a_site(workers, own)
    leader = site.start()
    leader.wait_for("subscribed", timeout=PATIENCE)
    leader.kill()
    with client_of(own) as client:
        for number in range(20):
            client.publish("in/queued", str(number), 1).wait_for_publish(PATIENCE)
    successor = site.start()
    successor.wait_for("message", 20, PATIENCE)
    assert payloads(successor) == [str(number) for number in range(20)]


def test_a_leader_without_a_connection_stays_the_leader(workers: Workers, own: Mosquitto) -> None:
    leader, standby = pair(a_site(workers, own, reconnect_delay_min=0.1))
    own.restart()
    leader.wait_for("as", 2, PATIENCE)
    standby.wait_for("as", 2, PATIENCE)
    assert leader.ask("mqtt.is_leader") == "True"
    assert standby.ask("mqtt.is_leader") == "False"
    assert publish(standby, "in/again", "again") == 0
    leader.wait_for("message again", timeout=PATIENCE)
    assert len(leader.having("leader")) == 1


def test_a_standby_takes_over_while_the_broker_is_down(workers: Workers, own: Mosquitto) -> None:
    delays = {"reconnect_delay_min": 0.1, "reconnect_delay_max": 0.5}
    leader, standby = pair(a_site(workers, own, **delays))
    own.stop()
    standby.wait_for("disconnected", timeout=PATIENCE)
    leader.kill()
    wait_until_it_leads(standby)
    assert publish(standby, "in/kept", "kept") == MQTT_ERR_NO_CONN
    assert standby.having("leader") == []
    own.start()
    standby.wait_for("message kept", timeout=PATIENCE)
    standby.wait_for("leader", timeout=PATIENCE)
    assert standby.having("as") == ["site-1", "site"]


def test_only_the_leader_has_the_will(workers: Workers, own: Mosquitto) -> None:
    wills: list[bytes] = []
    will = {"last_will_topic": "wills", "last_will_message": "gone", "last_will_qos": 1}
    site = a_site(workers, own, **will)
    with client_of(own) as client:
        client.on_message = lambda _client, _userdata, message: wills.append(message.payload)
        client.subscribe("wills", 1)
        leader, standby = pair(site)
        third = site.start()
        third.kill()
        wait_until(lambda: "Client site-2 closed" in own.log, PATIENCE, "a standby is gone")
        leader.kill()
        standby.wait_for("leader", timeout=PATIENCE)
        wait_until(lambda: wills, PATIENCE, "the will")
        standby.kill()
        wait_until(lambda: len(wills) == 2, PATIENCE, "the will of the second leader")
    assert wills == [b"gone", b"gone"]


@pytest.mark.parametrize("kind", ["dict", "Properties"])
def test_a_standby_of_mqtt_5_leaves_no_session(workers: Workers, own: Mosquitto, kind: str) -> None:
    values = "SessionExpiryInterval=3600"
    before = f"""
    from flask_mqtt import Properties
    app.config["MQTT_CONNECT_PROPERTIES"] = {kind}({values})
    """
    leader, standby = pair(a_site(workers, own, protocol_version=5), EARLY + before)
    assert connects(own) == ["site c0", "site-1 c1"]
    leader.kill()
    standby.wait_for("leader", timeout=PATIENCE)
    standby.kill()
    assert has_session(own, "site", MQTTv5)
    assert not has_session(own, "site-1", MQTTv5)


@pytest.mark.parametrize("threads", [1, 3])
def test_on_leader_may_be_registered_late(workers: Workers, own: Mosquitto, threads: int) -> None:
    leader, standby = pair(a_site(workers, own, handler_threads=threads), BEFORE)
    for worker in (leader, standby):
        worker.tell("mqtt.on_leader()(lead)")
    assert leader.wait_for("leader", timeout=PATIENCE) == ["True True True"]
    leader.kill()
    assert standby.wait_for("leader", timeout=PATIENCE) == ["True True True"]
    assert publish(standby, "in/last", "last") == 0
    standby.wait_for("message last", timeout=PATIENCE)
    assert len(standby.having("leader")) == 1


def test_workers_need_no_client_id(workers: Workers, own: Mosquitto) -> None:
    leader, standby = pair(a_site(workers, own, client_id="", clean_session=True))
    leader.kill()
    standby.wait_for("leader", timeout=PATIENCE)
    assert publish(standby, "in/own", "own") == 0
    standby.wait_for("message own", timeout=PATIENCE)


def test_a_leader_has_the_file_and_a_standby_one_of_its_own(
    workers: Workers, own: Mosquitto, tmp_path: Path
) -> None:
    leader, standby = pair(a_site(workers, own, persistence=str(tmp_path / "messages.db")))
    files = sorted(path.name for path in tmp_path.glob("*.db"))
    assert files == ["messages-1.db", "messages.db"]
    own.stop()
    leader.wait_for("disconnected", timeout=PATIENCE)
    assert publish(leader, "in/leader", "of the leader") == MQTT_ERR_NO_CONN
    leader.kill()
    wait_until_it_leads(standby)
    own.start()
    # It has the session, and what the leader could not send.
    standby.wait_for("message of the leader", timeout=PATIENCE)


def test_a_leader_that_cannot_open_its_file_tries_again(
    workers: Workers, own: Mosquitto, tmp_path: Path
) -> None:
    file = tmp_path / "messages.db"
    leader, standby = pair(a_site(workers, own, persistence=str(file)))
    file.unlink()
    file.mkdir()
    leader.kill()
    standby.wait_for("ERROR MQTT: [Errno 21] MQTT_PERSISTENCE", timeout=PATIENCE)
    assert standby.ask("mqtt.is_leader") == "True"
    assert standby.having("leader") == []
    file.rmdir()
    standby.wait_for("leader", timeout=PATIENCE)
    assert publish(standby, "in/own", "own") == 0
    standby.wait_for("message own", timeout=PATIENCE)


#: A child that takes part, until it gets the message "end".
FORKING = """
    def fork():
        if os.fork():
            return
        mqtt.subscribe("in/#", 1)
        until(lambda: mqtt.connected, 60)
        say("child", "connected")
        until(lambda: mqtt.is_leader and mqtt.connected, 60)
        say("child", "leads")
        until(lambda: "end" in ended, 60)
        mqtt.close()
        os._exit(0)

    ended = []

    @mqtt.on_topic("in/end")
    def handle_end(client, userdata, message):
        ended.append("end")
"""


@pytest.mark.parametrize("has_file", [False, True])
def test_a_forked_child_takes_over_from_its_parent(
    workers: Workers, own: Mosquitto, tmp_path: Path, has_file: bool
) -> None:
    config = {"persistence": str(tmp_path / "messages.db")} if has_file else {}
    parent = a_site(workers, own, **config).start(EARLY + FORKING)
    parent.tell("fork()")
    parent.wait_for("child connected", timeout=PATIENCE)
    assert parent.having("child") == ["connected"]
    parent.tell("mqtt.close()")
    parent.wait_for("child leads", timeout=PATIENCE)
    with client_of(own) as client:
        client.publish("in/child", "of-the-child", 1).wait_for_publish(PATIENCE)
        parent.wait_for("message of-the-child", timeout=PATIENCE)
        client.publish("in/end", "end", 1).wait_for_publish(PATIENCE)
    wait_until(lambda: own.log.count("Received DISCONNECT from site\n") == 2, PATIENCE, "the end")
    if has_file:
        # It cannot open the file that its parent had open.
        assert sorted(path.name for path in tmp_path.glob("*.db")) == [
            "messages-1.db",
            "messages.db",
        ]


def test_init_app_again_keeps_a_standby(workers: Workers, own: Mosquitto) -> None:
    _, standby = pair(a_site(workers, own))
    standby.tell("mqtt.init_app(app)")
    assert standby.ask("mqtt.is_leader") == "False"
    assert connects(own) == ["site c0", "site-1 c1"]


@pytest.mark.parametrize("way", ["mqtt.close()", "mqtt.client.disconnect()"])
def test_a_standby_that_was_disconnected_does_not_take_over(
    workers: Workers, own: Mosquitto, way: str
) -> None:
    site = a_site(workers, own)
    leader, standby = pair(site)
    third = site.start()
    standby.tell(way)
    assert standby.ask("mqtt.is_leader") == "False"
    leader.kill()
    third.wait_for("leader", timeout=PATIENCE)
    assert standby.ask("mqtt.is_leader") == "False"
