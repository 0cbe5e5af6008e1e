"""`DynamicSecurity`: a method for each command, for threads and for event loops."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar, get_args, get_type_hints

from ..client import Client
from ..discretion import discreet, forget
from ..extension import Mqtt
from . import commands as make
from .commands import Command
from .control import Control
from .errors import DynsecError

P = ParamSpec("P")
T = TypeVar("T")


def _method(
    build: Callable[P, Command[T]],
) -> Callable[Concatenate[DynamicSecurity, P], T]:
    """Make a method that sends a command and returns its result."""

    def call(self: DynamicSecurity, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = self._run([build(*args, **kwargs)])[0]
        return result

    return _as(build, discreet(call))


def _coroutine(
    build: Callable[P, Command[T]],
) -> Callable[Concatenate[AsyncDynamicSecurity, P], Coroutine[Any, Any, T]]:
    """Make a method of the same kind that can be awaited."""

    async def call(self: AsyncDynamicSecurity, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result: T = (await self._run([build(*args, **kwargs)]))[0]
        except BaseException as error:
            # As `discreet` does.
            del args, kwargs
            forget(error)
            raise
        return result

    return _as(build, call)


CallT = TypeVar("CallT", bound=Callable[..., Any])


def _as(build: Callable[..., Any], call: CallT) -> CallT:
    """Give a method the name, the text and the signature of what makes its command."""
    functools.update_wrapper(call, build)
    hints = get_type_hints(build)
    hints["return"] = get_args(hints["return"])[0]
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    given = inspect.signature(build).parameters.values()
    parameters = [own, *(one.replace(annotation=hints[one.name]) for one in given)]
    # Shown as it is written.
    result = None if hints["return"] is type(None) else hints["return"]
    vars(call).update(__signature__=inspect.Signature(parameters, return_annotation=result))
    call.__annotations__ = hints
    del vars(call)["__wrapped__"]
    return call


class DynamicSecurity:
    """mosquitto's dynamic security plugin: its clients, groups, roles and ACLs.

    Each method sends a command and returns when the plugin has responded. The client's user needs
    the ACLs of the role ``admin``, which ``mosquitto_ctrl dynsec init`` creates. Every thread may
    call the methods, but not a handler of the same client.

    They raise:

    - `DynsecError`: the plugin refuses the command. Its text is the attribute ``reason``.
    - `DynsecTimeoutError`: there was no response in time.
    - `DynsecUnavailableError`: there is no connection, the broker refuses the subscription, or the
      connection was lost before the response arrived. In the last case, a command that only reads
      is sent again on the next connection. Any other command is not: the plugin may have executed
      it.
    - `TypeError`, `ValueError`: an argument is not allowed.
    - `RuntimeError`: a handler of the same client called the method.
    """

    def __init__(self, mqtt: Mqtt | Client, timeout: float = 5.0) -> None:
        """Use a client.

        Args:
            mqtt: The extension, or a client. It may connect later.
            timeout: Seconds to wait for the connection and the response. It is also an attribute.

        Raises:
            TypeError: The first argument is neither.
        """
        self._control = Control(mqtt)
        self.timeout = timeout

    @property
    def aio(self) -> AsyncDynamicSecurity:
        """The same methods as coroutines, as in ``await dynsec.aio.list_roles()``."""
        return AsyncDynamicSecurity(self._control, self.timeout)

    @discreet
    def execute(self, *commands: Command[Any]) -> list[Any]:
        """Send several commands in one request. The plugin executes them in this order.

        Args:
            commands: The commands, as the functions in `flask_mqtt.dynsec.commands` make them.

        Returns:
            The result of each command.

        Raises:
            DynsecError: The plugin refuses some of them, and executes the others. ``results`` has
                the result or the error of each.
        """
        return self._run(list(commands))

    def close(self) -> None:
        """Unsubscribe from responses. A further command subscribes again."""
        self._control.close()

    def _run(self, commands: list[Command[Any]]) -> list[Any]:
        return _checked(self._control.run(commands, self.timeout))

    create_client = _method(make.create_client)
    delete_client = _method(make.delete_client)
    enable_client = _method(make.enable_client)
    disable_client = _method(make.disable_client)
    get_client = _method(make.get_client)
    list_clients = _method(make.list_clients)
    list_clients_verbose = _method(make.list_clients_verbose)
    modify_client = _method(make.modify_client)
    set_client_id = _method(make.set_client_id)
    set_client_password = _method(make.set_client_password)
    add_client_role = _method(make.add_client_role)
    remove_client_role = _method(make.remove_client_role)

    create_group = _method(make.create_group)
    delete_group = _method(make.delete_group)
    get_group = _method(make.get_group)
    list_groups = _method(make.list_groups)
    list_groups_verbose = _method(make.list_groups_verbose)
    modify_group = _method(make.modify_group)
    add_group_client = _method(make.add_group_client)
    remove_group_client = _method(make.remove_group_client)
    add_group_role = _method(make.add_group_role)
    remove_group_role = _method(make.remove_group_role)
    set_anonymous_group = _method(make.set_anonymous_group)
    get_anonymous_group = _method(make.get_anonymous_group)

    create_role = _method(make.create_role)
    delete_role = _method(make.delete_role)
    get_role = _method(make.get_role)
    list_roles = _method(make.list_roles)
    list_roles_verbose = _method(make.list_roles_verbose)
    modify_role = _method(make.modify_role)
    add_role_acl = _method(make.add_role_acl)
    remove_role_acl = _method(make.remove_role_acl)

    set_default_acl_access = _method(make.set_default_acl_access)
    get_default_acl_access = _method(make.get_default_acl_access)
    get_details = _method(make.get_details)


class AsyncDynamicSecurity:
    """`DynamicSecurity` for event loops: its ``aio``. Every method is to be awaited."""

    def __init__(self, control: Control, timeout: float) -> None:
        """Use what a `DynamicSecurity` uses."""
        self._control = control
        self._timeout = timeout

    async def execute(self, *commands: Command[Any]) -> list[Any]:
        """Do as `DynamicSecurity.execute`."""
        try:
            return await self._run(list(commands))
        except BaseException as error:
            del commands
            forget(error)
            raise

    async def _run(self, commands: list[Command[Any]]) -> list[Any]:
        return _checked(await self._control.run_in_loop(commands, self._timeout))

    create_client = _coroutine(make.create_client)
    delete_client = _coroutine(make.delete_client)
    enable_client = _coroutine(make.enable_client)
    disable_client = _coroutine(make.disable_client)
    get_client = _coroutine(make.get_client)
    list_clients = _coroutine(make.list_clients)
    list_clients_verbose = _coroutine(make.list_clients_verbose)
    modify_client = _coroutine(make.modify_client)
    set_client_id = _coroutine(make.set_client_id)
    set_client_password = _coroutine(make.set_client_password)
    add_client_role = _coroutine(make.add_client_role)
    remove_client_role = _coroutine(make.remove_client_role)

    create_group = _coroutine(make.create_group)
    delete_group = _coroutine(make.delete_group)
    get_group = _coroutine(make.get_group)
    list_groups = _coroutine(make.list_groups)
    list_groups_verbose = _coroutine(make.list_groups_verbose)
    modify_group = _coroutine(make.modify_group)
    add_group_client = _coroutine(make.add_group_client)
    remove_group_client = _coroutine(make.remove_group_client)
    add_group_role = _coroutine(make.add_group_role)
    remove_group_role = _coroutine(make.remove_group_role)
    set_anonymous_group = _coroutine(make.set_anonymous_group)
    get_anonymous_group = _coroutine(make.get_anonymous_group)

    create_role = _coroutine(make.create_role)
    delete_role = _coroutine(make.delete_role)
    get_role = _coroutine(make.get_role)
    list_roles = _coroutine(make.list_roles)
    list_roles_verbose = _coroutine(make.list_roles_verbose)
    modify_role = _coroutine(make.modify_role)
    add_role_acl = _coroutine(make.add_role_acl)
    remove_role_acl = _coroutine(make.remove_role_acl)

    set_default_acl_access = _coroutine(make.set_default_acl_access)
    get_default_acl_access = _coroutine(make.get_default_acl_access)
    get_details = _coroutine(make.get_details)


def _checked(results: list[Any]) -> list[Any]:
    """Return results, or raise the first error among them."""
    errors = [result for result in results if isinstance(result, DynsecError)]
    if errors:
        errors[0].results = results
        raise errors[0]
    return results
