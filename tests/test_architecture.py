"""The order of modules in docs/architecture.md, which their imports keep to."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROWS = re.findall(r"^\| `(\w+)", PAGE, re.MULTILINE)
PACKAGE = ROOT / "python" / "flask_mqtt"
CORE = ROOT / "src" / "core"

#: Not the indented ones: they are those of tests.
RUST_USE = re.compile(r"^(?:pub )?use ((?:super::)+)(\w+)?", re.MULTILINE)


def order(folder: str) -> dict[str, set[str]]:
    """Return the modules of the page, and what each may import. A circle is an error."""
    [text] = re.findall(rf"^\w+ \(`{folder}`\): (.+?)\.$", PAGE, re.MULTILINE | re.DOTALL)
    before: dict[str, set[str]] = defaultdict(set)
    for chain in text.split("; "):
        groups = [re.findall(r"\w+", group) for group in chain.split("→")]
        for earlier, later in pairwise(groups):
            for module in later:
                before[module].update(earlier)
    allowed: dict[str, set[str]] = {}
    for module in list(TopologicalSorter(before).static_order()):
        allowed[module] = before[module].union(*(allowed[other] for other in before[module]))
    return allowed


def python_imports() -> dict[str, set[str]]:
    modules = {path.stem: ast.parse(path.read_text()) for path in PACKAGE.glob("*.py")}
    return {"_core": set()} | {name: set(imported(tree)) for name, tree in modules.items()}


def imported(tree: ast.AST) -> Iterator[str]:
    """List what of the package is imported, but not for annotations alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from [node.module] if node.module else [alias.name for alias in node.names]
        yield from imported(node)


def rust_imports() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path in CORE.rglob("*.rs"):
        place = [part for part in path.relative_to(CORE).with_suffix("").parts if part != "mod"]
        if not place:
            continue
        uses = RUST_USE.findall(path.read_text())
        names = {name for supers, name in uses if supers.count("super") == len(place)}
        found[place[0]] |= names - {place[0]}
    return found


@pytest.mark.parametrize(
    ("folder", "imports"),
    [("python/flask_mqtt", python_imports()), ("src/core", rust_imports())],
    ids=["Python", "Rust"],
)
def test_a_module_uses_only_those_before_it(folder: str, imports: dict[str, set[str]]) -> None:
    allowed = order(folder)
    assert imports.keys() == allowed.keys()
    against = {module: names - allowed[module] for module, names in imports.items()}
    assert {module: names for module, names in against.items() if names} == {}


def test_imports_are_found() -> None:
    assert {"_core", "signatures", "enums"} < python_imports()["callbacks"]
    assert "client" not in python_imports()["callback_types"], "it is for annotations only"
    assert {"packet", "topic", "delivery"} < rust_imports()["session"]
    assert rust_imports()["topic"] == {"error"}


@pytest.mark.parametrize("folder", ["python/flask_mqtt", "src/core"])
def test_the_job_of_each_module_is_told(folder: str) -> None:
    assert order(folder).keys() - set(ROWS) <= {"__init__"}
