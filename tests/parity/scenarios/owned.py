"""What an application owns: `topics`, attributes of its subclass, and names with an underscore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_mqtt import Mqtt, TopicQos
from parity.recording import describe
from parity.registry import scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from parity.recording import Run


@scenario()
def names_with_an_underscore_are_read(run: Run) -> None:
    mqtt = run.start(
        client_id="device", username="ann", password="hunter2", keepalive=9, clean_session=False,
        last_will_topic="gone", last_will_message="bye", last_will_qos=1, last_will_retain=True,
    )  # fmt: skip
    client: Any = mqtt.client
    for name in (
        "client_id", "clean_session", "userdata", "host", "username", "password", "protocol",
        "transport", "keepalive", "bind_address", "connect_timeout", "reconnect_on_failure",
        "reconnect_min_delay", "reconnect_max_delay", "max_inflight_messages",
        "max_queued_messages", "ssl", "ssl_context", "tls_insecure", "websocket_path", "will",
        "will_topic", "will_payload", "will_qos", "will_retain", "will_properties",
    ):  # fmt: skip
        run.fact(name, describe(getattr(client, f"_{name}")))
    run.fact("port", client._port == run.broker.port)
    run.fact("thread", client._thread.is_alive())
    client.loop_stop()
    run.fact("no thread", client._thread is None)


@scenario()
def names_with_an_underscore_are_assigned(run: Run) -> None:
    mqtt = run.start(username="ann", keepalive=9)
    client: Any = mqtt.client
    client._client_id, client._userdata = b"other", "mine"
    client._username, client._password, client._keepalive = b"bob", b"hunter2", 7
    client._clean_session = False
    client.reconnect()
    run.wait_event("connect", 2)
    run.fact("userdata", client.user_data_get())
    run.fact("client_id", describe(client._client_id))
    run.only("CONNECT")


@scenario()
def handlers_are_assigned_under_their_names_with_an_underscore(run: Run) -> None:
    mqtt = run.mqtt("connect", "disconnect")
    mine: Any = mqtt
    run.fact("none", mine._connect_handler is None and mine._disconnect_handler is None)
    handler = run.handler("connect", mqtt)
    mine._connect_handler, mine._disconnect_handler = handler, run.handler("disconnect", mqtt)
    run.fact("the same", mine._connect_handler is handler)
    mqtt.init_app(run.app())
    run.wait_event("connect")
    mqtt._disconnect()
    run.broker.wait_for("DISCONNECT")
    client: Any = object()
    mqtt._handle_connect(client, "data", {"session present": 1}, 0)
    mqtt._handle_disconnect(client, "data", 7)


def edit_topics(run: Run, edit: Callable[[Mqtt], None]) -> None:
    """Subscribe, edit `topics`, and let the connection be made again."""
    mqtt = run.start("subscribe", "publish")
    for number, topic in enumerate(("a", "b", "c")):
        mqtt.subscribe(topic, number)
    run.broker.wait_for("SUBSCRIBE", 3)
    edit(mqtt)
    run.broker.drop()
    run.wait_event("connect", 2)
    # What follows is behind all SUBSCRIBEs.
    mqtt.publish("end")
    run.broker.wait_for("PUBLISH")
    run.fact("topics", describe(mqtt.topics))
    run.only("SUBSCRIBE")


@scenario()
def a_topic_that_was_taken_out_is_not_subscribed_to_again(run: Run) -> None:
    edit_topics(run, lambda mqtt: mqtt.topics.__delitem__("b"))


@scenario()
def a_topic_that_was_put_in_is_subscribed_to_with_the_next_connection(run: Run) -> None:
    edit_topics(run, lambda mqtt: mqtt.topics.update(d=TopicQos("d", 2)))


@scenario()
def a_qos_that_was_changed_counts_for_the_next_connection(run: Run) -> None:
    edit_topics(run, lambda mqtt: mqtt.topics.update(c=TopicQos("c", 1)))


@scenario()
def another_dict_takes_the_place_of_topics(run: Run) -> None:
    mine = {"d": TopicQos("d", 1)}

    def replace(mqtt: Mqtt) -> None:
        mqtt.topics = mine
        mine["e"] = TopicQos("e", 0)

    edit_topics(run, replace)


@scenario()
def attributes_of_a_subclass_stay_its_own(run: Run) -> None:
    class Mine(Mqtt):
        max_inflight = "many"

        def __init__(self, *arguments: Any) -> None:
            self.transport, self._started, self._values = "road", "yes", [1]
            super().__init__(*arguments)
            self.proxy, self.stats, self.persistence, self._given = "p", {}, None, ()  # type: ignore[assignment,method-assign]

    mine: Any = Mine()
    mine.init_app(run.app())
    run.connected(mine)
    for name in (
        "transport", "proxy", "stats", "persistence", "max_inflight", "_started", "_values",
        "_given",
    ):  # fmt: skip
        run.fact(name, describe(getattr(mine, name)))
    run.call("publish", mine.publish, "a", "1")
    run.broker.wait_for("PUBLISH")


@scenario()
def something_else_may_be_among_the_extensions(run: Run) -> None:
    app = run.app()
    app.extensions["mqtt"] = "somebody's"
    run.connected(Mqtt(app))
    run.fact("left", app.extensions["mqtt"])


@scenario()
def values_assigned_before_init_app_hold_where_no_key_is_set(run: Run) -> None:
    mqtt = run.mqtt()
    mqtt.username, mqtt.password, mqtt.keepalive = "ann", "hunter2", 8
    mqtt.init_app(run.app(keepalive=9))
    run.connected(mqtt)
    run.fact("values", [mqtt.username, mqtt.password, mqtt.keepalive])
