"""The demo's page: its colours, and what a browser makes of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from support.demo import HOSTILE, ROOT, Demo, quiet_demo, running_demo
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

CSS = (ROOT / "examples" / "demo" / "static" / "demo.css").read_text()
#: Light, and dark over it.
THEMES = [
    dict(re.findall(r"--(\w[\w-]*): (#[0-9a-f]{6});", block))
    for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
]


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb (WCAG 2.2)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


@pytest.fixture(scope="module")
def demo(broker: Mosquitto) -> Iterator[Demo]:
    with quiet_demo(broker.port) as running:
        yield running


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("least", "front", "grounds"),
    [
        (4.5, "ink", ["page", "card", "accent-tint", "bad-tint"]),
        (4.5, "soft", ["page", "card"]),
        (4.5, "accent", ["accent-tint"]),
        (4.5, "accent-ink", ["accent"]),
        (4.5, "bad", ["card"]),
        # Borders of what can be used, and marks that say something: 1.4.11.
        (3, "edge", ["page", "card"]),
        (3, "accent", ["page", "card"]),
        (3, "good", ["page"]),
        (3, "wait", ["page"]),
        (3, "bad", ["page"]),
    ],
)
def test_what_is_shown_stands_out(theme: int, least: float, front: str, grounds: list[str]) -> None:
    colours = THEMES[0] | THEMES[theme]
    for ground in grounds:
        assert contrast(colours[front], colours[ground]) >= least, (front, ground)


@pytest.mark.parametrize(
    "selector", ["input:not([type]), textarea, select", "button.quiet, button.on"]
)
def test_what_can_be_used_has_a_border_that_stands_out(selector: str) -> None:
    [rule] = re.findall(re.escape(selector) + r" \{(.*?)\}", CSS, re.DOTALL)
    assert "var(--edge)" in rule


def test_a_browser_shows_a_message_as_text_and_nothing_but_text(
    browser: Any, demo: Demo, broker: Mosquitto
) -> None:
    browser.get(demo.url)
    status = browser.find_element("id", "status-text")
    wait_until(lambda: status.text == "Connected", what="the page is connected")
    topic = browser.find_element("css selector", "#publish-form [name=topic]")
    topic.clear()
    topic.send_keys(f"demo/{HOSTILE.replace('#', '')}")
    payload = browser.find_element("css selector", "#publish-form [name=payload]")
    payload.clear()
    payload.send_keys(HOSTILE)
    browser.find_element("css selector", "#publish-form button").click()

    def shown() -> list[str]:
        rows = browser.find_elements("css selector", "#messages .payload")
        return [row.text for row in rows if row.text == HOSTILE]

    assert wait_until(shown, what="the message is on the page") == [HOSTILE]
    assert browser.title == "MQTT live"
    assert not browser.find_elements("css selector", "#messages img, #messages script")
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []


def test_the_page_confirms_what_was_published_and_forgets_what_waited(
    browser: Any, broker_factory: Callable[..., Mosquitto]
) -> None:
    broker = broker_factory()
    with running_demo(broker.port) as demo:
        browser.get(demo.url)
        status = browser.find_element("id", "status-text")
        answer = browser.find_element("css selector", "#publish-form .answer")
        wait_until(lambda: status.text == "Connected", what="the page is connected")
        assert browser.find_element("id", "broker").text == f"127.0.0.1:{broker.port}"
        wait_until(lambda: browser.find_elements("css selector", "#messages li"), what="live data")
        qos = browser.find_element("css selector", "#publish-form [name=qos]")
        button = browser.find_element("css selector", "#publish-form button")
        button.click()
        wait_until(lambda: "demo/hello: sent" in answer.text, what="QoS 0 is sent")
        qos.send_keys("1")
        button.click()
        wait_until(lambda: "acknowledged by the broker" in answer.text, what="QoS 1")

        broker.stop()
        wait_until(lambda: status.text == "No connection", what="the page knows")
        button.click()
        wait_until(lambda: "is kept" in answer.text, what="the page says what becomes of it")
        assert "bad" not in answer.get_attribute("class").split()
        broker.start()
        wait_until(lambda: "acknowledged by the broker" in answer.text, what="sent afterwards")


def test_every_control_has_a_name_and_the_keyboard_keeps_its_place(
    browser: Any, demo: Demo
) -> None:
    browser.get(demo.url)
    status = browser.find_element("id", "status-text")
    wait_until(lambda: status.text == "Connected", what="the page is connected")
    controls = browser.find_elements("css selector", "input, textarea, select, button, ol")
    shown = [control for control in controls if control.is_displayed()]
    assert len(shown) > 10
    assert [c.get_attribute("outerHTML") for c in shown if not c.accessible_name] == []

    field = browser.find_element("css selector", "#subscribe-form [name=topic]")
    field.send_keys("page/keyboard\n")
    remove = "#topics [aria-label='Unsubscribe from page/keyboard']"
    wait_until(lambda: browser.find_elements("css selector", remove), what="subscribed")
    browser.find_element("css selector", remove).send_keys("\n")
    wait_until(lambda: not browser.find_elements("css selector", remove), what="unsubscribed")
    assert browser.switch_to.active_element == field
