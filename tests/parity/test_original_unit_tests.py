"""Flask-MQTT's own unit tests, with a mock in the place of `flask_mqtt.Client`.

They put a mock in the place of paho's module, which this package does not use. So the class that
they mean is replaced where this package has it. Nothing else of them is changed; what fails then is
listed here with its reason, and passes with values that can be used.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import unittest
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from support.original import module_of_the_original

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

pytestmark = pytest.mark.slow

#: What fails, and what the error is. The reason for all: where the original hands any value to
#: paho, this package says which key cannot be right.
FAILING = {"test_mqtt_config_values": r"MQTT_BROKER_PORT = 'broker_port'"}

#: Values that are none, by the text that stands for them.
USABLE = {
    "'broker_port'": "1884",
    "'tls_enabled'": "True",
    "'keepalive'": "30",
    "'tls_cert_reqs'": "2",
    "'tls_version'": "5",
    "'tls_insecure'": "True",
}


@pytest.fixture
def modules() -> Iterator[None]:
    """Give back the modules that the tests replace."""
    before = dict(sys.modules)
    yield
    for name in sys.modules.keys() - before.keys():
        del sys.modules[name]
    sys.modules.update(before)


def load(source: str, directory: Path) -> ModuleType:
    path = directory / "test_flaskmqtt.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(source: str, directory: Path) -> tuple[int, dict[str, str]]:
    """Run the tests of a source, and return how many there are and what failed."""
    case: Any = load(source, directory).FlaskMQTTTestCase
    set_up = case.setUp

    def set_up_with_a_mock(self: Any) -> None:
        # It imports the package anew.
        set_up(self)
        patch = mock.patch("flask_mqtt.Client")
        patch.start()
        self.addCleanup(patch.stop)

    case.setUp = set_up_with_a_mock
    result = unittest.TestResult()
    unittest.TestLoader().loadTestsFromTestCase(case).run(result)
    failed = [*result.errors, *result.failures]
    return result.testsRun, {test.id().rpartition(".")[2]: text for test, text in failed}


@pytest.mark.usefixtures("modules")
def test_they_pass_but_for_those_that_are_listed(tmp_path: Path) -> None:
    count, failed = run(module_of_the_original("test_flaskmqtt.py"), tmp_path)
    assert count == 10
    assert failed.keys() == FAILING.keys(), "\n".join(failed.values())
    for name, error in FAILING.items():
        assert re.search(error, failed[name])


@pytest.mark.usefixtures("modules")
def test_they_all_pass_with_values_that_can_be_used(tmp_path: Path) -> None:
    source = module_of_the_original("test_flaskmqtt.py")
    for text, value in USABLE.items():
        assert text in source
        source = source.replace(text, value)
    _, failed = run(source, tmp_path)
    assert not failed, "\n".join(failed.values())
