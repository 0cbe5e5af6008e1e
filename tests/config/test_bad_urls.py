"""Set-ups that cannot work, told apart by their keys alone: the exception, word for word."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from flask import Flask

from flask_mqtt import Mqtt
from support.bad_url_setups import SECRET, SETUPS

if TYPE_CHECKING:
    from support.bad_url_setups import BadSetup

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_a_bad_set_up_is_told_what_is_wrong_with_it(
    setup: BadSetup, caplog: pytest.LogCaptureFixture
) -> None:
    app = Flask("tests")
    app.config.update({f"MQTT_{key}": value for key, value in setup.keys.items()})
    with caplog.at_level(logging.DEBUG), pytest.raises(setup.error) as caught:
        Mqtt(app)
    assert caught.type is setup.error
    assert str(caught.value) == setup.message
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert SECRET not in caplog.text + "".join(map(repr, chain))


def test_there_are_enough_of_them() -> None:
    assert len({setup.message for setup in SETUPS}) == len(SETUPS) >= 15
