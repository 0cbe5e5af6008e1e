"""Forks while other threads are in the middle of something, and where the hooks of a fork fail."""

from __future__ import annotations

import base64
import subprocess
from typing import TYPE_CHECKING

import pytest

from flask_mqtt import Client
from support import preloads
from support.script import running
from support.server_process import find_program

if TYPE_CHECKING:
    from pathlib import Path

    from flask_mqtt._core import Waiter
    from support.certificates import Certificates
    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

pytestmark = pytest.mark.slow

#: How a child is made, which hangs for a few seconds at most.
CHILD = """
import signal

def in_child(steps, patience=5):
    child = os.fork()
    if child == 0:
        signal.alarm(patience)
        status = 1
        try:
            steps()
            status = 0
        except BaseException:
            import traceback; traceback.print_exc()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def test_children_use_tls_while_threads_of_their_parent_begin_to() -> None:
    code = f"""{CHILD}
from flask_mqtt._core import check_tls
from flask_mqtt.config.options import TlsOptions

def check():
    check_tls(TlsOptions(), None)

def parent(number):
    # OpenSSL was never used in this process.
    for _ in range(4):
        threading.Thread(target=check, daemon=True).start()
    # The fork comes at different moments of the threads' work.
    time.sleep(number % 4 / 8000)
    status = in_child(check)
    os._exit(status != 0)

say({{in_child(lambda: parent(number), 20) for number in range(24)}})
"""
    with running(code, 0) as script:
        script.expect("{0}")


def slow_key(certificates: Certificates, directory: Path) -> Path:
    """Make a file of an encrypted key that OpenSSL is busy with for some seconds."""
    few, many = (b"\x02\x03" + rounds for rounds in (b"\x01\x00\x01", b"\x7f\xff\xff"))
    words = "pkcs8 -topk8 -outform DER -v2 aes-256-cbc -v2prf hmacWithSHA512 -passout pass:x"
    command = [find_program("openssl"), *words.split(), "-iter", str(0x010001)]
    key = ["-in", str(certificates.client.key)]
    made = subprocess.run([*command, *key], check=True, stdout=subprocess.PIPE).stdout
    assert made.count(few) == 1
    text = base64.encodebytes(made.replace(few, many)).decode()
    file = directory / "slow.pem"
    kind = "ENCRYPTED PRIVATE KEY"
    file.write_text(f"-----BEGIN {kind}-----\n{text}-----END {kind}-----\n")
    return file


def test_a_child_that_cannot_use_tls_says_so(certificates: Certificates, tmp_path: Path) -> None:
    certificate, key = certificates.client.certificate, slow_key(certificates, tmp_path)
    code = f"""{CHILD}
from flask_mqtt._core import check_tls
from flask_mqtt.config.options import TlsOptions

slow = TlsOptions(certfile={str(certificate)!r}, keyfile={str(key)!r}, keyfile_password="x")
thread = threading.Thread(target=check_tls, args=(slow, None), daemon=True)
thread.start()
clock = time.pthread_getcpuclockid(thread.ident)
# So much it has for nothing else.
until(lambda: time.clock_gettime(clock) > 0.2)

def refused():
    client = flask_mqtt.Client()
    try:
        client.tls_set()
        client.connect("127.0.0.1", 1)
    except ConnectionRefusedError:
        raise
    except OSError as error:
        assert "another thread of its parent was using OpenSSL" in str(error), error
    else:
        raise AssertionError("it connected")
    try:
        flask_mqtt.Client().connect("127.0.0.1", 1)
    except ConnectionRefusedError:
        # Without TLS it can connect.
        pass

say(in_child(refused))
os._exit(0)
"""
    with running(code, 0) as script:
        script.expect("0")


def test_what_is_made_when_it_is_first_used_is_not_left_half_made() -> None:
    code = f"""{CHILD}
import flask_mqtt.paho.enums
codes = flask_mqtt.paho.enums.MQTTErrorCode
entered, goes_on = threading.Event(), threading.Event()

class Slow(type):
    def __len__(cls):
        return len(codes)
    def __call__(cls, number):
        entered.set()
        goes_on.wait()
        return codes(number)

class SlowCodes(metaclass=Slow):
    pass

flask_mqtt.paho.enums.MQTTErrorCode = SlowCodes
client = flask_mqtt.Client()
threading.Thread(target=client.publish, args=("t",), daemon=True).start()
entered.wait(20)

