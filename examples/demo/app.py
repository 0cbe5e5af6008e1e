"""The application: MQTT on one side, browsers on the other."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, render_template, request
from werkzeug.exceptions import BadRequest

from flask_mqtt import MQTT_ERR_NO_CONN, MQTT_ERR_SUCCESS, Mqtt, error_string

from .device import ExampleDevice
from .hub import Hub, Message

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST_FILTER = "demo/#"
#: What `publish` returns for a message that is on its way, or will be.
KEPT = (MQTT_ERR_SUCCESS, MQTT_ERR_NO_CONN)
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# With connect_async a broker that is away does not keep the application from starting.
mqtt = Mqtt(connect_async=True)
log = logging.getLogger(__name__)
hub = Hub()
device = ExampleDevice(mqtt)


def create_app(config: Mapping[str, object] | None = None) -> Flask:
    """Make the application.

    `config` goes over the environment, where every key may be that begins with MQTT_.
    """
    app = Flask(__name__)
    app.config.from_mapping(environment(), DEMO_BROKER_IS_EMBEDDED=False)
    app.config.from_mapping(config)

    mqtt.init_app(app)
    # Remembered until there is a connection, and restored after every reconnect.
    mqtt.subscribe(FIRST_FILTER)

    app.add_url_rule("/", view_func=page)
    app.add_url_rule("/events", view_func=events)
    app.add_url_rule("/api/subscribe", view_func=subscribe, methods=["POST"])
    app.add_url_rule("/api/unsubscribe", view_func=unsubscribe, methods=["POST"])
    app.add_url_rule("/api/publish", view_func=publish, methods=["POST"])
    app.add_url_rule("/api/device", view_func=switch_device, methods=["POST"])
    app.register_error_handler(ValueError, refused_by_mqtt)
    app.register_error_handler(BadRequest, refused_by_view)
    app.after_request(add_security_headers)
    return app


def environment() -> dict[str, str]:
    """Return the MQTT_* keys of the environment."""
    return {key: value for key, value in os.environ.items() if key.startswith("MQTT_")}


# --- MQTT: these run in the dispatcher's thread, one at a time -------------------------------


@mqtt.on_connect()
def connected(client: object, userdata: object, flags: object, rc: int) -> None:
    """Tell the browsers that the broker took the connection, or why it did not."""
    hub.announce(state(refused=None if rc == 0 else int(rc)))
    if rc == 0:
        again = " again" if mqtt.stats()["reconnects"] else ""
        log.info("Connected%s: %s", again, broker())


@mqtt.on_disconnect()
def disconnected(client: object, userdata: object, rc: int) -> None:
    """Tell the browsers that the broker is away."""
    hub.announce(state())


@mqtt.on_publish()
def published(client: object, userdata: object, mid: int) -> None:
    """Tell the browsers that a message is written (QoS 0), or acknowledged by the broker."""
    hub.confirm(mid)


@mqtt.on_message()
def message_arrived(client: object, userdata: object, message: Any) -> None:
    """Hand a message to the browsers."""
    hub.add(Message(message.topic, message.payload, message.qos, message.retain))


def state(refused: int | None = None) -> dict[str, object]:
    """Everything the page shows apart from the messages."""
    return {
        "broker": broker(),
        "connected": mqtt.connected,
        "refused": refused,
        "topics": [{"topic": topic.topic, "qos": topic.qos} for topic in mqtt.topics.values()],
        "device": device.running,
    }


def broker() -> str:
    """Return the address of the broker: of several, the one that is connected or tried."""
    # A unix socket has no port.
    host, port = mqtt.client.host, mqtt.client.port
    return mqtt.stats()["broker"] or (f"{host}:{port}" if port else host)


# --- HTTP ------------------------------------------------------------------------------------


def page() -> str:
    """Show the page."""
    return render_template(
        "index.html", broker=broker(), device_topic=device.TOPIC, first_filter=FIRST_FILTER
    )


def events() -> Response:
    """Send the state, and from then on whatever happens, as server-sent events."""
    response = Response(hub.stream(state()), mimetype="text/event-stream")
    # A proxy that buffers would hold the messages back.
    response.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    return response


def subscribe() -> dict[str, object]:
    """Subscribe to {"topic": filter, "qos": 0..2}."""
    body = json_object()
    rc, _mid = mqtt.subscribe(text(body, "topic"), whole_number(body, "qos"))
    hub.announce(state())
    return outcome(rc, kept="There is no connection. The next one will have the subscription.")


def unsubscribe() -> dict[str, object]:
    """Unsubscribe from {"topic": filter}."""
    # None for a filter that is not subscribed: then there is nothing to do, which is no error.
    rc, _mid = mqtt.unsubscribe(text(json_object(), "topic")) or (MQTT_ERR_SUCCESS, None)
    hub.announce(state())
    return outcome(rc, kept="There is no connection. The next one is without the subscription.")


def publish() -> dict[str, object]:
    """Publish {"topic": name, "payload": text, "qos": 0..2, "retain": true or false}."""
    body = json_object()
    qos = whole_number(body, "qos")
    retain = body.get("retain", False) is True
    rc, mid = mqtt.publish(text(body, "topic"), text(body, "payload"), qos, retain)
    if rc == MQTT_ERR_NO_CONN and qos == 0:
        return {"ok": False, "note": "Not sent: there was no connection, and QoS 0 keeps nothing."}
    kept = "There is no connection. The message is kept, and sent when the broker is back."
    # `mid` is what the event `confirmed` will have.
    return outcome(rc, kept=kept) | ({"mid": mid} if rc in KEPT else {})


def switch_device() -> dict[str, object]:
    """Start or stop the example device: {"running": true or false}."""
    if json_object().get("running") is True:
        device.start()
    else:
        device.stop()
    hub.announce(state())
    return {"ok": True, "note": ""}


def refused_by_mqtt(error: ValueError) -> tuple[dict[str, object], int]:
    """Answer with the reason what the extension refuses: a malformed filter, a QoS of 3."""
    return {"ok": False, "note": str(error)}, 400


def refused_by_view(error: BadRequest) -> tuple[dict[str, object], int]:
    """Answer with the reason what a view refuses."""
    return {"ok": False, "note": error.description}, 400


def add_security_headers(response: Response) -> Response:
    """Forbid the page everything it does not need: what it shows is not to be trusted."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def json_object() -> dict[str, Any]:
    """Return the body of the request, which another site's form cannot send as JSON."""
    body = request.get_json()
    if not isinstance(body, dict):
        raise BadRequest("a JSON object is expected")
    return body


def text(body: dict[str, Any], key: str) -> str:
    """Return a string from the body of a request."""
    value = body.get(key)
    if not isinstance(value, str):
        raise BadRequest(f"{key} must be a text")
    return value


def whole_number(body: dict[str, Any], key: str) -> int:
    """Return a whole number from the body of a request, 0 if it is not there."""
    value = body.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequest(f"{key} must be a whole number")
    return value


def outcome(rc: int, *, kept: str) -> dict[str, object]:
    """Put a return code of the extension into words; `waits` is what a connection brings about."""
    if rc == MQTT_ERR_SUCCESS:
        return {"ok": True, "note": ""}
    if rc == MQTT_ERR_NO_CONN:
        return {"ok": True, "note": kept, "waits": True}
    return {"ok": False, "note": f"The client refused: {error_string(rc)}"}
