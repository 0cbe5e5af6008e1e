"""Keys that are none: a slip of the pen is told, a key of the application is not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, Mqtt
from flask_mqtt.config import KEYS, read
from flask_mqtt.config.suggestions import meant
from support.apps import make_app

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker

pytestmark = pytest.mark.smoke

SLIPS = {
    "BROKER_URL": "BROKER_ULR BROKR_URL BROKERURL URL_BROKER BROKER_URLS",
    "BROKER_PORT": "BROKER_PRT BROKERPORT BROKER_PORTS",
    "TLS_ENABLED": "TLS_ENABLE TLS_ENABELD TSL_ENABLED TLSENABLED ENABLED_TLS",
    "TLS_CA_CERTS": "TLS_CA_CERT TLS_CACERTS TLS_CA_CRETS",
    "TLS_CERTFILE": "TLS_CERT_FILE TLS_CERTIFILE",
    "TLS_KEYFILE": "TLS_KEY_FILE TLS_KEYFIL",
    "TLS_CERT_REQS": "TLS_CERT_REQ TLS_CERTREQS",
    "TLS_INSECURE": "TLS_INSECUR TLS_UNSECURE",
    "USERNAME": "USER_NAME USERNMAE USENAME",
    "PASSWORD": "PASSWROD PASWORD PASS_WORD",
    "CLIENT_ID": "CLIENTID CLIENT_IDS CLEINT_ID",
    "KEEPALIVE": "KEEP_ALIVE KEPALIVE",
    "CLEAN_SESSION": "CLEANSESSION CLEAN_SESION",
    "LAST_WILL_TOPIC": "LASTWILL_TOPIC LAST_WIL_TOPIC WILL_LAST_TOPIC",
    "PERSISTENCE": "PERSISTANCE",
    "PROXY": "PROXI",
}

OTHERS = {
    "BROKER_URL": "SERVER_URL HOST HOSTNAME URI URL BROKER BROKER_HOST BROKER_IP SERVER "
    "BROKER_HSOT BROKER_ADRESS BROKER_ADDR HOST_IP CONNECTION_URL",
    "BROKER_PORT": "PORT SERVER_PORT",
    "USERNAME": "USER BROKER_USERNAME BROKER_USERNAM SERVER_USER",
    "PASSWORD": "BROKER_PASSWD PASS PASSWD PWD BROKER_PASSWORD",
    "TLS_ENABLED": "BROKER_TLS_ENABLED BROKER_SSL ENCRYPTED SSL TLS USE_TLS USE_SSL ENABLE_TLS "
    "SSL_ENABLED SSL_ENABLE SECURE MQTTS USE_MQTTS SECURE_CONNECTION",
    "TLS_CA_CERTS": "CA CA_CERT CA_CERTS CA_FILE CAFILE SSL_CA_CERTS SSL_CA TLS_CA",
    "TLS_CERTFILE": "CERTFILE CERT_FILE CLIENT_CERT SSL_CERTFILE TLS_CERT",
    "TLS_KEYFILE": "KEYFILE KEY_FILE CLIENT_KEY SSL_KEYFILE TLS_KEY",
    "TLS_VERSION": "SSL_VERSION TLS_VER",
    "LAST_WILL_TOPIC": "WILL_TOPIC LWT_TOPIC",
    "KEEPALIVE": "KEEPALIVE_TIME KEEPALIVE_SECS",
    "TLS_CERT_REQS": "TLS_CERT_REQUIRED TLS_REQUIRE_CERT",
    "TRANSPORT": "TRANSPORT_TYPE",
    "RECONNECT_DELAY_MAX": "RECONNECT_MAX",
    "BIND_ADDRESS": "BIND_ADDR",
    "PERSISTENCE": "PERSISTENCE_FILE",
    "LAST_WILL_MESSAGE": "LAST_WILL_MSG WILL_MESSAGE WILL_PAYLOAD LWT_PAYLOAD",
    "PROTOCOL_VERSION": "PROTOCOL PROTOCOL_VER VERSION",
    "WS_PATH": "WEBSOCKET_PATH WEBSOCKETS_PATH",
}

#: What real applications have beside the keys.
OWN = """
    REFRESH_TIME TOPIC TOPICS DEVICE DEVICES DEVICE_ID QOS RETAIN ENABLED ENABLE DEBUG LOG_LEVEL
    BASE_TOPIC TOPIC_PREFIX STATUS_TOPIC CLIENT CLIENTS CLIENT_NAME NAME ID KEY SECRET
    TOKEN PAYLOAD MESSAGE MESSAGES INTERVAL TIMEOUT RETRIES MAX_RETRIES RETRY RECONNECT NAMESPACE
    SUBSCRIBE_TOPIC PUBLISH_TOPIC SENSOR_TOPIC DISCOVERY_PREFIX GROUP HANDLER HANDLERS WORKERS
    LOCATION ROOM SITE HUB GATEWAY USER_TOPIC USERS COMMAND_TOPIC STATE_TOPIC ROOT_TOPIC TEST
    QUEUE QUEUE_NAME DB_URL DATABASE BROKER_NAME BROKER_TYPE BROKER_ID FORMAT ENCODING LAST_SEEN
    AVAILABILITY AVAILABILITY_TOPIC TEMPERATURE DEFAULT_QOS PUBLISH_INTERVAL SUBSCRIPTIONS CHANNEL
    POST POSTS PATH ROOT API_KEY API_URL WEB_PORT WS_PORT HTTP_PORT DASHBOARD_URL NODE_ID LOGGING
    LOG_FILE MODE AUTO_CONNECT CONNECT DELAY POLL_INTERVAL MAX_AGE
    MAX_MESSAGES EXPIRY RESPONSE_TOPIC REQUEST_TOPIC 2_BROKER_PORT LOCAL_BROKER_URL B_USERNAME
    BROWSER_URL PERSISTENT TRANSPORTS BRIDGE_HOST BIRTH_MESSAGE LWT_ENABLED WEBSOCKET_URL USE_MQTT
    CLOUD_TLS_ENABLED CLIENT_VERSION CLIENT_TYPE CONNECTION_STATUS
