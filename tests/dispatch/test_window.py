"""What is learned of the number of messages that a broker sends before it waits."""

from __future__ import annotations

from flask_mqtt.dispatch.window import Window

WAIT = 1.0


def batch(window: Window, size: int, now: float, *, waits: bool = True) -> bool:
    """Have messages come at once, and be acknowledged; return whether the last one was the end."""
    ends = [window.arrived(count, now) for count in range(1, size + 1)]
    if ends[-1]:
        window.acknowledged(size, 0, WAIT, now)
    else:
        window.acknowledged(size, WAIT if waits else 0.1, WAIT, now + WAIT)
    assert not any(ends[:-1])
    return ends[-1]


def test_a_size_is_learned_when_more_comes_as_soon_as_that_is_acknowledged() -> None:
    window = Window()
    assert not batch(window, 20, now=0)
    # The answer to the first question.
    assert batch(window, 20, now=1.1)
    assert window.size == 20


def test_what_comes_later_is_no_answer() -> None:
    window = Window()
    assert not batch(window, 20, now=0)
    assert not batch(window, 20, now=1 + 0.6 * WAIT)
    assert window.size is None


def test_where_messages_come_all_the_time_nothing_is_learned() -> None:
    window = Window()
    assert not batch(window, 20, now=0, waits=False)
    assert not batch(window, 20, now=1.1, waits=False)
    assert window.size is None


def test_a_size_that_was_right_is_looked_at_more_and_more_rarely() -> None:
    window, now, waited = Window(), 0.0, []
    for number in range(1_000):
        if not batch(window, 20, now):
            waited.append(number)
            now += WAIT
        now += 0.01
    # It is looked at after 1, 2, 4, 8, … others.
    assert waited == [0, 2, 5, 10, 19, 36, 69, 134, 263, 520]


def test_a_size_is_forgotten_when_more_come() -> None:
    window = Window()
    batch(window, 20, now=0)
    assert batch(window, 20, now=1.1)
    # The batch that waits shows that it was wrong.
    assert not batch(window, 50, now=1.2)
    assert window.size is None


def test_a_size_is_forgotten_when_the_broker_has_no_more() -> None:
    window = Window()
    batch(window, 20, now=0)
    assert batch(window, 20, now=1.1)
    assert not window.arrived(1, 60)
    assert window.size is None


def test_a_full_batch_says_nothing() -> None:
    window = Window()
    batch(window, 20, now=0)
    window.forget_question()
    assert not batch(window, 20, now=1.1)
    assert window.size is None
