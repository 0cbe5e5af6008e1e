"""How a filter is subscribed to, and the forms in which `subscribe` takes it."""

from __future__ import annotations

from typing import Any, ClassVar, Final


class SubscribeOptions:
    """How a filter is subscribed to with MQTT 5 (MQTT 5.0, section 3.8.3.1), with paho's names."""

    #: Retained messages come with every subscription.
    RETAIN_SEND_ON_SUBSCRIBE: Final = 0
    #: Retained messages come if the subscription is a new one.
    RETAIN_SEND_IF_NEW_SUB: Final = 1
    #: Retained messages do not come.
    RETAIN_DO_NOT_SEND: Final = 2

    __slots__ = ("QoS", "noLocal", "retainAsPublished", "retainHandling")
    __hash__: ClassVar[None]  # type: ignore[assignment]

    #: The highest QoS wanted.
    QoS: int
    #: Whether messages that this client published stay away.
    noLocal: bool  # noqa: N815 - paho's name
    #: Whether messages keep the retain flag with which they were published.
    retainAsPublished: bool  # noqa: N815 - paho's name
    #: One of the constants above.
    retainHandling: int  # noqa: N815 - paho's name

    def __init__(
        self,
        qos: int = 0,
        noLocal: bool = False,  # noqa: N803 - paho's name
        retainAsPublished: bool = False,  # noqa: N803 - paho's name
        retainHandling: int = RETAIN_SEND_ON_SUBSCRIBE,  # noqa: N803 - paho's name
    ) -> None:
        """Set all options.

        Args:
            qos: The highest QoS wanted: 0, 1 or 2.
            noLocal: Whether messages that this client published stay away.
            retainAsPublished: Whether messages keep the retain flag with which they were published.
            retainHandling: When retained messages come: 0, 1 or 2, see the constants.

        Raises:
            TypeError: An option has another type.
            ValueError: An option has another value.
        """
        self.QoS = qos
        self.noLocal = noLocal
        self.retainAsPublished = retainAsPublished
        self.retainHandling = retainHandling

    def __setattr__(self, name: str, value: Any) -> None:
        """Check and set an option."""
        _check(name, value)
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """Return the options."""
        return (
            f"SubscribeOptions(qos={self.QoS}, noLocal={self.noLocal}, "
            f"retainAsPublished={self.retainAsPublished}, retainHandling={self.retainHandling})"
        )

    def __eq__(self, other: object) -> bool:
        """Compare all options."""
        return isinstance(other, SubscribeOptions) and self.json() == other.json()

    def json(self) -> dict[str, Any]:
        """Return the options as a dict."""
        return {name: getattr(self, name) for name in self.__slots__}


#: A filter, its QoS, no local, retain as published and retain handling.
Wanted = tuple[str, int, bool, bool, int]

_PAIR = 2


def wanted(topic: Any, qos: int, options: Any) -> list[Wanted]:
    """Return what an argument of `subscribe` stands for.

    Args:
        topic: A filter, a tuple of a filter and its QoS or options, or a list of either.
        qos: The QoS of a single filter.
        options: Options of filters that have none of their own.

    Raises:
        TypeError: A QoS is no integer, or the options are something else.
        ValueError: The argument has another form, or there is both a QoS and options.
    """
    if options is not None and qos != 0:
        raise ValueError(f"qos {qos} and options are both given: name the QoS in the options")
    topic = _pair(topic)
    items = topic if isinstance(topic, list) else [topic]
    if not items:
        raise ValueError("the list of topics is empty")
    alone = (0 if isinstance(topic, list) else qos) if options is None else options
    return [_wanted((item, alone) if isinstance(item, str) else item) for item in items]


def _pair(topic: Any) -> Any:
    """Return a pair of a filter and its QoS as a tuple: a list where it comes from JSON."""
    is_pair = isinstance(topic, list) and len(topic) == _PAIR
    return tuple(topic) if is_pair and _is_level(topic[1]) else topic


def _is_level(value: Any) -> bool:
    return isinstance(value, int) or hasattr(value, "retainHandling")


def _wanted(pair: Any) -> Wanted:
    if isinstance(pair, list):
        pair = tuple(pair)
    if not isinstance(pair, tuple) or len(pair) != _PAIR or not isinstance(pair[0], str):
        raise ValueError(
            f"invalid topic {pair!r}: it must be a filter, a tuple (filter, qos) or (filter, "
            "options), or a list"
        )
    name, how = pair
    if isinstance(how, int):
        if not 0 <= how <= 2:  # noqa: PLR2004 - at most once, at least once, exactly once
            raise ValueError(f"invalid QoS {how!r} for {name!r}: it must be 0, 1 or 2")
        return name, how, False, False, 0
    # Another class with these attributes is paho's.
    if not all(hasattr(how, slot) for slot in SubscribeOptions.__slots__):
        raise TypeError(
            f"invalid QoS {how!r} for {name!r}: it must be 0, 1 or 2, or SubscribeOptions"
        )
    for slot in SubscribeOptions.__slots__:
        _check(slot, getattr(how, slot))
    return name, how.QoS, how.noLocal, how.retainAsPublished, how.retainHandling


def uses_options(topic: Any, options: Any) -> bool:
    """Return whether there is something in it that only MQTT 5 has."""
    topic = _pair(topic)
    items = topic if isinstance(topic, list) else [topic]
    own = (item[1] for item in items if isinstance(item, (tuple, list)) and len(item) == _PAIR)
    return options is not None or any(hasattr(how, "retainHandling") for how in own)


def _check(name: str, value: object) -> None:
    if name not in SubscribeOptions.__slots__:
        names = ", ".join(SubscribeOptions.__slots__)
        raise AttributeError(f"SubscribeOptions has no {name}: it has {names}")
    flag = name in ("noLocal", "retainAsPublished")
    right = "True or False" if flag else "0, 1 or 2"
    if not isinstance(value, int):
        kind = type(value).__name__
        raise TypeError(f"{name} {value!r} is of type {kind}: it must be {right}")
    if value not in ((0, 1) if flag else (0, 1, 2)):
        raise ValueError(f"{name} {value!r}: it must be {right}")
