"""Writes what docs/configuration.md has of the table of keys: defaults, and all at a glance.

.venv/bin/python scripts/keys.py            after a change of python/flask_mqtt/config/keys.py
.venv/bin/python scripts/keys.py --check    fails where the page is not what it would write
"""

from __future__ import annotations

import re
import sys
from dataclasses import fields
from enum import Enum
from pathlib import Path

from flask_mqtt.config import KEYS, Config

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
TABLE = re.compile(r"(?<=<!-- scripts/keys.py writes this table -->\n)(\|.*\n)+")
DEFAULT = re.compile(r"(?<=^- Default: ).*", re.MULTILINE)
SECTIONS = re.compile(r"(?=^##)", re.MULTILINE)

FIELDS = {field.name: field for field in fields(Config)}

#: What types are called that have no name in Python's documentation.
TYPES = {"Pem": "path or PEM text", "Any": "dict", "ssl.SSLContext": "`ssl.SSLContext`"}


def written(page: str) -> str:
    """Return the page with what follows from the keys."""
    page = TABLE.sub(lambda _: table(), page)
    return "".join(with_default(section) for section in SECTIONS.split(page))


def table() -> str:
    """Return all keys at a glance."""
    lines = [
        "| Key | Type | Default | Attribute of `Mqtt` | No effect without |",
        "|---|---|---|---|---|",
    ]
    for name, key in KEYS.items():
        link = f"[`{spelled(name)}`](#{spelled(name).lower()})"
        attribute = f"`{name}`" if key.attribute else ""
        needs = f"`{spelled(key.needs)}`" if key.needs else ""
        lines.append(f"| {link} | {kind(name)} | {default(name)} | {attribute} | {needs} |")
    return "\n".join([*lines, ""])


def with_default(section: str) -> str:
    """Return the section of a key with its default, and every other one as it is."""
    found = re.match(r"### MQTT_(\w+)", section)
    if found is None:
        return section
    return DEFAULT.sub(lambda _: default(found[1].lower()), section)


def spelled(name: str) -> str:
    """Return a key as it stands in a configuration."""
    return f"MQTT_{name.upper()}"


def kind(name: str) -> str:
    """Return the type of a value when it is used."""
    types = str(FIELDS[name].type).split(" | ")
    if types == ["Any"]:
        types.append("None")
    return " or ".join(TYPES.get(one, f"`{one}`") for one in types)


def default(name: str) -> str:
    """Return the value without the key, as Python has it."""
    value = FIELDS[name].default
    if isinstance(value, Enum):
        return f"`ssl.{value.name}`"
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return f"`{text}`"


def main() -> None:
    """Write the page, or look whether it is up to date."""
    page = PAGE.read_text()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(written(page))
    elif written(page) != page:
        sys.exit("docs/configuration.md is not what scripts/keys.py writes: run it")


if __name__ == "__main__":
    main()
