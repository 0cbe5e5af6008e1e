"""A mosquitto with its dynamic security plugin."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .mosquitto import Mosquitto
from .server_process import MISSING, find_program

_PLUGIN = "mosquitto_dynamic_security.so"
_PLACES = ("/usr/lib", "/usr/lib/*", "/usr/local/lib", "/opt/homebrew/lib")


class DynsecMosquitto(Mosquitto):
    """Who connects without a user name is let in, as one of the anonymous group if there is one."""

    admin = "admin"
    password = "admin-password"

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.data = directory / "dynsec.json"
        subprocess.run(
            [
                find_program("mosquitto_ctrl"),
                "dynsec",
                "init",
                str(self.data),
                self.admin,
                self.password,
            ],
            check=True,
            capture_output=True,
        )
        lines = (f"plugin {_plugin()}", f"plugin_opt_config_file {self.data}")
        super().__init__(directory, options=lines)


def _plugin() -> Path:
    for place in _PLACES:
        for found in Path("/").glob(f"{place}/{_PLUGIN}".lstrip("/")):
            return found
    raise pytest.UsageError(MISSING.format(name=_PLUGIN, package="mosquitto", formula="mosquitto"))
