"""`python -m interop`, run in the folder of the tests by ./scripts/interop: makes the table."""

from __future__ import annotations

import argparse
import datetime as dt
import logging
import os
import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import flask_mqtt
from support.certificates import Certificates

from . import features, features_v5  # noqa: F401 - importing them fills FEATURES
from .brokers import BROKERS
from .client import Failed
from .site import FEATURES, Feature, Site
from .table import Cell, Column, markdown

if TYPE_CHECKING:
    from .broker import Broker

PAGE = Path(__file__).parents[2] / "docs" / "brokers.md"
BEGIN, END = "<!-- ./scripts/interop writes from here -->", "<!-- to here -->"
TIMEOUT = 60.0
NEW_IN_5 = features_v5.SECTION


def check(broker: Broker, feature: Feature) -> Cell:
    """Run one check, in a thread that is left behind where it does not end."""
    if feature.section == NEW_IN_5 and "mqtt_5" in broker.absent:
        return Cell("—")  # the row of MQTT 5 has the note
    said = broker.absent.get(feature.key, "")
    reachable = feature.via in broker.ways or f"{feature.via}{feature.version}" in broker.ways
    if said and not reachable:
        return Cell("—", said)
    if not reachable:
        raise SystemExit(f"{broker.title}: no way {feature.via!r}, and not said to be absent")
    outcome: list[Cell] = []

    def run() -> None:
        try:
            feature.check(Site(broker, feature.via, feature.version))
        except Exception as error:
            outcome.append(Cell("no", describe(error)))
        else:
            outcome.append(Cell("yes"))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    cell = outcome[0] if outcome else Cell("no", f"the check did not end within {TIMEOUT:g} s")
    if not said:
        return cell
    if cell.word == "yes":
        return Cell("yes", f"although its documentation says: {said}")
    return Cell("—", f"{said} Tried: {cell.note}")


def describe(error: Exception) -> str:
    """Return what went wrong in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, Failed):
        return f"{text[0].upper()}{text[1:]}."
    return f"{type(error).__name__}: {text}."


def measure(kind: type[Broker], wanted: list[Feature], certificates: Certificates) -> Column:
    """Run all checks against one broker."""
    directory = certificates.directory / kind.__name__
    with kind(directory, certificates) as broker:
        version = broker.version()
        print(f"{broker.title} {version}", file=sys.stderr)
        cells = {}
        for feature in wanted:
            cell = cells[feature.key] = check(broker, feature)
            line = f"  {feature.title}: {cell.word} {cell.note}".rstrip()
            print(line, file=sys.stderr, flush=True)
    return Column(broker.title, version, cells)


def write(text: str) -> None:
    """Put the table between the marks of the page."""
    page = PAGE.read_text()
    between = f"{BEGIN}\n\n{text}\n{END}"
    PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: between, page, flags=re.DOTALL))


def main() -> None:
    """Measure, print, and write on request."""
    names = {kind.title.lower(): kind for kind in BROKERS}
    parser = argparse.ArgumentParser(prog="scripts/interop")
    parser.add_argument("--broker", action="append", choices=names, help="only this one")
    parser.add_argument("--feature", action="append", choices=FEATURES, help="only this one")
    parser.add_argument("--write", action="store_true", help=f"write to docs/{PAGE.name}")
    arguments = parser.parse_args()
    if arguments.write and (arguments.broker or arguments.feature):
        parser.error("--write needs the whole table")
    logging.getLogger().addHandler(logging.NullHandler())  # refusals are part of the checks
    wanted = [FEATURES[key] for key in FEATURES if key in (arguments.feature or FEATURES)]
    with tempfile.TemporaryDirectory(prefix="interop-") as directory:
        certificates = Certificates(Path(directory))
        columns = [measure(names[name], wanted, certificates) for name in arguments.broker or names]
    today = dt.datetime.now(dt.timezone.utc).date()
    text = (
        f"{markdown(columns, wanted)}\nMeasured on {today} with flask-mqtt-rs "
        f"{flask_mqtt.__version__}.\n"
    )
    print(text, flush=True)
    if arguments.write:
        write(text)
    os._exit(0)  # without waiting for a check that hangs


main()
