"""What the benchmarks make of their figures; they are run by ./scripts/bench only."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]

#: What callgrind writes, of a program that calls itself and the C library.
CALLGRIND = """version: 1
events: Ir

ob=/somewhere/instructions
fl=core.rs
fn=counted_receive
10 7
cob=/lib/libc.so.6
cfn=malloc
calls=3 0
11 600
12 5

cfn=decode
calls=1 20
13 40

ob=/lib/libc.so.6
fn=malloc
1 600
cfn=malloc
calls=9 0
2 9

ob=/somewhere/instructions
fn=decode
20 30
* 10
totals: 652
"""


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Import modules of the benchmarks."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


def test_only_what_the_program_itself_does_is_counted(
    benchmarks: Callable[[str], Any],
) -> None:
    assert benchmarks("instructions").own(CALLGRIND) == (7 + 5 + 30 + 10, 3)


@pytest.mark.parametrize(("counted", "status"), [(90, 0), (105, 0), (106, 1)])
def test_more_than_five_percent_more_instructions_fail(
    benchmarks: Callable[[str], Any],
    capsys: pytest.CaptureFixture[str],
    counted: int,
    status: int,
) -> None:
    assert benchmarks("instructions").compare({"receive": counted}, {"receive": 100}) == status
    output, errors = capsys.readouterr()
    assert ("Some are fewer" in output) == (counted < 95)
    assert ("benches/instructions.json has: receive." in errors) == bool(status)
    assert ("./scripts/bench instructions --write" in errors) == bool(status)


def test_what_was_never_counted_before_fails(benchmarks: Callable[[str], Any]) -> None:
    assert benchmarks("instructions").compare({"new": 1}, {"receive": 100}) == 1


def results(benchmarks: Callable[[str], Any], figures: dict[str, list[float]]) -> Any:
    """Results of one case."""
    made = benchmarks("results").Results()
    for peer, rates in figures.items():
        for rate in rates:
            made.add("throughput/receive-0", peer, {"rate": rate})
    return made


def test_the_page_has_medians_spreads_and_ratios(benchmarks: Callable[[str], Any]) -> None:
    made = results(
        benchmarks, {"flask-mqtt-rs": [1_500_000, 900_000, 1_000_000], "Flask-MQTT": [50_000]}
    )
    made.note("throughput/receive-0", "raw socket", "failed: no reason")
    page = benchmarks("page")
    text = page.render(made)[ROOT / "docs" / "benchmarks.md"]
    row = "| receive, QoS 0 | 1,000,000 (900,000\N{EN DASH}1,500,000) | 50,000 |"
    row += " 20 \N{MULTIPLICATION SIGN} |"
    assert f"{row} `./scripts/bench throughput/receive-0` |" in text
    assert "Without a figure: raw socket, receive, QoS 0: failed: no reason." in text


def test_a_row_in_which_another_client_is_ahead_needs_a_reason(
    benchmarks: Callable[[str], Any],
) -> None:
    ahead = benchmarks("ahead")
    figures = {"flask-mqtt-rs": [1_000.0], "Flask-MQTT": [1_001.0], "raw socket": [9_000.0]}
    made = results(benchmarks, figures)
    assert ahead.rows(made) == []
    made.add("throughput/receive-0", "paho", {"rate": 2_000})
    assert ahead.unexplained(made) == ["throughput/receive-0 (rate)"]
    assert "| 1,000 | paho 2,000 | **unknown** |" in ahead.section(made)
    made.add("connections/100", "flask-mqtt-rs", {"threads": 2, "cpu_us": 1})
    made.add("connections/100", "paho", {"threads": 1, "cpu_us": 2})
    [_, threads] = ahead.rows(made)
    assert (threads.metric, threads.others) == ("threads", {"paho": 1})
    assert threads.reason
    assert f"| 2 | paho 1 | {threads.reason} |" in ahead.section(made)


def test_a_figure_over_another_one_is_drawn_as_lines(benchmarks: Callable[[str], Any]) -> None:
    made = benchmarks("results").Results()
    figures = {"5000-0": (40, 48), "5000-0.7": (400, 18), "1000-0": (75, 60), "1000-0.7": (75, 61)}
    for key, (p50, cpu) in figures.items():
        made.add(f"gather/{key}", "flask-mqtt-rs", {"p50_us": p50, "cpu_us": cpu})
    files = benchmarks("page").render(made)
    [plot] = [text for path, text in files.items() if path.name == "gather.svg"]
    lines = ET.fromstring(plot).findall("{http://www.w3.org/2000/svg}polyline")
    points = [
        [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        for line in lines
    ]
    assert [len(line) for line in points] == [2, 2]
    # To the right: slower. Up: more CPU.
    [[at_once, gathered]] = points[1:]
    assert at_once[0] < gathered[0]
    assert at_once[1] < gathered[1]
    text = files[ROOT / "docs" / "benchmarks.md"]
    assert "| 5,000 a second, 0.7 ms | 18 |" in text


def test_a_plot_has_a_bar_for_each_figure_that_there_is(benchmarks: Callable[[str], Any]) -> None:
    made = results(benchmarks, {"flask-mqtt-rs": [2_000_000], "Flask-MQTT": [20_000]})
    [plot] = [
        text for path, text in benchmarks("page").render(made).items() if path.suffix == ".svg"
    ]
    boxes = ET.fromstring(plot).findall("{http://www.w3.org/2000/svg}rect")
    widths = [float(box.attrib["width"]) for box in boxes if box.attrib.get("height") == "13"]
    assert len(widths) == 2
    assert widths[0] > widths[1] > 0


def test_each_row_has_a_name_of_its_own(benchmarks: Callable[[str], Any]) -> None:
    keys = [
        f"{suite.name}/{case.key}"
        for suite in benchmarks("suites").all_suites()
        for case in suite.cases
    ]
    assert len(keys) == len(set(keys))
