"""The table of paho's names in docs/client.md says what there is."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from flask_mqtt import Client
from support.surface import rows

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
ROW = re.compile(r"^\| `(\w+)(?:\(\))?` \| (same|better|not) \|(.*)\|$", re.MULTILINE)
TABLE = {name: (word, remark) for name, word, remark in ROW.findall(PAGE.read_text())}


@pytest.mark.slow
@pytest.mark.usefixtures("original_python")
def test_the_table_has_every_name_of_pahos_client() -> None:
    names = {
        row.name.removeprefix("Client.")
        for row in rows()
        if row.paho and (row.name == "Client" or row.name.startswith("Client."))
    }
    assert TABLE.keys() == names


def test_what_is_better_or_not_there_says_how() -> None:
    assert all(remark.strip() for word, remark in TABLE.values() if word != "same")


@pytest.mark.parametrize("name", [name for name, (word, _) in TABLE.items() if word == "not"])
def test_what_is_not_there_says_so(name: str) -> None:
    client = Client()
    use = partial(setattr, client, name, print) if name[:3] == "on_" else getattr(client, name)
    with pytest.raises(NotImplementedError, match=re.escape(name)):
        use()


@pytest.mark.parametrize("name", [name for name, (word, _) in TABLE.items() if word != "not"])
def test_what_is_there_is_there(name: str) -> None:
    assert name == "Client" or hasattr(Client(), name)
