"""The tests of paho-mqtt 2.2.0, with this package in paho's place: all pass but for those listed.

They run beside each other, for about a minute: ./scripts/test tests/parity/test_paho_suite.py.
With the name of a file or a test, this shows what one of them says:

    PYTHONPATH=tests python -m parity.test_paho_suite test_client.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from support import paho_suite

pytestmark = pytest.mark.slow

_VERSION_1 = "CallbackAPIVersion.VERSION1"

#: Why tests fail, and which. A name without [...] stands for all parameters. What a module cannot
#: be imported for is all of it.
FAILING: dict[str, str] = {
    "paho's internals: packets are read and written by the core": """
        test_packet test_properties_binary_data test_properties_variable_byte_integer""",
    "paho's internals: the websocket is the core's": "test_websockets",
    "paho's internals: they replace Client._do_on_publish": """
        test_mqttv5.TestBrokerRebootsTopicAliiQoS0 test_mqttv5.TestBrokerRebootsTopicAliiQoS1
        test_mqttv5.TestDropOutMessagesWorkAround""",
    "no event loop has to watch the socket, which is the connection's thread's": """
        lib.test_01_asyncio::test_01_asyncio test_mqttv5.Test::test_will_delay""",
    "the connection does not depend on loop_start: pings go on after loop_stop": """
        test_mqttv5.Test::test_will_message""",
    "after connect and before loop_start's thread, paho connects a second time; here once": """
        test_client.TestPublish::test_publish_before_connect""",
    "a reason code that is left out is 0 (MQTT 5.0, 3.14.2.1), where paho says None": " ".join(
        f"test_client.Test_connect_v5::test_broker_disconnect_reason[{way}--None-None-{_VERSION_1}]"
        for way in ("tcp", "unix")
    ),
    "a topic that is no UTF-8 ends the connection (MQTT 3.1.1, 1.5.3-1)": """
        test_client.TestPublishBroker2Client::test_invalid_utf8_topic""",
    "the texts of errors are our own": """
        test_client.TestCompatibility::test_migration_callback_version
        test_websocket_integration.TestInvalidWebsocketResponse::test_unexpected_response
        test_websocket_integration.TestBadWebsocketHeaders::test_no_upgrade
        test_websocket_integration.TestBadWebsocketHeaders::test_bad_secret_key""",
    "version 1 of the callback API does not warn": """
        test_client.TestCompatibility::test_callback_v1_mqtt3""",
    "a SUBACK that answers no SUBSCRIBE is ignored; they wait, and answer no PINGREQ": """
        test_client.TestLargeDownload::test_no_disconnect_during_large_download""",
    "a broker without the session is sent the message of QoS 2 again, and no PUBREL": """
        lib.test_03_publish_c2b_qos2_disconnect::test_03_publish_c2b_qos2_disconnect""",
    "topic aliases are used where the broker takes some": """
        lib.test_03_publish_helper_qos0_v5::test_03_publish_helper_qos0_v5""",
    "an alias that has no topic on this connection is refused before the broker would": """
        test_mqttv5.Test::test_client_topic_alias""",
    "mosquitto, which stands in for another broker, does not do so": """
        test_mqttv5.Test::test_server_topic_alias test_mqttv5.Test::test_subscribe_failure
        test_mqttv5.Test::test_subscription_identifiers""",
    "their websocket server does not choose the subprotocol mqtt (MQTT 5.0, 6.0.0-4)": """
        test_websocket_integration.TestValidHeaders::test_successful_connection
        test_websocket_integration.TestValidHeaders::test_correct_path
        test_websocket_integration.TestValidHeaders::test_correct_auth""",
}  # fmt: skip

#: paho skips it.
SKIPPED = {"lib.test_03_publish_fill_inflight::test_03_publish_fill_inflight"}

#: With more, the machine is not the reason.
MOST_SURPRISES = 5

LISTED = {name for names in FAILING.values() for name in names.split()}


def listed_as(name: str) -> set[str]:
    """Return by which of the listed names a test is meant."""
    without_parameters = name.partition("[")[0]
    return LISTED & {name, without_parameters, without_parameters.partition("::")[0]}


def failed(outcomes: dict[str, paho_suite.Outcome]) -> list[str]:
    return [name for name, outcome in outcomes.items() if outcome.state == "failed"]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, paho_suite.Outcome]:
    directory = tmp_path_factory.mktemp("paho")
    paho_suite.prepare(directory)
    outcomes = paho_suite.run(directory)
    # They give processes a second to start or to end, which is short on a busy machine: what is a
    # surprise is run once more, with nothing of theirs beside it.
    surprises = [paho_suite.node(name) for name in failed(outcomes) if not listed_as(name)]
    if 0 < len(surprises) <= MOST_SURPRISES:
        outcomes.update(paho_suite.run(directory, {"again": tuple(surprises)}))
    return outcomes


@pytest.mark.timeout(300)
def test_what_is_not_listed_passes(outcomes: dict[str, paho_suite.Outcome]) -> None:
    surprises = [name for name in failed(outcomes) if not listed_as(name)]
    assert not surprises, "\n\n".join(f"{name}: {outcomes[name].text}" for name in surprises)
    assert {name for name, outcome in outcomes.items() if outcome.state == "skipped"} == SKIPPED
    assert sum(outcome.state == "passed" for outcome in outcomes.values()) >= 145


def test_what_is_listed_fails(outcomes: dict[str, paho_suite.Outcome]) -> None:
    passed = [
        name for name, (state, _) in outcomes.items() if state == "passed" and listed_as(name)
    ]
    assert not passed
    found = {mark for name in outcomes for mark in listed_as(name)}
    assert found == LISTED


def main(tests: list[str]) -> None:
    """Show how tests of paho's go."""
    with tempfile.TemporaryDirectory() as directory:
        paho_suite.prepare(Path(directory))
        for name, outcome in paho_suite.run(Path(directory), {"some": tuple(tests)}).items():
            print(f"{outcome.state}: {name}\n{outcome.text}")


if __name__ == "__main__":
    main([f"tests/{name}" for name in sys.argv[1:]] or ["tests"])