"""


def warnings(caplog: pytest.LogCaptureFixture, keys: dict[str, Any], prefix: str) -> list[str]:
    read(keys, prefix)
    assert {record.levelno for record in caplog.records} <= {logging.WARNING}
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (right, wrong)
        for table in (SLIPS, OTHERS)
        for right, names in table.items()
        for wrong in names.split()
    ],
)
def test_a_slip_and_a_name_of_another_package_are_told_with_the_key(
    right: str, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = warnings(caplog, {f"MQTT_{wrong}": "s3cret"}, "MQTT")
    assert said == [
        f"MQTT_{wrong} is not a key of Flask-MQTT and has no effect; did you mean MQTT_{right}?"
    ]


@pytest.mark.parametrize("name", OWN.split())
def test_a_key_that_merely_shares_the_prefix_is_silent(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert warnings(caplog, {f"MQTT_{name}": "x"}, "MQTT") == []


# A name of four letters has too many neighbours that are an application's own.
@pytest.mark.parametrize("name", sorted(key for key in KEYS if len(key) > 4))
def test_every_key_is_found_from_a_swap_and_a_missing_letter(name: str) -> None:
    middle = len(name) // 2
    swapped = name[: middle - 1] + name[middle] + name[middle - 1] + name[middle + 1 :]
    for wrong in (swapped, name[:middle] + name[middle + 1 :]):
        assert wrong in KEYS or meant(wrong, KEYS) == name


@pytest.mark.parametrize(
    "key", ["MQTT_TLS_ENABLED ", " MQTT_TLS_ENABLED", "MQTT-TLS-ENABLED", "MQTT.TLS_ENABLED"]
)
def test_a_key_with_other_signs_than_underscores_is_shown_with_them(
    key: str, caplog: pytest.LogCaptureFixture
) -> None:
    [said] = warnings(caplog, {key: True}, "MQTT")
    assert said.startswith(f"{key!r} is not a key")
    assert said.endswith("did you mean MQTT_TLS_ENABLED?")


def test_a_value_that_the_right_key_has_too_is_no_mistake(caplog: pytest.LogCaptureFixture) -> None:
    keys = {"MQTT_HOST": "localhost", "MQTT_PORT": "1884", "MQTT_USE_TLS": "False"}
    copies = {"MQTT_BROKER_URL": "localhost", "MQTT_BROKER_PORT": 1884, "MQTT_TLS_ENABLED": False}
    assert warnings(caplog, keys | copies, "MQTT") == []
    [said] = warnings(caplog, keys | copies | {"MQTT_HOST": "another"}, "MQTT")
    assert said.endswith("did you mean MQTT_BROKER_URL?")


def test_the_prefix_is_that_of_the_extension(caplog: pytest.LogCaptureFixture) -> None:
    keys = {"SENSORS_TLS_ENABLE": True, "MQTT_HOST": "x", "OTHER_TLS_ENABLE": True}
    [said] = warnings(caplog, keys, "SENSORS")
    assert said.endswith("did you mean SENSORS_TLS_ENABLED?")


def test_it_is_told_once_and_changes_nothing(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(scripted.port, host="elsewhere.invalid", tls_enable=True)
    with caplog.at_level(logging.WARNING, "flask_mqtt"), Mqtt(app):
        scripted.wait_for("CONNECT")
    said = [record.getMessage() for record in caplog.records]
    assert sum("did you mean MQTT_BROKER_URL?" in line for line in said) == 1
    assert sum("did you mean MQTT_TLS_ENABLED?" in line for line in said) == 1
    assert "elsewhere" not in " ".join(said)


@pytest.mark.parametrize(
    ("name", "rest"), [("tls_enable", "; did you mean tls_enabled"), ("colour", "$")]
)
def test_configure_refuses_a_setting_that_there_is_not(name: str, rest: str) -> None:
    with pytest.raises(TypeError, match=f"no setting '{name}'{rest}"):
        Client().configure(**{name: True})
