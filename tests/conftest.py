"""Fixtures for all tests."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from support.mosquitto import Mosquitto
from support.scripted import ScriptedBroker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A mosquitto that all tests share; it has .host and .port. Use topics of your own."""
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as mosquitto:
        yield mosquitto


@pytest.fixture
def broker_factory(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Mosquitto]]:
    """Start further brokers, with the options of Mosquitto; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*args: Any, **options: Any) -> Mosquitto:
            directory = tmp_path_factory.mktemp("mosquitto")
            return stack.enter_context(Mosquitto(directory, *args, **options))

        yield start


@pytest.fixture
def scripted() -> Iterator[ScriptedBroker]:
    """A well-behaved recording broker; change its attributes to script it."""
    with ScriptedBroker() as broker:
        yield broker
