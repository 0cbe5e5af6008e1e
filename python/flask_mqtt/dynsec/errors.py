"""What commands raise."""

from __future__ import annotations

from typing import Any


class DynsecError(RuntimeError):
    """The plugin has refused a command, or it has no result.

    Attributes:
        command: The name of the command, such as ``createClient``.
        reason: The plugin's text, such as ``Client already exists``, or why there is no result.
        results: With `execute`: the result or the error of each command. Empty if the request had
            no response.
    """

    def __init__(self, command: str, reason: str, title: str = "") -> None:
        """Make an error.

        Args:
            command: The name of the command.
            reason: What was wrong.
            title: The command with the names of what it is about; by default its name alone.
        """
        super().__init__(f"{title or command}: {reason}")
        self.command = command
        self.reason = reason
        self.results: list[Any] = []

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle with the attributes."""
        title = str(self).removesuffix(f": {self.reason}")
        return type(self), (self.command, self.reason, title), {"results": self.results}


class DynsecUnavailableError(DynsecError):
    """There was no response: no connection, or no permission."""


class DynsecTimeoutError(DynsecUnavailableError, TimeoutError):
    """There was no response in time."""