def child():
    flask_mqtt.paho.enums.MQTTErrorCode = codes
    assert flask_mqtt.Client().publish("t") == (4, 1)
    assert client.publish("t") == (4, 1)

say(in_child(child))
os._exit(0)
"""
    with running(code, 0) as script:
        script.expect("0")


def test_a_client_that_cannot_be_prepared_refuses_and_keeps_no_other_from_it(
    scripted: ScriptedBroker,
) -> None:
    code = f"""{CHILD}
import logging

class Errors(logging.Handler):
    def __init__(self):
        super().__init__(logging.ERROR)
        self.events = []
    def emit(self, record):
        self.events.append(vars(record).get("mqtt_event"))

errors = Errors()
logging.getLogger("flask_mqtt").addHandler(errors)

def made():
    client = flask_mqtt.Client()
    client.connect("127.0.0.1", int(sys.argv[1]))
    client.loop_start()
    until(client.is_connected)
    return client

clients = [made() for _ in range(3)]
bad = clients[1]

def fail(**values):
    raise OSError(24, "Too many open files")

settings = bad._parts.settings
settings.change = fail

def child():
    for client in clients:
        for qos in (0, 1):
            assert client.publish("t", "x", qos) == (4, 0)
    assert errors.events == ["fork_failed"], errors.events
    try:
        bad.reconnect()
    except OSError as error:
        assert "Too many open files" in str(error) and "forked" in str(error), error
    else:
        raise AssertionError("it connected")
    assert bad.publish("t", "x", 1) == (4, 0)
    del settings.change
    for client in clients:
        client.reconnect()
        client.loop_start()
        until(client.is_connected)
        client.publish("t", "child", 1).wait_for_publish(20)
        client.close()

say(in_child(child, 10))
say(all(client.is_connected() for client in clients))
"""
    with running(code, scripted.port) as script:
        script.expect("0")
        script.expect("True")
        assert script.finish() == 0, script.errors
    assert [packet.payload for packet in scripted.of("PUBLISH")] == [b"child"] * 3


def test_the_thread_of_a_connection_that_hangs_does_not_hold_up_connect(
    scripted: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float | None] = []

    def wait_for(_waiter: Waiter, timeout: float | None = None) -> bool:
        waited.append(timeout)
        return False

    client = Client()
    client.configure(connection_timeout=2, handshake_timeout=3)
    monkeypatch.setattr("flask_mqtt.connection.connection.wait_for", wait_for)
    with pytest.raises(TimeoutError, match=r"thread did not respond within 22\.0 s"):
        client.connect("127.0.0.1", scripted.port)
    assert waited == [22.0]


def test_forks_beside_threads_that_connect_publish_and_make_clients(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    port = tls_broker.listeners["tls"].port
    code = f"""{CHILD}
import logging
logging.getLogger("flask_mqtt").setLevel(logging.CRITICAL)
PORT, CA = int(sys.argv[2]), sys.argv[3]
app.config.update(MQTT_BROKER_PORT=PORT, MQTT_TLS_ENABLED=True, MQTT_TLS_CA_CERTS=CA)
mqtt = Mqtt(app)
until(lambda: mqtt.connected)

def connect():
    client = flask_mqtt.Client()
    client.tls_set(CA)
    client.connect("127.0.0.1", PORT)
    client.publish("forked/busy", "x", 1)
    client.close()

def publish():
    mqtt.publish("forked/busy", b"x" * 100, 1)

def make():
    flask_mqtt.Client(), Mqtt()

def again(work):
    while True:
        work()

for work in (connect, connect, publish, make):
    threading.Thread(target=again, args=[work], daemon=True).start()

def child():
    new = Mqtt(app)
    until(lambda: new.connected)
    new.publish("forked/busy", "child", 1).wait_for_publish(20)
    mqtt.publish("forked/busy", "x", 1).wait_for_publish(20)
    new.close()

say({{in_child(child, 15) for _ in range(int(sys.argv[4]))}})
os._exit(0)
"""
    with running(code, tls_broker.port, port, certificates.ca, 15) as script:
        script.expect("{0}")


def test_a_child_of_a_process_that_ends_may_wait(scripted: ScriptedBroker) -> None:
    code = f"""{CHILD}
import atexit
import flask_mqtt.process.ends
atexit.unregister(flask_mqtt.process.ends._close_clients)

