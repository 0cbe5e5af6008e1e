"""Arguments of a client's methods that make no sense: the error says which, and what is right."""

from __future__ import annotations

import logging
import math
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NOT_FOUND, Client, MQTTv5

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.mosquitto import Mosquitto


def _acknowledging(client: Client) -> Client:
    client.manual_ack_set(True)
    return client


def _of_5() -> Client:
    return Client(protocol=MQTTv5)


BAD: dict[str, tuple[type[Exception], str, Callable[[Client], Any]]] = {
    "qos text": (TypeError, "QoS '1'", lambda client: client.publish("a", "x", "1")),  # type: ignore[arg-type]
    "qos none": (TypeError, "QoS None", lambda client: client.publish("a", "x", None)),  # type: ignore[arg-type]
    "qos large": (ValueError, "QoS 1000", lambda client: client.publish("a", "x", 10**30)),
    "qos of subscribe": (ValueError, "QoS 1000", lambda client: client.subscribe("a", 10**30)),
    "handler": (TypeError, "on_connect 5", lambda client: setattr(client, "on_connect", 5)),
    "on_message": (TypeError, "on_message 5", lambda client: setattr(client, "on_message", 5)),
    "callback": (TypeError, "callback 5", lambda client: client.message_callback_add("a", 5)),  # type: ignore[arg-type]
    "sub": (TypeError, "sub 5", lambda client: client.message_callback_add(5, print)),  # type: ignore[arg-type]
    "removed": (TypeError, "sub 5", lambda client: client.message_callback_remove(5)),  # type: ignore[arg-type]
    "logger": (TypeError, "logger 5", lambda client: client.enable_logger(5)),  # type: ignore[arg-type]
    "ack mid": (TypeError, "mid 'x'", lambda client: _acknowledging(client).ack("x", 1)),  # type: ignore[arg-type]
    "ack qos": (TypeError, "qos 'x'", lambda client: _acknowledging(client).ack(1, "x")),  # type: ignore[arg-type]
    "reason": (ValueError, "reasoncode -1", lambda client: _of_5().disconnect(-1)),
    "loop": (TypeError, "timeout '1'", lambda client: client.loop("1")),  # type: ignore[arg-type]
    "loop nan": (ValueError, "timeout nan", lambda client: client.loop(math.nan)),
    "forever": (TypeError, "timeout None", lambda client: client.loop_forever(None)),  # type: ignore[arg-type]
    "forever nan": (ValueError, "timeout nan", lambda client: client.loop_forever(math.nan)),
}


@pytest.mark.parametrize(("error", "named", "call"), BAD.values(), ids=BAD)
def test_the_error_names_the_argument_and_the_value(
    error: type[Exception], named: str, call: Callable[[Client], Any]
) -> None:
    with pytest.raises(error, match=f"{named}.*: it must be "):
        call(Client())


def test_an_identifier_that_there_cannot_be_is_not_found() -> None:
    assert _acknowledging(Client()).ack(70_000, 1) == MQTT_ERR_NOT_FOUND


def test_a_loop_may_wait_for_as_long_as_it_takes(broker: Mosquitto) -> None:
    client = Client()
    client.on_connect = lambda client, *_: client.disconnect()
    client.connect(broker.host, broker.port)
    client.loop_forever(math.inf)
    assert not client.is_connected()


def test_a_logger_that_raises_does_not_end_the_thread(
    broker: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(_record: logging.LogRecord) -> bool:
        raise RuntimeError("no such luck")

    broken = logging.getLogger("test_bad_client_calls")
    broken.setLevel(logging.DEBUG)
    broken.addFilter(failing)
    connected = threading.Event()
    client = Client()
    client.enable_logger(broken)
    client.on_connect = lambda *_: connected.set()
    client.connect(broker.host, broker.port)
    client.loop_start()
    assert connected.wait(20)
    client.disconnect()
    client.loop_stop()
    # The log may be what has failed.
    assert "RuntimeError: no such luck" in capsys.readouterr().err
