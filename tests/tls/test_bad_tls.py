"""Set-ups of TLS that cannot work: the exception, word for word, and the line in the log.

These take files and servers. With those of config/test_bad_urls.py, which their keys alone tell
apart, they are more than sixty.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, Mqtt
from support import bad_url_setups
from support.apps import make_app
from support.bad_tls import BadServers
from support.bad_tls_setups import ALL, DISAGREED, FILES, LATER, SECRET, UNTRUSTED
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from support.bad_tls_setups import BadSetup
    from support.certificates import Certificates

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[BadServers]:
    """Servers by name, and more bad files."""
    (certificates.directory / "empty").mkdir()
    (certificates.directory / "damaged-key.pem").write_text(
        "-----BEGIN PRIVATE KEY-----\nbm90IG9uZQ==\n-----END PRIVATE KEY-----\n"
    )
    with contextlib.ExitStack() as stack:
        yield BadServers(stack, certificates, tmp_path_factory.mktemp("mosquitto"))


class Case:
    """A set-up with its server and its files."""

    def __init__(self, setup: BadSetup, servers: BadServers, files: Certificates) -> None:
        self._files = files
        self._port = servers.port(setup.server)
        keys = {"TLS_ENABLED": True, "TLS_CA_CERTS": "ca.pem", **setup.keys}
        if not keys["TLS_ENABLED"]:
            del keys["TLS_CA_CERTS"]
        self._keys = {key: self._resolved(value) for key, value in keys.items()}
        escaped = re.escape(setup.message)
        for name, value in {
            "port": str(self._port),
            "files": re.escape(str(files.directory)),
            "date": r"\w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} GMT",
            "any": "[a-zA-Z0-9 ,]*",
        }.items():
            escaped = escaped.replace(re.escape(f"{{{name}}}"), value)
        self.message = escaped

    def _resolved(self, value: Any) -> Any:
        is_file = isinstance(value, str) and (value.endswith(".pem") or value == "empty")
        return self._files.directory / value if is_file else value

    def app(self) -> Flask:
        return make_app(self._port, **self._keys)

    def has_no_secret(self, text: str) -> bool:
        """Whether a text has no password and no line of a key."""
        secrets = [SECRET, self._files.password]
        for file in self._files.directory.glob("*key*.pem"):
            secrets += [line for line in file.read_text().splitlines() if "-----" not in line]
        return not any(secret in text for secret in secrets if secret)


@pytest.fixture
def case(request: pytest.FixtureRequest, servers: BadServers, certificates: Certificates) -> Case:
    """The set-up that the test is parametrized with."""
    return Case(request.getfixturevalue("setup"), servers, certificates)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as a warning or an error."""
    return [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]


def by_name(setup: BadSetup) -> str:
    return setup.name


@pytest.mark.parametrize("setup", [*UNTRUSTED, *DISAGREED, *FILES], ids=by_name)
def test_a_bad_set_up_is_told_what_is_wrong_with_it(
    setup: BadSetup, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(setup.error) as caught:
        Mqtt(case.app(), mqtt_logging=True)
    assert caught.type is setup.error
    assert re.fullmatch(case.message, str(caught.value)), str(caught.value)
    assert lines(caplog) == [f"MQTT: {caught.value}"]
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert case.has_no_secret(caplog.text + "".join(map(repr, chain)))


@pytest.mark.parametrize("setup", [*UNTRUSTED, *DISAGREED], ids=by_name)
def test_the_log_is_told_so_where_the_application_does_not_wait(
    setup: BadSetup, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), Mqtt(case.app(), connect_async=True) as mqtt:
        [line] = wait_until(lambda: lines(caplog))
        assert not mqtt.connected
    assert re.fullmatch(rf"{case.message}; next attempt to reach \S+ in \d\.\d s", line), line
    assert case.has_no_secret(caplog.text)


@pytest.mark.parametrize("setup", LATER, ids=by_name)
@pytest.mark.parametrize("connect_async", [False, True])
def test_the_log_is_told_what_a_broker_objects_to_after_the_connection(
    setup: BadSetup, case: Case, connect_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = case.app()
    with caplog.at_level(logging.DEBUG), Mqtt(app, connect_async=connect_async) as mqtt:
        [line] = wait_until(lambda: lines(caplog))
        assert not mqtt.connected
    assert re.fullmatch(rf"{case.message}; next attempt to reach \S+ in \d\.\d s", line), line
    assert case.has_no_secret(caplog.text)


@pytest.mark.parametrize("setup", FILES, ids=by_name)
def test_a_bad_file_is_an_exception_where_the_application_does_not_wait_either(
    setup: BadSetup, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    before = threading.active_count()
    with caplog.at_level(logging.DEBUG), pytest.raises(setup.error) as caught:
        Mqtt(case.app(), connect_async=True)
    assert re.fullmatch(case.message, str(caught.value)), str(caught.value)
    assert lines(caplog) == [f"MQTT: {caught.value}"]
    assert threading.active_count() <= before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_permission_error(
    servers: BadServers, certificates: Certificates
) -> None:
    secret = certificates.directory / "unreadable.pem"
    secret.touch(0o000)
    app = make_app(servers.port("tls"), tls_enabled=True, tls_ca_certs=secret)
    with pytest.raises(PermissionError, match=r"MQTT_TLS_CA_CERTS: Permission denied: '.*'"):
        Mqtt(app)


@pytest.mark.parametrize(
    ("setup", "code"), [*zip(UNTRUSTED, [10, 9, 18, 20, 20, 20, 62, 64], strict=True)]
)
def test_a_failed_verification_has_openssls_code(setup: BadSetup, code: int, case: Case) -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        Mqtt(case.app())
    assert caught.value.verify_code == code
    assert caught.value.verify_message
    assert caught.value.reason == "CERTIFICATE_VERIFY_FAILED"


def test_there_are_enough_of_them() -> None:
    assert len({setup.name for setup in ALL}) == len(ALL) >= 20
    assert len(ALL) + len(bad_url_setups.SETUPS) > 60


def test_the_documentation_has_every_message_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tls.md").read_text()
    rows = re.findall(r"^\| `(.+?)` \| .+ \|$", page, re.MULTILINE)
    patterns = [".+".join(map(re.escape, row.split("…"))) for row in rows]
    messages = [setup.message for setup in ALL]
    assert [row for row in patterns if not any(re.search(row, text) for text in messages)] == []
    assert [text for text in messages if not any(re.search(row, text) for row in patterns)] == []


def test_a_client_can_be_started_once_its_file_is_there(
    servers: BadServers, certificates: Certificates, tmp_path: Path
) -> None:
    client = Client()
    shutil.copy(certificates.ca, tmp_path / "ca.pem")
    client.tls_set(tmp_path / "ca.pem")
    (tmp_path / "ca.pem").unlink()
    client.connect_async("127.0.0.1", servers.port("tls"))
    with pytest.raises(FileNotFoundError, match="tls_ca_certs"):
        client.loop_start()
    shutil.copy(certificates.ca, tmp_path / "ca.pem")
    client.loop_start()
    wait_until(client.is_connected)
    client.disconnect()
    client.loop_stop()
