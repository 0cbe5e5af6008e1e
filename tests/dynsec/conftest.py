"""A mosquitto with its plugin, and who administers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flask_mqtt.dynsec import DynamicSecurity
from support.apps import make_app
from support.dynsec import DynsecMosquitto
from support.running import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_mqtt import Mqtt


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynsecMosquitto]:
    """A mosquitto with its plugin that all tests share. Use names of your own."""
    with DynsecMosquitto(tmp_path_factory.mktemp("dynsec")) as broker:
        yield broker


@pytest.fixture
def own_plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynsecMosquitto]:
    """One of a test's own."""
    with DynsecMosquitto(tmp_path_factory.mktemp("dynsec")) as broker:
        yield broker


@pytest.fixture
def admin(plugin: DynsecMosquitto) -> Iterator[Mqtt]:
    """The extension of an administrator of `plugin`."""
    app = make_app(plugin.port, username=plugin.admin, password=plugin.password)
    with connected(app) as mqtt:
        yield mqtt


@pytest.fixture
def dynsec(admin: Mqtt) -> DynamicSecurity:
    """What administers `plugin`."""
    return DynamicSecurity(admin)
