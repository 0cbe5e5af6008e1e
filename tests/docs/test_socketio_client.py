"""The page of examples/socketio_client in a real browser, with each kind of server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.examples import EXAMPLES, running, watching
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium import webdriver

    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

MESSAGES = 300


class Page:
    """The page, used as a person does."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self._browser = browser
        browser.get(url)
        wait_until(lambda: browser.execute_script("return socket.connected"), 20, "the page")

    def submit(self, form: str, **values: str) -> None:
        """Fill in a form and press its button."""
        for name, value in values.items():
            field = self._browser.find_element("css selector", f"#{form} [name={name}]")
            field.clear()
            field.send_keys(value)
        self._browser.find_element("css selector", f"#{form} button").click()

    def unsubscribe(self) -> None:
        """Press the button for that."""
        self._browser.find_element("id", "unsubscribe").click()

    def messages(self) -> list[str]:
        """Return what the page shows, the oldest first."""
        script = "return [...document.querySelectorAll('#messages li')].map((li) => li.textContent)"
        return list(reversed(self._browser.execute_script(script)))

    def errors(self) -> list[str]:
        """Return what the browser has complained about."""
        log = self._browser.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]


@pytest.mark.parametrize("mode", ["threading", "eventlet", "gevent"])
def test_the_page_subscribes_publishes_shows_and_unsubscribes(
    browser: webdriver.Chrome, broker_factory: Callable[[], Mosquitto], mode: str
) -> None:
    broker = broker_factory()
    command = str(EXAMPLES / "socketio_client" / "app.py")
    with (
        running(command, broker=broker, SOCKETIO_MODE=mode, MQTT_CLIENT_ID="page") as example,
        watching(broker, "chat/#") as (device, seen),
    ):
        page = Page(browser, example.url)

        page.submit("subscribe", topic="chat/#")
        wait_until(lambda: "Sending SUBACK to page\n" in broker.log, 20, "subscribed")
        page.submit("publish", topic="chat/room", payload="<b>0</b>")
        wait_until(page.messages, 20, "a message on the page")
        wait_until(lambda: seen == [("chat/room", b"<b>0</b>")])

        for number in range(1, MESSAGES):
            device.publish("chat/room", str(number))
        wait_until(lambda: len(page.messages()) >= MESSAGES, 30, f"{MESSAGES} messages")
        expected = ["chat/room: <b>0</b>", *(f"chat/room: {n}" for n in range(1, MESSAGES))]
        assert page.messages() == expected

        broker.stop()
        broker.start()
        again = "Sending SUBACK to page\n"
        wait_until(lambda: again in broker.log_since_start, 30, "subscribed again")
        page.submit("publish", topic="chat/room", payload="back")
        expected.append("chat/room: back")
        wait_until(lambda: page.messages() == expected, 20, "a message after the restart")

        page.unsubscribe()
        wait_until(lambda: "Sending UNSUBACK to page\n" in broker.log, 20, "unsubscribed")
        page.submit("publish", topic="chat/room", payload="nobody shows this")
        page.submit("subscribe", topic="other")
        page.submit("publish", topic="other", payload="last")
        expected.append("other: last")
        wait_until(lambda: len(page.messages()) > MESSAGES + 1, 20, "the last message")
        assert page.messages() == expected
        assert page.errors() == []