def child():
    client = flask_mqtt.Client()
    client.connect("127.0.0.1", int(sys.argv[1]))
    client.loop_start()
    until(client.is_connected)
    client.publish("t", "child", 1).wait_for_publish(20)
    client.close()

def last():
    # A daemon thread may fork until the last moment.
    forking = threading.Thread(target=lambda: say(in_child(child)), daemon=True)
    forking.start()
    forking.join(10)

atexit.register(last)
atexit.register(flask_mqtt.process.ends._close_clients)
"""
    with running(code, scripted.port) as script:
        script.expect("0")
        assert script.finish() == 0, script.errors
    assert [packet.payload for packet in scripted.of("PUBLISH")] == [b"child"]


def test_children_have_files_of_their_own_while_threads_of_their_parent_write_to_theirs(
    tmp_path: Path, scripted: ScriptedBroker
) -> None:
    code = f"""{CHILD}
import itertools

def client(name):
    app = Flask("script")
    app.config.update(
        MQTT_BROKER_URL="127.0.0.1",
        MQTT_BROKER_PORT={scripted.port},
        MQTT_PERSISTENCE=f"{tmp_path}/{{name}}",
        MQTT_PERSISTENCE_FSYNC="always",
    )
    return Mqtt(app)

def child(number):
    own = client(number)
    own.publish("t", "x", qos=1).wait_for_publish(20)
    own.close()

clients = [client(f"parent-{{number}}") for number in range(2)]
stop = threading.Event()

def write(client):
    while not stop.is_set():
        client.publish("t", "x" * 1000, qos=1).wait_for_publish(20)

def come_and_go():
    for number in itertools.count():
        if stop.is_set():
            return
        client("passing").close()

threads = [threading.Thread(target=write, args=[client]) for client in clients]
threads.append(threading.Thread(target=come_and_go))
for thread in threads:
    thread.start()
say({{in_child(lambda: child(number), 30) for number in range(24)}})
stop.set()
for thread in threads:
    thread.join()
for client in clients:
    client.close()
"""
    with running(code, 0) as script:
        script.expect("{0}")


def test_a_fork_waits_until_threads_are_started(
    tmp_path: Path, scripted: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"""{CHILD}
import ctypes
starting = ctypes.CDLL(os.environ["LD_PRELOAD"]).slow_threads_waiting

def made(number):
    app = Flask("script")
    app.config.update(
        MQTT_BROKER_URL="127.0.0.1",
        MQTT_BROKER_PORT={scripted.port},
        MQTT_PERSISTENCE=f"{tmp_path}/file-{{number}}",
    )
    return app

# Python 3.11 compiles in one thread at a time, and each application compiles its routes.
apps = [made(number) for number in range(8)]

def child():
    # The C library would free once more what it has just freed.
    assert starting() == 0, starting()
    # Their threads have all the stacks that threads of the parent have left.
    for mqtt in [Mqtt(app) for app in apps]:
        mqtt.close()

stop = threading.Event()

def come_and_go(app):
    while not stop.is_set():
        Mqtt(app).close()

threads = [threading.Thread(target=come_and_go, args=[app]) for app in apps[:4]]
for thread in threads:
    thread.start()

say({{in_child(child, 30) for _ in range(8)}})
stop.set()
for thread in threads:
    thread.join()
"""
    monkeypatch.setenv("LD_PRELOAD", str(preloads.build("slow_threads", tmp_path)))
    with running(code, scripted.port) as script:
        script.expect("{0}")
        assert script.finish() == 0, script.errors


def test_a_fork_waits_until_python_has_its_folder_of_temporary_files(
    tmp_path: Path, scripted: ScriptedBroker
) -> None:
    code = f"""{CHILD}
app.config["MQTT_PERSISTENCE"] = "{tmp_path}/file"
entered, goes_on = threading.Event(), threading.Event()
getcwd = os.getcwd

def slow():
    entered.set()
    goes_on.wait(10)
    return getcwd()

# The folder is one of those that Python tries.
os.getcwd = slow
thread = threading.Thread(target=lambda: Mqtt(app).close())
thread.start()
entered.wait(10)
# Time for the fork to begin, which waits for the thread.
threading.Timer(0.1, goes_on.set).start()
say(in_child(lambda: Mqtt(app).close(), 10))
thread.join()
"""
    with running(code, scripted.port) as script:
        script.expect("0")
        assert script.finish() == 0, script.errors
