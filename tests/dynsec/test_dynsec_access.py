"""What the plugin's objects mean for clients of a real mosquitto."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any

from flask_mqtt import Client, MQTTMessage
from flask_mqtt.dynsec import Acl, AclType, commands
from support.running import closing
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_mqtt.dynsec import DynamicSecurity
    from support.dynsec import DynsecMosquitto

NOT_AUTHORIZED = 5


class Device(Client):
    """A client that keeps what happens to it."""

    def __init__(self, username: str | None, password: str | None, client_id: str = "") -> None:
        super().__init__(client_id=client_id, reconnect_on_failure=False)
        if username is not None:
            self.username_pw_set(username, password)
        self.codes: queue.Queue[int] = queue.Queue()
        self.granted: queue.Queue[int] = queue.Queue()
        self.received: list[tuple[str, bytes]] = []
        self.ended = threading.Event()
        self.on_connect = lambda _client, _userdata, _flags, rc: self.codes.put(int(rc))
        self.on_subscribe = self._subscribed
        self.on_disconnect = lambda *_: self.ended.set()
        self.on_message = self._message

    def _subscribed(self, _client: Any, _userdata: Any, _mid: int, granted: Any) -> None:
        self.granted.put(int(granted[0]))

    def _message(self, _client: Any, _userdata: Any, message: MQTTMessage) -> None:
        self.received.append((message.topic, message.payload))

    def may_subscribe(self, topic: str) -> bool:
        self.subscribe(topic)
        return self.granted.get(timeout=20) < 128

    def publish_confirmed(self, topic: str, payload: str) -> None:
        self.publish(topic, payload, qos=1).wait_for_publish(20)


@contextlib.contextmanager
def device(
    broker: DynsecMosquitto, username: str | None, password: str | None = None, client_id: str = ""
) -> Iterator[Device]:
    """Give a client that has been let in."""
    client = Device(username, password, client_id)
    with closing(client):
        assert login(broker, client) == 0
        yield client


def login(broker: DynsecMosquitto, client: Device) -> int:
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    return client.codes.get(timeout=20)


def is_let_in(broker: DynsecMosquitto, username: str, password: str, client_id: str = "") -> bool:
    client = Device(username, password, client_id)
    with closing(client):
        code = login(broker, client)
    assert code in (0, NOT_AUTHORIZED)
    return code == 0


def test_a_created_client_can_log_in_and_a_deleted_one_cannot(
    plugin: DynsecMosquitto, dynsec: DynamicSecurity
) -> None:
    assert not is_let_in(plugin, "life", "secret")
    dynsec.create_client("life", "secret")
    assert is_let_in(plugin, "life", "secret")
    assert not is_let_in(plugin, "life", "another")
    with device(plugin, "life", "secret") as client:
        dynsec.disable_client("life")
        assert client.ended.wait(20)
    assert not is_let_in(plugin, "life", "secret")
    dynsec.enable_client("life")
    dynsec.set_client_password("life", "new ☃")
    assert not is_let_in(plugin, "life", "secret")
    assert is_let_in(plugin, "life", "new ☃")
    dynsec.modify_client("life", password="newer")
    assert is_let_in(plugin, "life", "newer")
    dynsec.set_client_id("life", "me")
    assert not is_let_in(plugin, "life", "newer", "you")
    assert is_let_in(plugin, "life", "newer", "me")
    with device(plugin, "life", "newer", "me") as client:
        dynsec.delete_client("life")
        assert client.ended.wait(20)
    assert not is_let_in(plugin, "life", "newer", "me")


def test_a_client_is_held_to_its_acls(plugin: DynsecMosquitto, dynsec: DynamicSecurity) -> None:
    dynsec.execute(
        commands.create_role(
            "sensor",
            acls=[
                Acl(AclType.PUBLISH_CLIENT_SEND, "acl/one/#"),
                Acl(AclType.PUBLISH_CLIENT_SEND, "acl/one/secret", allow=False, priority=1),
            ],
        ),
        commands.create_role(
            "dashboard", acls=[Acl(AclType.SUBSCRIBE_PATTERN, "acl/#")], textname="Reads"
        ),
        commands.create_group("people", roles=["dashboard"]),
        commands.create_client("one", "1", roles=["sensor"]),
        commands.create_client("person", "p", groups=["people"]),
    )
    with device(plugin, "person", "p") as reader, device(plugin, "one", "1") as sensor:
        assert reader.may_subscribe("acl/#")
        assert not reader.may_subscribe("other/#")
        assert not sensor.may_subscribe("acl/#")
        for topic in ("acl/two/t", "acl/one/secret", "acl/one/t"):
            sensor.publish_confirmed(topic, "21")
        reader.publish_confirmed("acl/one/t", "forbidden")
        wait_until(lambda: reader.received)
        # Later than the one that was not passed on.
        sensor.publish_confirmed("acl/one/t", "22")
        wait_until(lambda: len(reader.received) >= 2)
        assert reader.received == [("acl/one/t", b"21"), ("acl/one/t", b"22")]
        dynsec.remove_group_client("people", "person")
        assert reader.ended.wait(20)
    with device(plugin, "person", "p") as reader:
        assert not reader.may_subscribe("acl/#")


def test_who_has_no_user_name_is_of_the_anonymous_group(
    plugin: DynsecMosquitto, dynsec: DynamicSecurity
) -> None:
    dynsec.create_role("public", acls=[Acl(AclType.SUBSCRIBE_LITERAL, "public/+")])
    dynsec.create_group("visitors", roles=["public"])
    dynsec.set_anonymous_group("visitors")
    with device(plugin, None) as visitor:
        assert visitor.may_subscribe("public/+")
        assert not visitor.may_subscribe("public/x")
