"""What shows tracebacks with local variables finds no secret in the package's frames."""

from __future__ import annotations

import contextlib
import logging
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import flask_mqtt
from flask_mqtt import Client, Mqtt
from support.apps import make_app
from support.ports import closed_port
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.certificates import Certificates
    from support.scripted import ScriptedBroker

PACKAGE = str(Path(flask_mqtt.__file__).parent)
MARK = "hunter"

KEY = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"

SECRETS: dict[str, Any] = {
    "broker_url": "mqtt://user:hunter7@127.0.0.1",
    "username": "user-hunter0",
    "password": "hunter1",
    "ws_path": "/mqtt?token=hunter2",
    "ws_headers": {"Authorization": "Bearer hunter3"},
    "proxy": "socks5://user:hunter4@127.0.0.1:1",
    "connect_properties": {"UserProperty": [("token", "hunter5")]},
    "tls_keyfile_password": "hunter6",
    "protocol_version": 5,
}


class Lines:
    """What is shown of our frames in tracebacks with locals."""

    def __init__(self) -> None:
        self.frames = 0
        self.found: list[str] = []

    def look_at(self, error: BaseException | None) -> None:
        while error is not None:
            shown = traceback.TracebackException.from_exception(error, capture_locals=True)
            self.found += [line for line in shown.format_exception_only() if MARK in line]
            for frame in shown.stack:
                if frame.filename.startswith(PACKAGE):
                    self.frames += 1
                    values = (frame.locals or {}).items()
                    where = f"{Path(frame.filename).name}:{frame.name}"
                    self.found += [
                        f"{where}: {name} = {text}" for name, text in values if MARK in text
                    ]
            error = error.__cause__ or error.__context__

    def call(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except (TypeError, ValueError, OSError) as error:
            self.look_at(error)

    def check(self) -> None:
        assert self.frames
        assert self.found == []


class Capturing(logging.Handler):
    """Looks at the exceptions of log records when they are written, as reports of crashes do."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = Lines()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.count += 1
            self.lines.look_at(record.exc_info[1])


@pytest.fixture
def capturing() -> Iterator[Capturing]:
    handler = Capturing()
    loggers = [logging.getLogger(name) for name in ("flask_mqtt", "tests")]
    for logger in loggers:
        logger.addHandler(handler)
    yield handler
    for logger in loggers:
        logger.removeHandler(handler)


BAD: dict[str, Any] = {
    "broker_url": [5, ["mqtt://u:hunter@broker:port"], "http://u:hunter@broker", "a b"],
    "broker_port": ["none"],
    "username": [["none"], "none\0"],
    "password": [["hunter"], "hunter\0", b"hunter" * 20_000],
    "transport": ["pigeons"],
    "tls_enabled": ["maybe"],
    "tls_ca_certs": ["/no/such/file", KEY, 5],
    "tls_certfile": ["/no/such/file", KEY],
    "tls_keyfile": [KEY, "/no/such/file"],
    "tls_keyfile_password": [["hunter"], "hunter"],
    "tls_version": ["none"],
    "tls_ciphers": ["none"],
    "tls_alpn": [5],
    "ws_path": ["/mqtt?token=hunter\n", 5],
    "ws_headers": [["hunter"], {"X": "hunter\n"}, '{"hunter', {"X": 5}, {"Upgrade": "hunter"}],
    "proxy": ["socks4://u:hunter@broker", b"http://u:hunter@broker", 5],
    "connect_properties": [
        {"AuthenticationData": b"hunter"},
        {"AuthenticationData": ["hunter"]},
        {"UserProperty": "hunter"},
        '{"hunter',
        5,
    ],
    "last_will_topic": ["a/#"],
    "last_will_message": [["none"], "x" * 70_000],
    "keepalive": [-1],
    "client_id": [["none"]],
    "protocol_version": [7],
    "bind_address": ["here"],
}


@pytest.mark.parametrize("name", BAD)
def test_of_a_value_that_is_wrong(name: str) -> None:
    for value in BAD[name]:
        for tls in (True, False):
            given = {**SECRETS, "tls_enabled": tls, "broker_url": "127.0.0.1", name: value}
            config = {**given, "transport": given.get("transport", "websockets")}
            lines = Lines()
            app = make_app(closed_port(), **config)
            for later in (False, True):
                with contextlib.closing(Mqtt(connect_async=later)) as mqtt:
                    lines.call(partial(mqtt.init_app, app))
            if lines.frames:
                lines.check()


# Of any type, so that arguments may have the wrong one.
MQTT: Any = Mqtt
CALLS: dict[str, Callable[[Any], Any]] = {
    "a user name": lambda client: client.username_pw_set(["none"], "hunter"),
    "a password": lambda client: client.username_pw_set("hunter", ["hunter"]),
    "a password assigned": lambda client: setattr(client, "password", ["hunter"]),
    "a user name assigned": lambda client: setattr(client, "username", ["none"]),
    "a password under its old name": lambda client: setattr(client, "_password", ["hunter"]),
    "a key": lambda client: client.tls_set(keyfile=KEY, certfile=KEY, keyfile_password="hunter"),
    "a key's password": lambda client: client.tls_set(keyfile="k", keyfile_password=["hunter"]),
    "headers": lambda client: client.ws_set_options("/", {"Authorization": "hunter\n"}),
    "a path": lambda client: client.ws_set_options("mqtt?token=hunter"),
    "a proxy": lambda client: client.proxy_set(
        proxy_type=2, proxy_addr="p", proxy_port=-1, proxy_password="hunter"
    ),
    "a proxy's password": lambda client: client.proxy_set(
        proxy_addr="p", proxy_type=2, proxy_password=["hunter"]
    ),
    "a proxy with a password": lambda client: client.proxy_set(
        proxy_type=2, proxy_addr="http://u:hunter@p"
    ),
    "a proxy's bytes": lambda client: client.proxy_set(
        proxy_type=2, proxy_addr=b"http://u:hunter@p"
    ),
    "a configuration": lambda client: MQTT(make_app(1, password="hunter").config),
    "a copy of one": lambda client: MQTT().init_app({"MQTT_PASSWORD": "hunter"}),
    "a host that is a list": lambda client: client.connect(["mqtt://u:hunter@b", 5]),
    "a host that is bytes": lambda client: client.connect(b"mqtt://u:hunter@b"),
    "a will": lambda client: client.will_set("a/#", "hunter"),
    "a URL": lambda client: client.connect("mqtt://u:hunter@broker:port"),
    "a scheme": lambda client: client.connect_async("http://u:hunter@broker"),
    "a URL where nobody is": lambda client: client.connect(
        f"mqtt://u:hunter@127.0.0.1:{closed_port()}"
    ),
    "a name": lambda client: client.connect("mqtts://u:hunter@no-such-host.invalid"),
    "a setting": lambda client: client.configure(password=["hunter"], proxy="socks5://u:hunter@b"),
    "no setting": lambda client: client.configure(passwort="hunter"),
    "properties": lambda client: client.connect(
        "127.0.0.1", properties={"AuthenticationData": b"hunter"}
    ),
    "another connection": lambda client: client.reconnect(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_of_a_call_that_is_wrong(call: Callable[[Client], Any]) -> None:
    client = Client()
    client.username_pw_set("user-hunter0", "hunter1")
    client.configure(ws_headers={"Authorization": "hunter"}, proxy=None)
    lines = Lines()
    with contextlib.closing(client), pytest.raises((TypeError, ValueError, OSError)) as caught:
        call(client)
    lines.look_at(caught.value)
    lines.check()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"tls_enabled": True},
        {"transport": "websockets"},
        {"transport": "websockets", "tls_enabled": True},
        {"proxy": "socks5://user:hunter6@127.0.0.1:1"},
        {"proxy": "http://user:hunter6@127.0.0.1:1"},
        {"broker_url": "no-such-host.invalid"},
        {"transport": "websockets", "ws_headers": lambda usual: usual | {"X": "hunter\n"}},
        {"transport": "websockets", "ws_headers": lambda usual: ["hunter", usual]},
    ],
    ids=lambda config: " and ".join(config) or "nothing",
)
def test_of_a_connection_that_cannot_be_made(config: dict[str, Any]) -> None:
    app = make_app(closed_port(), **{**SECRETS, "proxy": None, "broker_url": "127.0.0.1", **config})
    lines = Lines()
    with (
        contextlib.closing(Mqtt()) as mqtt,
        pytest.raises((OSError, ValueError, TypeError)) as caught,
    ):
        mqtt.init_app(app)
    lines.look_at(caught.value)
    lines.check()


def test_of_a_key_that_cannot_be_read(certificates: Certificates) -> None:
    client = Client()
    pem = certificates.client.key.read_text().splitlines()[1]
    with pytest.raises(OSError, match="key") as caught:
        client.tls_set(
            certfile=str(certificates.client.certificate),
            keyfile=certificates.key_pkcs8_encrypted.read_text(),
            keyfile_password="hunter",
        )
    lines = Lines()
    lines.look_at(caught.value)
    lines.check()
    assert pem not in "".join(traceback.format_exception(caught.value))


def test_of_settings_that_are_refused_later(scripted: ScriptedBroker, capturing: Capturing) -> None:
    with connected(make_app(scripted.port, password="hunter1", username="u")) as mqtt:

        def prepare(client: Client, _userdata: Any) -> None:
            client._parts.settings.config.proxy = "socks5://u:hunter@127.0.0.1:1"
            client._parts.settings.config.bind_address = "127.0.0.1"
            client._parts.settings.config.broker_url = "/x"

        mqtt.client.on_pre_connect = prepare
        scripted.drop()
        wait_until(lambda: capturing.count)
    capturing.lines.check()


def test_of_a_handler_that_fails(scripted: ScriptedBroker, capturing: Capturing) -> None:
    def fail(_token: str, *_: Any) -> None:
        raise RuntimeError("broken")

    def wrong(_token: str) -> None: ...

    few: Any = partial(wrong, "hunter")
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_topic("a")(partial(fail, "hunter"))
        mqtt.client.on_publish = partial(fail, "hunter")
        mqtt.on_topic("b")(lambda *_: few(1))
        for topic in ("a", "b"):
            scripted.publish(topic)
        mqtt.publish("t")
        wait_until(lambda: capturing.count == 3)
    # Of ours there is none at all.
    assert capturing.lines.found == []


def test_the_applications_own_frames_keep_their_variables() -> None:
    def caller() -> None:
        kept = "variable of the application"
        Client().username_pw_set([kept])  # type: ignore[arg-type]

    with pytest.raises(TypeError) as caught:
        caller()
    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert "kept = 'variable of the application'" in shown


class Odd(Exception):  # noqa: N818 - what is odd about it is no error
    """Has something else by a name that groups of exceptions have."""

    exceptions = 5


class Hostile(Exception):  # noqa: N818
    """Raises whatever it is asked."""

    def _fail(self) -> Any:
        raise SystemExit(3)

    exceptions = property(_fail)
    __cause__ = property(_fail)
    __context__ = property(_fail)
    __traceback__ = property(_fail)

    def with_traceback(self, _: Any) -> Any:
        self._fail()


@pytest.mark.parametrize("kind", [Odd, Hostile])
def test_an_exception_of_another_kind_is_still_the_one_that_is_raised(
    kind: type[Exception], scripted: ScriptedBroker
) -> None:
    def make_headers(_: Any) -> Any:
        raise kind

    client = Client(transport="websockets")
    client.ws_set_options(headers=make_headers)
    with pytest.raises(kind):
        client.connect("127.0.0.1", scripted.port)
    client.close()


@pytest.mark.parametrize("kind", [Odd, Hostile])
def test_an_exception_of_another_kind_costs_no_acknowledgement(
    kind: type[Exception], scripted: ScriptedBroker
) -> None:
    def handle(*_: Any) -> None:
        raise kind

    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_message()(handle)
        scripted.publish("a", b"1", qos=1)
        scripted.publish("a", b"2", qos=1)
        scripted.wait_for("PUBACK", count=2)
