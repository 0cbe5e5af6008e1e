"""Exceptions that leave the package without its local variables, among which are secrets.

What shows tracebacks with locals (debuggers in a browser, reports of crashes, some log handlers)
asks frames for them as long as an exception is kept.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from types import GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from types import FrameType

P = ParamSpec("P")
ReturnT = TypeVar("ReturnT")

_PACKAGE = __name__.partition(".")[0]


def discreet(function: Callable[P, ReturnT]) -> Callable[P, ReturnT]:
    """Decorate a function that applications call: what it raises has none of our variables."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> ReturnT:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            # Those of this frame, too.
            del args, kwargs
            forget(error)
            raise

    return call


def forget(error: BaseException) -> None:
    """Take the variables from the package's frames that an exception, or one before it, has left.

    The application's frames keep theirs, as do those that still run.
    """
    left: list[Any] = [error]
    seen: set[int] = set()
    while left:
        one = left.pop()
        if not issubclass(type(one), BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        left += [_attribute(one, "__cause__"), _attribute(one, "__context__"), *_group(one)]
        traceback = _attribute(one, "__traceback__")
        while traceback is not None:
            _clear(traceback.tb_frame)
            traceback = traceback.tb_next


def from_outside(error: BaseException) -> BaseException:
    """Return an exception of a handler without the frames of ours that have called it.

    They have the handler among their variables, and a `functools.partial` shows its arguments.
    """
    traceback = _attribute(error, "__traceback__")
    while traceback is not None and _is_ours(traceback.tb_frame):
        traceback = traceback.tb_next
    return BaseException.with_traceback(error, traceback)


def came_up_here(error: BaseException) -> bool:
    """Whether an exception came up in the frame that has caught it, and in no function of ours.

    What has a frame there may be a handler of a signal.
    """
    traceback = _attribute(error, "__traceback__")
    inner = None if traceback is None else traceback.tb_next
    return inner is None or not _is_ours(inner.tb_frame)


def _attribute(error: BaseException, name: str) -> Any:
    """Return what Python has noted, whatever the exception's class makes of the name."""
    return vars(BaseException)[name].__get__(error)


def _group(error: BaseException) -> list[Any]:
    """Return the exceptions of a group. Others may have something else by that name."""
    exceptions = inspect.getattr_static(error, "exceptions", None)
    if isinstance(exceptions, (MemberDescriptorType, GetSetDescriptorType)):
        exceptions = exceptions.__get__(error)
    return [*exceptions] if type(exceptions) in (list, tuple) else []


def _is_ours(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return isinstance(name, str) and name.partition(".")[0] == _PACKAGE


def _clear(frame: FrameType) -> None:
    if _is_ours(frame):
        # One that still runs keeps them.
        with contextlib.suppress(RuntimeError):
            frame.clear()
