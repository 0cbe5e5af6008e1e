"""JSON, as RFC 8259 has it: Python's own parser takes more."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from .errors import InvalidPayload

#: A code unit of UTF-16 that is no character by itself.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse(payload: Any) -> Any:
    """Return the value that a payload has as JSON.

    Of a key that an object has twice, the last value counts.

    Args:
        payload: Bytes of UTF-8, or a text.

    Raises:
        InvalidPayload: It is not JSON; or a number in it is too large, or it is nested too deeply.
    """
    try:
        text = payload if isinstance(payload, str) else as_bytes(payload).decode()
        value = _DECODER.decode(text)
        if "\\u" in text and _SURROGATE.search(text):
            # Half a character would fail wherever it is written.
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise InvalidPayload(_place(error)) from error
    except UnicodeDecodeError as error:
        raise InvalidPayload(f"no UTF-8: {error.reason} at byte {error.start}") from error
    except UnicodeEncodeError as error:
        raise InvalidPayload("a text has half of a surrogate pair") from error
    except RecursionError as error:
        raise InvalidPayload("nested too deeply") from error
    except InvalidPayload:
        raise
    except ValueError as error:
        # An integer of thousands of digits, or what is refused below.
        raise InvalidPayload(f"not JSON: {error}") from error
    return value


def as_bytes(payload: Any) -> bytes:
    """Return a payload as it was sent: a handler may have assigned a text, for example.

    Raises:
        InvalidPayload: It is something else.
    """
    if isinstance(payload, bytes):
        return payload
    if isinstance(payload, str):
        return payload.encode(errors="surrogatepass")
    if isinstance(payload, (bytearray, memoryview)):
        return bytes(payload)
    raise InvalidPayload(f"expected bytes or a text, got {type(payload).__name__}")


def _place(error: json.JSONDecodeError) -> str:
    if not error.doc.strip():
        return "not JSON: the payload is empty"
    return f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("a number is too large")
    return value


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
