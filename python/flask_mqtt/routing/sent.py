"""What an application says that it sends, for its AsyncAPI document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..payloads import decoder_for
from .patterns import Pattern
from .route import check_bool, check_qos

if TYPE_CHECKING:
    from ..payloads import Decoder


@dataclass(frozen=True)
class Sent:
    """Messages that the application publishes on the topics of a rule."""

    pattern: Pattern
    #: Of the payload; None where nothing is said of it.
    decoder: Decoder | None
    qos: int
    retain: bool
    no_prefix: bool
    name: str | None
    summary: str | None

    @classmethod
    def of(cls, rule: str, payload: Any, **fields: Any) -> Sent:
        """Make one from the arguments of `sends`.

        Args:
            rule: As that of a route.
            payload: The type of the payload, or None.
            fields: The other fields.

        Raises:
            TypeError: The type cannot be sent as JSON, or an option has a wrong type.
            ValueError: The rule is malformed, or the QoS is not 0, 1 or 2.
        """
        decoder = None if payload is None else decoder_for(payload, json=True)
        if payload is not None and decoder is None:
            raise TypeError(
                f"sends({rule!r}) payload {payload!r}: it must be a dataclass, a TypedDict, a "
                "pydantic model, a msgspec Struct, dict or list, or None for anything else"
            )
        made = cls(Pattern(rule), decoder, **fields)
        check_qos(made.qos)
        check_bool("retain", made.retain)
        check_bool("no_prefix", made.no_prefix)
        for name in ("name", "summary"):
            value = getattr(made, name)
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name} {value!r}: it must be a str")
        return made
