"""The order of modules in docs/modules.md, which their imports keep to."""

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

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "modules.md").read_text()
ROWS = [
    name.rstrip("/")
    for row in re.findall(r"^\| (`[\w/]+`[^|]*)", PAGE, re.MULTILINE)
    for name in re.findall(r"`([\w/]+)`", row)
]
PACKAGE = ROOT / "python" / "flask_mqtt"
SECOND = ROOT / "python" / "flask_multimqtt"
CORE = ROOT / "src" / "core"
FOLDERS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))

#: What is imported against the order, for annotations alone: the client that a handler gets.
LATER = {"client": {"types": {"client"}}}

#: Not the indented ones: they are those of tests.
RUST_USE = re.compile(r"^(?:pub )?use ((?:super::)+)(\w+)?", re.MULTILINE)


def order(folder: str) -> dict[str, set[str]]:
    """Return the modules of the page, and what each may import. A circle is an error."""
    [text] = re.findall(rf"^\w+ \(`{folder}`\): (.+?)\.$", PAGE, re.MULTILINE | re.DOTALL)
    before: dict[str, set[str]] = defaultdict(set)
    for chain in re.split(r";\s+", text):
        groups = [re.findall(r"\w+", group) for group in chain.split("→")]
        for earlier, later in pairwise(groups):
            for module in later:
                before[module].update(earlier)
    allowed: dict[str, set[str]] = {}
    for module in list(TopologicalSorter(before).static_order()):
        allowed[module] = before[module].union(*(allowed[other] for other in before[module]))
    return allowed


def python_imports(
    folder: str = "", *, package: Path = PACKAGE, annotations: bool = False
) -> dict[str, set[str]]:
    """Return what is in a folder of the package, and what of the folder each part imports."""
    inside = Path(folder).parts
    found: dict[str, set[str]] = defaultdict(set)
    for path in (package / folder).rglob("*.py"):
        place = path.relative_to(package).with_suffix("").parts
        name = place[len(inside)]
        targets = imported(place[:-1], ast.parse(path.read_text()), annotations=annotations)
        here = {target[len(inside) :] for target in targets if target[: len(inside)] == inside}
        found[name] |= {rest[0] if rest else "__init__" for rest in here} - {name}
    return dict(found)


def imported(
    package: tuple[str, ...], tree: ast.AST, *, annotations: bool
) -> Iterator[tuple[str, ...]]:
    """List what of the package is imported, with or without what is for annotations alone."""
    for node in ast.iter_child_nodes(tree):
        if (
            isinstance(node, ast.If)
            and ast.unparse(node.test) == "TYPE_CHECKING"
            and not annotations
        ):
            continue
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) + 1 - node.level]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from [(*base, *name.split(".")) for name in names]
        yield from imported(package, node, annotations=annotations)


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
    [
        ("python/flask_mqtt", {"_core": set(), **python_imports()}),
        *[(f"python/flask_mqtt/{name}", python_imports(name)) for name in FOLDERS],
        ("python/flask_multimqtt", python_imports(package=SECOND)),
        ("src/core", rust_imports()),
    ],
    ids=["Python", *FOLDERS, SECOND.name, "Rust"],
)
def test_a_module_uses_only_those_before_it(folder: str, imports: dict[str, set[str]]) -> None:
    allowed = order(folder)
    assert imports.keys() == allowed.keys()
    against = {module: names - allowed[module] for module, names in imports.items()}
    assert {module: names for module, names in against.items() if names} == {}


@pytest.mark.parametrize("folder", ["", *FOLDERS], ids=["Python", *FOLDERS])
def test_only_these_name_a_later_one_in_annotations(folder: str) -> None:
    allowed = order(f"python/flask_mqtt/{folder}".rstrip("/"))
    imports = python_imports(folder, annotations=True)
    later = {module: names - allowed[module] for module, names in imports.items()}
    assert {module: names for module, names in later.items() if names} == LATER.get(folder, {})


def test_the_core_imports_from_above_only_in_the_way_that_is_looked_at() -> None:
    absolute = re.compile(r"\bcrate::")
    assert [path for path in CORE.rglob("*.rs") if absolute.search(path.read_text())] == []


@pytest.mark.slow
def test_the_bindings_have_no_tests_in_rust() -> None:
    """`./scripts/test` runs Rust's tests without them."""
    outside = [path for path in (ROOT / "src").rglob("*.rs") if CORE not in path.parents]
    assert outside
    assert not [path for path in outside if "#[test]" in path.read_text()]


def test_the_package_knows_nothing_of_the_second_one() -> None:
    assert SECOND.is_dir()
    importing = re.compile(rf"^\s*(?:from|import) {SECOND.name}\b", re.MULTILINE)
    assert [path for path in PACKAGE.rglob("*.py") if importing.search(path.read_text())] == []


def test_imports_are_found() -> None:
    assert {"_core", "handlers", "paho"} < python_imports()["dispatch"]
    assert "client" not in python_imports("client")["types"], "it is for annotations only"
    assert {"attempts", "sharing"} == python_imports("connection")["connection"]
    assert {"keys", "options"} < python_imports("config")["tls"]
    assert {"packet", "topic", "delivery"} < rust_imports()["session"]
    assert rust_imports()["topic"] == {"error"}


@pytest.mark.parametrize(
    ("folder", "rows"),
    [
        ("python/flask_mqtt", ""),
        *[(f"python/flask_mqtt/{name}", f"{name}/") for name in FOLDERS],
        ("python/flask_multimqtt", ""),
        ("src/core", ""),
    ],
)
def test_the_job_of_each_module_is_told(folder: str, rows: str) -> None:
    assert {f"{rows}{name}" for name in order(folder)} - set(ROWS) <= {f"{rows}__init__"}


#: The parts whose state others only change by their methods, by the attributes that hold them.
PARTS = re.compile(r"(?:^|\.)_?(?:events|connection|settings|publisher)$")


def test_the_state_of_a_part_is_written_by_the_part_alone() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {ast.unparse(target)}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for target in getattr(node, "targets", [getattr(node, "target", None)])
        if isinstance(target, ast.Attribute) and PARTS.search(ast.unparse(target.value))
    ]
    assert found == []
