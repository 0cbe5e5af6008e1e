"""Scripts that have to end promptly."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .script import Script

#: Under one second is what it takes, and 5 or more where the end waits in vain for something. A
#: machine with other work may need what is between.
PROMPT = 4.5

#: The beginning of a script whose client is connected.
CONNECTED = """
    mqtt = Mqtt(app)
    until(lambda: mqtt.connected)
"""


def assert_prompt(script: Script, code: int = 0) -> None:
    """Check that a script ends soon after its line "end", with this exit code and no traceback."""
    took = script.seconds_to_exit()
    print(f"exit took {took:.3f} s")
    assert took < PROMPT
    assert script.process.returncode == code, script.errors
    assert "Traceback" not in script.errors
    assert "Fatal" not in script.errors
