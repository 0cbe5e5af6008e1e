"""docs/dynsec.md: its code runs, and its table has every method."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask_mqtt.dynsec import DynamicSecurity

if TYPE_CHECKING:
    from support.dynsec import DynsecMosquitto

PAGE = (Path(__file__).parents[2] / "docs" / "dynsec.md").read_text()
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_table_has_every_method_with_its_arguments() -> None:
    cells = re.findall(r"^\| (`\w+\(.*?`) \|", PAGE, re.MULTILINE)
    told = {
        name: re.findall(r"\w+", arguments)
        for cell in cells
        for name, arguments in re.findall(r"`(\w+)\((.*?)\)`", cell)
    }
    others = {"execute", "close"}
    methods = {
        name: list(value.__annotations__)[:-1]
        for name, value in vars(DynamicSecurity).items()
        if callable(value) and not name.startswith("_") and name not in others
    }
    assert {name: sorted(names) for name, names in told.items()} == {
        name: sorted(names) for name, names in methods.items()
    }


def test_the_code_of_the_page_runs(own_plugin: DynsecMosquitto) -> None:
    first, *blocks = PYTHON_BLOCK.findall(PAGE)
    first = first.replace('"secret"', repr(own_plugin.password), 1)
    first = first.replace(
        "mqtt = Mqtt", f'app.config["MQTT_BROKER_PORT"] = {own_plugin.port}\nmqtt = Mqtt'
    )
    names: dict[str, Any] = {"__name__": "page"}
    exec(first, names)
    with names["mqtt"]:
        for block in blocks:
            exec(block, names)
        app = names["app"]
        assert app.test_cli_runner().invoke(args=["create-roles"]).exit_code == 0
        http = app.test_client()
        assert http.post("/sensors/sensor-3/secret").status_code == 201
        response = http.post("/sensors/sensor-3/secret")
        assert (response.status_code, response.json) == (409, {"error": "Client already exists"})
        assert http.get("/sensors").json == ["admin", "sensor-1", "sensor-2", "sensor-3"]
