"""What is special about uWSGI: threads, its own hook after a fork, mules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.broker_log import BrokerLog
from support.servers import CLIENT_ID, AppServer, publish, uwsgi

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MASTER = ("--master", "--processes=2")
SERVING = "from serving import app, mqtt"
HOOK = "print('a hook of the application', flush=True)"
APPLICATIONS = {
    "hook before": f"import uwsgi\nuwsgi.post_fork_hook = lambda: {HOOK}\n{SERVING}",
    "spooler": f"import uwsgi\nuwsgi.spooler = lambda _: uwsgi.SPOOL_OK\n{SERVING}\n"
    f"assert uwsgi.spooler.__name__ == '<lambda>'\n",
    "decorators before": f"import uwsgidecorators\nuwsgidecorators.postfork(lambda: {HOOK})\n"
    f"{SERVING}",
    "decorators after": f"{SERVING}\nimport uwsgidecorators\n"
    f"uwsgidecorators.postfork(lambda: {HOOK})",
    "set up twice": f"{SERVING}\nmqtt.init_app(app)",
    "subscribes at once": f"{SERVING}\nmqtt.subscribe('numbered', 1)",
}


def handle_something(server: AppServer, broker: Mosquitto) -> None:
    """Have each worker handle a message. None is asked for a page."""
    server.begin(BrokerLog(broker, CLIENT_ID))
    publish(broker.port, [1])
    server.wait_handled(1)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_workers_connect_after_the_fork_beside_other_hooks(
    name: str, roomy: Mosquitto, tmp_path: Path
) -> None:
    (tmp_path / "served.py").write_text(APPLICATIONS[name])
    kind = uwsgi(
        *MASTER,
        "--mule",
        "--enable-threads",
        f"--pythonpath={tmp_path}",
        module="served",
        workers=2,
    )
    with AppServer(tmp_path, kind, roomy.port) as server:
        handle_something(server, roomy)
        # Neither the master nor the mule.
        assert len(BrokerLog(roomy, CLIENT_ID).connects()) == 2
    # The mule too.
    assert server.log.count("a hook of the application") == 3 * APPLICATIONS[name].count(HOOK)


@pytest.mark.parametrize("options", [("--enable-threads",), ("--threads=2",)])
def test_one_process_without_a_master_connects(
    options: tuple[str, ...], roomy: Mosquitto, tmp_path: Path
) -> None:
    with AppServer(tmp_path, uwsgi(*options, workers=1), roomy.port) as server:
        handle_something(server, roomy)
        assert "enable-threads in" not in server.log


@pytest.mark.parametrize("lazy", [(), ("--lazy-apps",)], ids=["forked", "lazy"])
def test_without_the_option_publishing_works_and_without_threads_an_error_says_so(
    lazy: tuple[str, ...], roomy: Mosquitto, tmp_path: Path
) -> None:
    with AppServer(tmp_path, uwsgi(*MASTER, *lazy, workers=2), roomy.port) as server:
        results = [json.loads(server.request(f"/publish/{first}/5", b"")) for first in (0, 5)]
        assert results == [[0] * 5] * 2
        assert len(BrokerLog(roomy, CLIENT_ID).published("requested")) == 10
        server.visit_all()
    # Newer versions of uWSGI have threads without the option.
    has_threads = "threads support is disabled" not in server.log
    assert ("set enable-threads" in server.log) is not has_threads
