"""How a failure shows packets."""

from __future__ import annotations

from support.codec import KINDS

#: How many bytes of a packet a failure shows.
SHOWN = 48


def show(data: bytes) -> str:
    """Return bytes as hexadecimal digits, after the name of the packet that begins with them."""
    if not data:
        return "nothing"
    text = data[:SHOWN].hex(" ")
    if len(data) > SHOWN:
        text += f" ... {data[-8:].hex(' ')} ({len(data)} bytes)"
    return f"{KINDS[data[0] >> 4]} {text}"
