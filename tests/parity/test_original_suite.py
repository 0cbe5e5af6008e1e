"""The integration tests of Flask-MQTT 1.3.0, unchanged, run with this package.

They want anonymous brokers on the ports 1883, 1885 and 1886 of localhost. Where a port is taken by
a broker that does not take anonymous clients, or by something else, the tests run in a network
namespace of their own. To repeat them, ten times for example:

    PYTHONPATH=tests python -m parity.test_original_suite 10
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support.mosquitto import Mosquitto
from support.original import module_of_the_original
from support.packets import MQTT311

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
PORTS = (1883, 1885, 1886)
MODULES = ("test_integration.py", "test_multiple_servers.py")
NAMESPACE = ("unshare", "--map-root-user", "--net")


def unpack(directory: Path) -> list[Path]:
    """Copy the original's test modules out of its source distribution."""
    modules = []
    for name in MODULES:
        module = directory / name
        module.write_text(module_of_the_original(name))
        modules.append(module)
    return sorted(modules)


def anonymous_broker(port: int) -> bool | None:
    """Tell whether a broker on the port takes anonymous clients, None if nobody listens there."""
    hello = MQTT311.connect("")
    try:
        with socket.create_connection(("localhost", port), timeout=2) as connection:
            connection.sendall(hello)
            return connection.recv(4) == MQTT311.connack()
    except ConnectionRefusedError:
        return None
    except OSError:
        return False


def run_modules(modules: list[Path], times: int) -> None:
    """Run the modules with unittest, each in a process of its own, against brokers on PORTS."""
    free = tuple(port for port in PORTS if anonymous_broker(port) is None)
    with contextlib.ExitStack() as stack:
        if free:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            stack.enter_context(Mosquitto(Path(directory), free))
        for _ in range(times):
            for module in modules:
                subprocess.run(
                    [sys.executable, "-m", "unittest", "-q", module.stem],
                    cwd=module.parent,
                    check=True,
                    timeout=120,
                )


def run_in_namespace(modules: list[Path], times: int) -> None:
    """Run the modules where all ports of localhost are free."""
    if shutil.which(NAMESPACE[0]) is None or shutil.which("ip") is None:
        pytest.fail(f"ports {PORTS} are taken, and there is no unshare and ip to get around that")
    command = 'ip link set lo up && exec "$@"'
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    subprocess.run(
        [*NAMESPACE, "sh", "-c", command, "sh", sys.executable, __file__, str(times), *modules],
        env={**os.environ, "PYTHONPATH": paths},
        check=True,
    )


def run(times: int, directory: Path) -> None:
    """Run the original's tests so many times."""
    modules = unpack(directory)
    if False in [anonymous_broker(port) for port in PORTS]:
        run_in_namespace(modules, times)
    else:
        run_modules(modules, times)


@pytest.mark.timeout(300)
def test_the_originals_own_integration_tests_pass(tmp_path: Path) -> None:
    run(1, tmp_path)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        run_modules([Path(module) for module in sys.argv[2:]], int(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            run(int(sys.argv[1]) if len(sys.argv) == 2 else 1, Path(temporary))
