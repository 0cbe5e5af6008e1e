"""An application that uses the whole interface; mypy has to accept every line of it.

`build` makes everything without a connection, so that it can be run, too.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from werkzeug.routing import UnicodeConverter

from flask_mqtt import (
    MQTT_CLEAN_START_FIRST_ONLY,
    MQTT_ERR_NO_CONN,
    MQTT_ERR_SUCCESS,
    CallbackAPIVersion,
    CallbackOnConnect,
    CallbackOnMessage,
    Client,
    ConnectFlags,
    DisconnectFlags,
    InvalidPayload,
    LogLevel,
    MessageState,
    Mqtt,
    MqttBlueprint,
    MQTTErrorCode,
    MQTTMatcher,
    MQTTMessage,
    MQTTMessageInfo,
    MQTTProtocolVersion,
    MQTTv5,
    PacketTypes,
    Properties,
    ReasonCode,
    SubscribeOptions,
    TopicQos,
    connack_string,
    error_string,
    topic_matches_sub,
)

if TYPE_CHECKING:
    from flask import Flask

# -- handlers of version 1 ---------------------------------------------------------------------


def connected(client: Client, userdata: Any, flags: dict[str, Any], rc: int) -> None:
    print(connack_string(rc), flags["session present"])
    client.subscribe("a")


def connected_5(
    client: Client,
    userdata: Any,
    flags: dict[str, Any],
    rc: ReasonCode,
    properties: Properties | None,
) -> None:
    print(rc.getName(), rc.is_failure, properties)


def disconnected(client: Client, userdata: Any, rc: MQTTErrorCode) -> None:
    print(error_string(rc))


def disconnected_5(client: Client, userdata: Any, rc: int, properties: Properties | None) -> None:
    print(rc, properties)


def ended() -> None:
    print("as Flask-MQTT before 1.3")


def received(client: Client, userdata: Any, message: MQTTMessage) -> None:
    topic: str = message.topic
    payload: bytes = message.payload
    state: MessageState = message.state
    print(topic, payload, message.qos, message.retain, message.dup, message.mid, message.timestamp)
    print(state, message.info, message.properties)
    code: MQTTErrorCode = client.ack(message.mid, message.qos)
    print(code)


async def received_later(client: Client, userdata: Any, message: MQTTMessage) -> None:
    print(message.payload.decode())


def published(client: Client, userdata: Any, mid: int) -> None:
    print(mid)


def subscribed(client: Client, userdata: Any, mid: int, granted: tuple[int, ...]) -> None:
    print(mid, granted)


def unsubscribed(client: Client, userdata: Any, mid: int) -> None:
    print(mid)


def logged(client: Client, userdata: Any, level: int, text: str) -> None:
    print(level, text)


def about_to_connect(client: Client, userdata: Any) -> None:
    client.username_pw_set("me", "fetched just now")


# -- handlers of version 2 ---------------------------------------------------------------------


def connected_v2(
    client: Client, userdata: Any, flags: ConnectFlags, rc: ReasonCode, properties: Properties
) -> None:
    print(flags.session_present, rc == "Success", properties.json())


def disconnected_v2(
    client: Client, userdata: Any, flags: DisconnectFlags, rc: ReasonCode, properties: Properties
) -> None:
    print(flags.is_disconnect_packet_from_server, rc.value, properties)


def published_v2(
    client: Client, userdata: Any, mid: int, rc: ReasonCode, properties: Properties
) -> None:
    print(mid, rc, properties)


def answered_v2(
    client: Client, userdata: Any, mid: int, codes: list[ReasonCode], properties: Properties
) -> None:
    print(mid, [str(code) for code in codes], properties)


def leveled(client: Client, userdata: Any, level: LogLevel, text: str) -> None:
    print(level.name, text)


# -- clients -----------------------------------------------------------------------------------


def client_of_version_1() -> Client:
    client = Client(client_id="one", clean_session=False, userdata={}, transport="websockets")
    client.on_connect = connected
    client.on_connect = connected_5
    client.on_disconnect = disconnected
    client.on_disconnect = disconnected_5
    client.on_disconnect = ended
    client.on_message = received
    client.on_message = received_later
    client.on_publish = published
    client.on_subscribe = subscribed
    client.on_unsubscribe = unsubscribed
    client.on_log = logged
    client.on_pre_connect = about_to_connect
    client.on_connect_fail = about_to_connect
    client.on_connect = None
    handler: CallbackOnConnect | None = client.on_connect
    print(handler, client.on_message)
    return client


def client_of_version_2() -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=None,
        protocol=MQTTv5,
        reconnect_on_failure=True,
        manual_ack=True,
    )
    client.on_connect = connected_v2
    client.on_disconnect = disconnected_v2
    client.on_publish = published_v2
    client.on_subscribe = answered_v2
    client.on_unsubscribe = answered_v2
    client.on_log = leveled
    return client


def decorated() -> Client:
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect_callback()(connected_v2)
    client.disconnect_callback()(disconnected_v2)
    client.publish_callback()(published_v2)
    client.subscribe_callback()(answered_v2)
    client.unsubscribe_callback()(answered_v2)
    client.log_callback()(leveled)
    client.pre_connect_callback()(about_to_connect)
    client.connect_fail_callback()(about_to_connect)
    client.message_callback()(received)

    @client.topic_callback("a/+")
    def on_topic(client: Client, userdata: Any, message: MQTTMessage) -> str:
        return message.topic

    same: CallbackOnMessage = on_topic
    client.message_callback_add("b", same)
    client.message_callback_remove("b")
    return client


def settings(client: Client) -> None:
    client.username_pw_set("me", "secret")
    client.tls_set(
        ssl.get_default_verify_paths().cafile, cert_reqs=ssl.CERT_REQUIRED, alpn_protocols=["mqtt"]
    )
    client.tls_insecure_set(True)
    client.tls_set_context(ssl.create_default_context())
    client.ws_set_options("/mqtt", {"X-Mine": "yes"})
    client.ws_set_options("/mqtt", lambda headers: headers | {"X-Mine": "yes"})
    client.proxy_set(proxy_type=3, proxy_addr="proxy.lan", proxy_port=3128)
    client.will_set("gone", b"", qos=1, retain=True)
    client.will_clear()
    client.user_data_set([])
    print(client.user_data_get())
    client.max_inflight_messages_set(10)
    client.max_queued_messages_set(100).max_queued_messages_set(0)
    client.manual_ack_set(False)
    client.reconnect_delay_set(min_delay=1, max_delay=60)
    client.enable_logger(logging.getLogger("mine"))
    client.disable_logger()


def attributes(client: Client) -> None:
    client.host, client.port, client.keepalive = "localhost", 1883, 30
    client.transport, client.connect_timeout = "tcp", 2.5
    client.username, client.password = None, None
    client.max_inflight_messages, client.max_queued_messages = 20, 0
    client.logger = logging.getLogger("mine")
    version: MQTTProtocolVersion = client.protocol
    api: CallbackAPIVersion = client.callback_api_version
    topic: str = client.will_topic
    payload: bytes = client.will_payload
    print(version, api, topic, payload, client.is_connected(), client.on_socket_open)


def connection(client: Client) -> int:
    code: MQTTErrorCode = client.connect("localhost", 1883, keepalive=30)
    client.connect_async("localhost", clean_start=MQTT_CLEAN_START_FIRST_ONLY, properties=None)
    client.loop_start()
    client.loop_stop()
    if client.loop(timeout=0.5) == MQTT_ERR_NO_CONN:
        client.reconnect()
    client.disconnect(
        ReasonCode(PacketTypes.DISCONNECT, identifier=4), Properties(PacketTypes.DISCONNECT)
    )
    client.close()
    return client.loop_forever(retry_first_connection=True) or code


def messages(client: Client) -> bool:
    rc, mid = client.publish("a", "payload", qos=1, retain=False)
    granted, _ = client.subscribe([("a", 1), ("b", SubscribeOptions(qos=2))])
    client.subscribe("a", qos=1)
    client.unsubscribe(["a", "b"])
    print(mid, topic_matches_sub("a/#", "a"))
    return rc == MQTT_ERR_SUCCESS and granted == MQTT_ERR_SUCCESS


# -- the extension -----------------------------------------------------------------------------


def extension() -> Mqtt:
    mqtt = Mqtt(config_prefix="MQTT", mqtt_logging=True)

    @mqtt.on_connect()
    def on_connect(client: Client, userdata: Any, flags: dict[str, Any], rc: int) -> None:
        mqtt.subscribe("a", qos=1)

    @mqtt.on_topic("a")
    def on_topic(client: Client, userdata: Any, message: MQTTMessage) -> None:
        mqtt.publish("b", message.payload)

    mqtt.on_message()(received)
    mqtt.on_disconnect()(disconnected)
    mqtt.on_publish()(published)
    mqtt.on_subscribe()(subscribed)
    mqtt.on_unsubscribe()(unsubscribed)
    mqtt.on_log()(logged)

    @mqtt.on_leader()
    def lead(client: Client, userdata: Any) -> None:
        leads: bool = mqtt.is_leader
        client.publish("leader", leads)

    topics: dict[str, TopicQos] = mqtt.topics
    print(topics, mqtt.connected, mqtt.client.host)
    return mqtt


@dataclass
class Reading:
    """A payload."""

    value: float


def routes() -> Mqtt:
    mqtt = Mqtt()

    @mqtt.topic("sensors/<int:number>", qos=1, dead_letter="errors/{topic}", response=True)
    def reading(
        client: Client, message: MQTTMessage, number: int, reading: Reading
    ) -> dict[str, float]:
        return {message.topic: reading.value + number}

    @mqtt.on_invalid()
    def invalid(client: Client, message: MQTTMessage, error: InvalidPayload) -> None:
        print(error.path, error.reason)

    mqtt.sends("sensors/<int:number>/set", Reading, qos=1, retain=True)
    mqtt.converters["word"] = UnicodeConverter
    mqtt.register_blueprint(blueprint(), prefix="other/<int:number>", name="other")
    topic: str = mqtt.topic_for("other.state", absolute=True, number=3)
    count: int = mqtt.stats()["routes"]["routes"]
    print(topic, count)
    return mqtt


def blueprint() -> MqttBlueprint:
    made = MqttBlueprint("lamps", prefix="lamps/<int:number>")

    @made.topic("state", qos=1, share="workers")
    async def state(client: Client, message: MQTTMessage, number: int) -> None:
        print(client, message.payload, number)

    @made.on_topic("log/#")
    def log(client: Client, userdata: Any, message: MQTTMessage) -> None:
        print(message.topic)

    @made.before_message()
    def before(client: Client, message: MQTTMessage) -> str | None:
        return None if message.payload else "nothing to do"

    @made.errorhandler(KeyError)
    def missing(client: Client, message: MQTTMessage, error: KeyError) -> None:
        print(error.args)

    made.after_message()(lambda client, message: None)
    made.register_blueprint(MqttBlueprint("inner"))
    return made


def send_json(mqtt: Mqtt) -> None:
    mqtt.publish("a", {"values": [1, 2.5]})
    mqtt.publish("a", Reading(21.5), properties={"ContentType": "application/senml+json"})


def serve(app: Flask, mqtt: Mqtt) -> bool:
    mqtt.init_app(app)
    rc, _ = mqtt.publish("a", "payload", qos=1)
    mqtt.unsubscribe("a")
    everything: bool = mqtt.unsubscribe_all()
    with mqtt:
        return everything and rc == MQTT_ERR_SUCCESS


def build() -> list[Client]:
    """Make what needs no broker."""
    clients = [client_of_version_1(), client_of_version_2(), decorated()]
    clients += [extension().client, routes().client]
    for client in clients:
        attributes(client)
    settings(clients[-1])
    return clients


def confirmed(client: Client, mqtt: Mqtt) -> bool:
    rc, mid = client.publish("a", "x", 1)
    info: MQTTMessageInfo = mqtt.publish("a", b"x", qos=1)
    info.wait_for_publish(timeout=5)
    code: MQTTErrorCode = info.rc
    return info.is_published() and (rc, mid) != info and code == MQTT_ERR_SUCCESS


async def awaited(mqtt: Mqtt) -> int:
    info: MQTTMessageInfo = await mqtt.publish("a", 1.5, qos=2)
    return info.mid


def matched(matcher: MQTTMatcher) -> list[Any]:
    matcher["a/+"] = print
    del matcher["a/+"]
    return list(matcher.iter_match("a/b"))
