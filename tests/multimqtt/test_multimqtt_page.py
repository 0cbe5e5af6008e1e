"""docs/multimqtt.md: its example works, and it has every method and key."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt.originals import warn_of_original
from flask_multimqtt import MultiMQTT, Topic
from support.wait import wait_until

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto

PAGE = (Path(__file__).parents[2] / "docs" / "multimqtt.md").read_text()


def test_its_example_works(broker: Mosquitto) -> None:
    [code] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": "page"}
    exec(code.replace("@127.0.0.1/", f"@127.0.0.1:{broker.port}/"), names)
    # Not `capsys`, which may lose what a thread prints while it is read.
    with contextlib.redirect_stdout(io.StringIO()) as printed, names["mqtt"] as mqtt:
        wait_until(lambda: mqtt.connected)
        client = names["app"].test_client()
        # The broker takes in the subscription first.
        wait_until(lambda: "myprefix/number/+" in mqtt.topics)
        assert client.post("/number/42").json == {"connected": True}
        wait_until(lambda: "number/42: the number is 42" in printed.getvalue())


def test_it_has_every_method() -> None:
    table = PAGE.split("## Methods")[1].split("## Keys")[0]
    methods = [name for name in vars(MultiMQTT) if not name.startswith("_")]
    values = {"mqtt", "app", "client_id", "host", "port", "tls", "username", "password", "prefix"}
    missing = [name for name in methods if f"`{name}" not in table and name not in values]
    assert missing == []
    for name in ("on_message", "topic_for"):
        assert f"`Topic.{name}(" in table
        assert hasattr(Topic, name)


def test_both_packages_in_one_environment_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_original("Flask-MultiMQTT", "flask_multimqtt")
    monkeypatch.setattr(metadata, "version", lambda _project: "0.3")
    with pytest.warns(RuntimeWarning, match="in one folder: flask_multimqtt") as caught:
        warn_of_original("Flask-MultiMQTT", "flask_multimqtt")
    assert "pip uninstall flask-multimqtt flask-mqtt-rs && pip install" in str(caught[0].message)
