"""Every public name of paho's client, what it is there and what it is here.

for row in rows():
    print(row.name, row.status, row.differing)

A module is looked at by a process of its own, `python -m support.surface MODULE`, for paho in the
environment of the original.
"""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .original import ORIGINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAHO = "paho.mqtt.client"
OURS = "flask_mqtt"

#: Types that have a name, beside those of handlers.
ALIASES = ("CleanStartOption", "HTTPHeader", "PayloadType", "WebSocketHeaders")


def _client(names: Any) -> Any:
    return names.Client(names.CallbackAPIVersion.VERSION2)


#: An object of each class whose attributes and methods are compared.
OBJECTS: dict[str, Callable[[Any], Any]] = {
    "Client": _client,
    "ConnectFlags": lambda names: names.ConnectFlags(session_present=True),
    "DisconnectFlags": lambda names: names.DisconnectFlags(is_disconnect_packet_from_server=True),
    "MQTTMatcher": lambda names: names.MQTTMatcher(),
    "MQTTMessage": lambda names: names.MQTTMessage(),
    "MQTTMessageInfo": lambda names: _client(names).publish("t"),
    "PacketTypes": lambda names: names.PacketTypes(),
    "Properties": lambda names: names.Properties(names.PacketTypes.PUBLISH),
    "ReasonCode": lambda names: names.ReasonCode(names.PacketTypes.CONNACK),
    "SubscribeOptions": lambda names: names.SubscribeOptions(),
}

#: What there is to know of a name. `documented` is not compared: see `undocumented`.
Facts = dict[str, Any]


class Row(NamedTuple):
    """A name of paho's. `ours` is None where it is missing."""

    name: str
    paho: Facts
    ours: Facts | None

    @property
    def differing(self) -> tuple[str, ...]:
        """What differs: kind, parameters, settable, value, members, hashable, iterable, indexed."""
        if self.ours is None:
            return ("missing",)
        facts = sorted((self.paho.keys() | self.ours.keys()) - {"documented"})
        return tuple(fact for fact in facts if self.paho.get(fact) != self.ours.get(fact))

    @property
    def status(self) -> Literal["same", "different", "missing"]:
        """How ours compares."""
        if self.ours is None:
            return "missing"
        return "different" if self.differing else "same"


@functools.cache
def rows() -> tuple[Row, ...]:
    """Compare every name. Members of classes are named like `Client.publish`."""
    paho = _look(ORIGINAL, PAHO)
    ours = _look(sys.executable, OURS, *paho)
    return tuple(Row(name, facts, ours.get(name)) for name, facts in sorted(paho.items()))


def undocumented() -> list[str]:
    """Return the names of ours in the comparison that could have a docstring and have none."""
    return [row.name for row in rows() if row.ours and row.ours.get("documented") is False]


def _look(python: Path | str, module: str, *names: str) -> dict[str, Facts]:
    done = subprocess.run(
        [str(python), "-m", "support.surface", module],
        cwd=Path(__file__).parent.parent,
        input="\n".join(names),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{module}: {done.stderr}"
    found: dict[str, Facts] = json.loads(done.stdout)
    return found


# --- in the process that has the module -----------------------------------------------------------


def public_names(module: Any) -> Iterator[str]:
    """List what a module and its classes offer, without what it imports from elsewhere."""
    package = module.__name__.partition(".")[0]
    for name in dir(module):
        value = getattr(module, name)
        home = value.__module__ if hasattr(value, "__module__") else type(value).__module__
        own = home.partition(".")[0] == package
        alias = name.startswith("CallbackOn") or name in ALIASES
        if name.startswith("_") or not (own or alias or name.startswith("MQTT_")):
            continue
        yield name
        if name in OBJECTS:
            yield from (f"{name}.{member}" for member in _members(module, name))


def _members(module: Any, name: str) -> list[str]:
    bases = [base for base in getattr(module, name).__mro__ if base.__module__ != "builtins"]
    found = {member for base in bases for member in vars(base)}
    found |= set(getattr(OBJECTS[name](module), "__dict__", ()))
    return sorted(member for member in found if not member.startswith("_"))


def describe(module: Any, name: str) -> Facts | None:
    """Return what there is to know of a name, None where there is no such name."""
    owner, _, member = name.rpartition(".")
    if owner:
        cls = getattr(module, owner, None)
        return cls and _describe_member(cls, functools.partial(OBJECTS[owner], module), member)
    value = getattr(module, name, None)
    if value is None:
        return None
    if inspect.isclass(value):
        return _describe_class(value)
    if inspect.isroutine(value):
        return {
            "kind": "function",
            "parameters": _parameters(value),
            "documented": bool(value.__doc__),
        }
    if name.startswith("CallbackOn") or name in ALIASES:
        return {"kind": "type"}
    return {"kind": "constant", "value": _plain(value)}


def _describe_class(cls: Any) -> Facts:
    facts: Facts = {"kind": "class", "documented": bool(cls.__doc__)}
    if issubclass(cls, enum.Enum):
        facts["members"] = {name: member.value for name, member in cls.__members__.items()}
        return facts | {"kind": "numbers" if issubclass(cls, int) else "names"}
    if issubclass(cls, BaseException):
        return facts | {"kind": "exception"}
    facts["parameters"] = _parameters(cls)
    facts["hashable"] = cls.__hash__ is not None
    facts["iterable"] = hasattr(cls, "__iter__")
    facts["indexed"] = hasattr(cls, "__getitem__")
    return facts


def _describe_member(cls: Any, make: Callable[[], Any], name: str) -> Facts | None:
    static = inspect.getattr_static(cls, name, None)
    if inspect.isroutine(getattr(cls, name, None)):
        method = getattr(cls, name)
        return {
            "kind": "method",
            "parameters": _parameters(method),
            "documented": bool(method.__doc__),
        }
    if static is not None and not hasattr(type(static), "__get__"):
        return {"kind": "constant", "value": _plain(static)}
    made = make()
    if not hasattr(made, name):
        return None
    facts: Facts = {"kind": "attribute", "settable": _can_be_set(made, name)}
    # A slot cannot have a docstring: the class's tells of it.
    if static is not None and not inspect.ismemberdescriptor(static):
        # An object without a docstring of its own shows that of its class.
        facts["documented"] = static.__doc__ not in (None, "", type(static).__doc__)
    return facts


def _can_be_set(made: Any, name: str) -> bool:
    value = print if name.startswith("on_") else getattr(made, name)
    try:
        setattr(made, name, value)
    except NotImplementedError:
        return False
    except (TypeError, ValueError, RuntimeError):
        return True  # but not to this value
    except Exception:
        return False
    return True


def _parameters(function: Any) -> list[str] | None:
    """Return the parameters as text, with their kind and default, and without annotations."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return None
    found = []
    for parameter in parameters:
        if parameter.name in ("self", "cls"):
            continue
        text = f"{parameter.kind.description} {parameter.name}"
        if parameter.default is not parameter.empty:
            text += f" = {_plain(parameter.default)}"
        found.append(text)
    return found


def _plain(value: Any) -> str:
    """Return a value as text; that of an enumeration with its name."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    return repr(value)


def main() -> None:
    """Print what a module has: of the names on stdin, or everything."""
    warnings.simplefilter("ignore", DeprecationWarning)
    module = importlib.import_module(sys.argv[1])
    names = sys.stdin.read().split() or list(public_names(module))
    described = {name: describe(module, name) for name in names}
    print(json.dumps({name: facts for name, facts in described.items() if facts}))


if __name__ == "__main__":
    main()
