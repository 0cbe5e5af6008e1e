"""``mqtt.topics``: a dict, of which the extension notices what an application edits in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..paho.message import TopicQos

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

_MISSING: Any = object()


class Topics(dict[str, TopicQos]):
    """The filters that are subscribed to, each with a `TopicQos`.

    What the application puts in, takes out or changes counts for the next connection. A copy, also
    a pickled one, is a plain dict.
    """

    def __init__(self, edited: Callable[[str], None]) -> None:
        """Start empty.

        Args:
            edited: Called with the name of an entry that is another one, or none, from now on.
        """
        super().__init__()
        self._edited = edited

    def record(self, name: str, entry: TopicQos) -> None:
        """Enter a subscription of the extension's, which does not count as an edit."""
        super().__setitem__(name, entry)

    def __setitem__(self, name: str, entry: TopicQos) -> None:
        """Put in an entry."""
        before = self.get(name, _MISSING)
        super().__setitem__(name, entry)
        if before != entry:
            self._edited(name)

    def __delitem__(self, name: str) -> None:
        """Take out an entry."""
        super().__delitem__(name)
        self._edited(name)

    def pop(self, name: str, default: Any = _MISSING) -> Any:
        """Take out an entry and return it."""
        entry = super().pop(name, default)
        if entry is _MISSING:
            raise KeyError(name)
        self._edited(name)
        return entry

    def popitem(self) -> tuple[str, TopicQos]:
        """Take out the last entry and return it."""
        item = super().popitem()
        self._edited(item[0])
        return item

    def clear(self) -> None:
        """Take out all entries."""
        names = list(self)
        super().clear()
        for name in names:
            self._edited(name)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return an entry, after adding it if it is missing."""
        if name not in self:
            self[name] = default
        return self[name]

    def update(self, *others: Any, **entries: Any) -> None:
        """Put in all entries of another dict."""
        for name, entry in dict(*others, **entries).items():
            self[name] = entry

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        """Do as `update` does."""
        self.update(other)
        return self

    def __reduce__(self) -> tuple[type, tuple[dict[str, TopicQos]]]:
        """Copy and pickle as a dict."""
        return dict, (dict(self),)
