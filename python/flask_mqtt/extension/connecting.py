"""How an extension is set up, connects, and ends its connection."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeVar

from flask import Flask

from .. import config
from ..client import Client
from ..discretion import discreet
from ..handlers.registry import Hooks
from ..handlers.slots import Handler
from ..paho.constants import MQTT_ERR_SUCCESS
from ..process import command, ends, slots
from ..process.standby import Need
from ..publishing.refusals import Refusals
from ..records import fields, write
from . import driving, unpatched
from .adoption import Adopter, Adoption
from .application import check_app, itself, register
from .connection_events import ConnectionEvents
from .first_use import FirstUse, tell_of_threads, waits_for_first_use
from .leader import Leadership
from .offer import Offer
from .outgoing import Outgoing, outgoing
from .own_handlers import OwnHandlers
from .prefix import TopicPrefix
from .routes import RouteMethods, begin_routes, leave_routes_to_parent
from .worker import Worker, group_of

logger = logging.getLogger("flask_mqtt")

ConnectingT = TypeVar("ConnectingT", bound="Connecting")


class Connecting(ConnectionEvents, RouteMethods):
    """The methods that make and end the connection, and the attributes that they need."""

    def __init__(self, app: Flask | None, connect_async: bool, config_prefix: str) -> None:
        """Start without a connection.

        Args:
            app: The Flask application, or None.
            connect_async: Whether to connect in the background.
            config_prefix: What the configuration keys begin with.
        """
        self._connect_async = connect_async
        self.app = itself(app)
        self._rs_handlers = OwnHandlers()
        self.client: Client = driving.new_client()
        #: Connects where the process waits for that.
        self._rs_first_use = FirstUse(self.__rs_use, self.__rs_identity)
        self.__rs_offer = Offer(self.__rs_let_go)
        #: Whether it is leaving its connection to another process just now.
        self.__rs_lets_go = False
        self._rs_refusals = Refusals()
        #: What this process is among those of the application.
        self._rs_worker = Worker()
        self._rs_leadership = Leadership(self._rs_worker, self.__rs_take_over)
        self.__rs_adoption = Adoption(self._rs_worker, self.__rs_adopter)
        super().__init__()
        self.config_prefix = config_prefix
        #: The configuration as it was read, without later assignments to attributes.
        self.__rs_read = config.Config()
        self.__rs_apply(self.__rs_read)
        #: Whether it has connected.
        self.__rs_started = False
        #: None where messages are sent as they are given, so that those pay nothing.
        self._rs_outgoing: Outgoing | None = None
        self.__rs_hook()

    @discreet
    def init_app(self, app: Flask, config_prefix: str | None = None) -> None:
        """Read the configuration, connect, and register as ``app.extensions["mqtt"][prefix]``.

        A second call for the same application changes nothing, unless a key has changed or the
        client was disconnected: then it connects with the present values. If two threads call it at
        once, one waits for the other. Another object in ``app.extensions["mqtt"]`` stays there.
        Attributes that were assigned before apply unless a key is set.

        Args:
            app: The Flask application.
            config_prefix: What the configuration keys begin with; by default what was given to
                the constructor.

        Raises:
            ConnectionRefusedError: Nothing listens on the broker's port.
            socket.gaierror: The broker's host name cannot be resolved.
            TimeoutError: The broker did not answer within ``MQTT_CONNECTION_TIMEOUT`` or
                ``MQTT_HANDSHAKE_TIMEOUT``.
            ssl.SSLError: TLS failed; ``ssl.SSLCertVerificationError`` where the certificate of the
                broker is not trusted.
            OSError: The broker cannot be reached for another reason.
            TypeError: The application is not a Flask application, or a key has a value of a wrong
                type. The message names both.
            ValueError: A key has a value that is not allowed. The message names both.
        """
        app = itself(app)
        check_app(app)
        with self._rs_first_use.setting_up:
            self.__rs_set_up(app, config_prefix)

    def __rs_set_up(self, app: Flask, config_prefix: str | None) -> None:
        if config_prefix is not None:
            self.config_prefix = config_prefix
        read = config.read(self._rs_keys(app), self.config_prefix)
        assigned = {
            name: getattr(self, name)
            for name in config.ATTRIBUTES
            if name not in read.given and getattr(self, name) != getattr(self.__rs_read, name)
        }
        values = read.updated(assigned)
        is_again = self.app is app and self.__rs_read.key_prefix == read.key_prefix
        stays = is_again and self.__rs_runs_with(values)
        self.app = app
        self.__rs_read = read
        self.__rs_apply(values)
        if stays:
            write(logger.debug, "init_app() again for the same application: keeping the connection")
            register(app, self.config_prefix, self)
            self.client.loop_start()
            return
        self.__rs_hook(
            on_connect=(self._handle_connect, self._connect_handler),
            on_disconnect=(self._handle_disconnect, self._disconnect_handler),
        )
        parts = driving.parts(self.client)
        if parts is not None:
            parts.dispatcher.bind(app)
            unpatched.watch(parts.dispatcher, app)
        self.__rs_use_filters(TopicPrefix(values.prefix), group_of(app, values))
        register(app, self.config_prefix, self)
        if parts is None:
            driving.introduce(
                self.client, self._rs_values, self._handle_connect, self._handle_disconnect
            )
        values = self._rs_worker.values(values)
        driving.adopt(self.client, values)
        driving.set_will(self.client, values)
        begin_routes(self, app)
        if not is_again:
            tell_of_threads()
        is_use = self._rs_first_use.waits
        if parts is not None and waits_for_first_use(values, is_use=is_use):
            self._rs_put_off()
        else:
            command.take_over(self.__rs_identity())
            self._connect()

    def _rs_keys(self, app: Flask) -> Mapping[str, Any]:
        """Return what the configuration is read from: `MultiMQTT` has keys of its own."""
        return app.config

    def __rs_use_filters(self, prefix: TopicPrefix, group: str | None) -> None:
        self._rs_outgoing = outgoing(self._rs_values, self.app)
        self._rs_subscribed.use(self.client, prefix, group)
        driving.strip_topics(self.client, prefix)

    def __rs_runs_with(self, values: config.Config) -> bool:
        if driving.is_ours(self.client):
            return driving.runs_with(self.client, self._rs_worker.values(values))
        # What stands in for a client does not say.
        return self.__rs_started and self._rs_values == values

    def __rs_apply(self, values: config.Config) -> None:
        self._rs_values = values
        for name in config.ATTRIBUTES:
            setattr(self, name, getattr(values, name))

    def __rs_hook(self, **shown: tuple[Handler, Handler | None]) -> None:
        """Hear of connections, also of a client that the application has put here.

        Args:
            shown: As `Hooks.shown`.
        """
        parts = driving.parts(self.client)
        if parts is not None:
            parts.registry.hooks = Hooks(
                self._handle_connect,
                self._handle_disconnect,
                self._rs_gone,
                self.__rs_forked,
                self._rs_first_use.use,
                shown,
            )

    @discreet
    def _connect(self) -> None:
        with self._rs_first_use.setting_up:
            values = self.__rs_present_values()
            if self._rs_first_use.publishes and values.persistence is not None:
                # It may get another slot, and so another file.
                driving.leave(self.client)
                self.__rs_leave_nothing()
            self._rs_worker.begin(self.app, values)
            self._rs_leadership.warn()
            try:
                self.__rs_connect(values, later=self._connect_async)
                if driving.is_ours(self.client):
                    # What stands in for a client has no connection that another process may want.
                    self.__rs_offer.begin(self.app, self.__rs_identity())
            finally:
                # Attempts may go on. A standby that does not try to connect does not take over.
                self._rs_leadership.stand()

    def __rs_present_values(self) -> config.Config:
        # An application may have assigned other values since they were read.
        return self._rs_values.updated({name: getattr(self, name) for name in config.ATTRIBUTES})

    def __rs_connect(self, values: config.Config, *, later: bool, publishes: bool = False) -> None:
        """Connect.

        Args:
            values: The configuration.
            later: Whether not to wait for the broker.
            publishes: Whether for publishing only: no session, no will, and no handlers.
        """
        while True:
            try:
                return self.__rs_connect_once(values, later=later, publishes=publishes)
            except ValueError as error:
                if not self._rs_worker.pass_by(values, error):
                    raise
            self._rs_worker.begin(self.app, values, publishes=publishes)

    def __rs_connect_once(self, values: config.Config, *, later: bool, publishes: bool) -> None:
        values = self._rs_worker.values(values)
        if publishes:
            values = values.for_publishing()
        # It may also have set some on the client, as with tls_set.
        settings = driving.adopt(self.client, values, again=True)
        self._rs_worker.mark(settings)
        self._rs_worker.note_connection()
        self._rs_subscribed.look_through()
        is_held = publishes or self._rs_worker.is_standby
        if is_held:
            driving.hold(self.client, True)
        self._rs_first_use.over(publishes=publishes)
        try:
            driving.set_up(self.client, values, settings)
            try:
                result = driving.connect(self.client, settings, later=later)
            finally:
                if not is_held:
                    # Not on a connection that is for publishing, and ends with this one.
                    driving.hold(self.client, False)
            if result == MQTT_ERR_SUCCESS:
                write(logger.debug, "Client %r has reached a broker", values.client_id)
            elif not later:
                write(logger.error, "MQTT: connect() has returned %s", result)
            if publishes:
                driving.publish_only(self.client)
            else:
                driving.start_loop(self.client)
        except OSError as error:
            extra = fields(driving.core_of(self.client), "connect_failed", error=str(error))
            write(logger.error, "MQTT: %s", error, extra=extra)
            raise
        self.__rs_started = True
        if not publishes:
            self.__rs_adoption.start()

    def __rs_take_over(self) -> bool:
        """Be the leader if there is none, and connect as that: see `Leadership`."""
        setting_up = self._rs_first_use.setting_up
        if not setting_up.acquire(blocking=False):
            # It connects as a standby, or with other values.
            return False
        try:
            values = self.__rs_present_values()
            if not self._rs_worker.is_leader:
                slot = self._rs_worker.try_lead() if driving.is_wanted(self.client) else None
                if slot is None:
                    return False
                leaves = driving.leave(self.client)
                self._rs_worker.lead(slot, values, leaves=leaves)
                driving.hold(self.client, False)
            self.__rs_connect(values, later=True)
        finally:
            setting_up.release()
        return True

    def __rs_adopter(self) -> Adopter | None:
        """Return what finishes what other workers have left behind, where this one can do so."""
        parts = driving.parts(self.client)
        return None if parts is None else Adopter(parts, self.__rs_present_values())

    def __rs_use(self, need: Need) -> None:
        """Connect for the first use in this process, and go on trying where that fails."""
        publishes = need is Need.PUBLISHING
        with driving.making_first_use(self.client):
            try:
                if publishes:
                    values = self.__rs_present_values()
                    self._rs_worker.begin(self.app, values, publishes=True)
                    ends.call_last(self.__rs_leave_nothing)
                    self.__rs_connect(values, later=False, publishes=True)
                    self.__rs_offer.begin(self.app, self.__rs_identity())
                else:
                    if need is Need.SERVING:
                        self._rs_worker.wait_for_room(self.app, self.__rs_present_values())
                    self._connect()
            except OSError:
                # It is logged.
                if not driving.go_on_trying(self.client, publishes=publishes):
                    raise

    def _rs_put_off(self) -> None:
        """Connect with the first use only."""
        settings = driving.adopt(self.client, self._rs_values, again=True)
        driving.set_up(self.client, self._rs_values, settings)
        driving.connect(self.client, settings, later=True)
        driving.wait_for_first_use(self.client)
        self._rs_first_use.wait(self.app)

    def __rs_let_go(self) -> bool:
        """Leave the connection to another process. Returns whether it does."""
        with self._rs_first_use.setting_up:
            # A child that is forked meanwhile waits for its first use, as those before and after.
            self.__rs_lets_go = True
            try:
                self.close()
                self._rs_put_off()
            finally:
                self.__rs_lets_go = False
        return True

    def __rs_identity(self) -> str:
        """Return what the connections of the application's processes have in common."""
        return slots.identity(self.app, self._rs_values) if isinstance(self.app, Flask) else ""

    def _disconnect(self) -> None:
        self.__rs_adoption.stop()
        self._rs_leadership.stand_down()
        self.__rs_adoption.wait()
        self.__rs_started = False
        self._rs_refusals.end(driving.core_of(self.client), "Disconnecting")
        self.client.loop_stop()
        self.client.disconnect()

    def close(self) -> None:
        """End the connection with a DISCONNECT, call `on_disconnect`, and join the threads."""
        self.__rs_offer.end()
        try:
            self._disconnect()
        finally:
            # Also if a handler or Ctrl-C raises an exception that ends the program.
            try:
                if hasattr(self.client, "close"):
                    self.client.close()
            finally:
                self.__rs_leave_nothing()
                self._rs_worker.end()
                self._rs_first_use.over()

    def __rs_leave_nothing(self) -> None:
        if self._rs_first_use.publishes and not driving.has_messages(self.client):
            self._rs_worker.leave_nothing(self.__rs_present_values())

    def __enter__(self: ConnectingT) -> ConnectingT:
        """Return itself: ``with Mqtt(app) as mqtt`` ends with :meth:`close`.

        Where connecting was put off until the first use, it connects.
        """
        if self._rs_first_use.waits:
            self._connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def __rs_forked(self, was_connected: bool) -> bool:
        self.connected = False
        waits, self.__rs_lets_go = was_connected or self.__rs_lets_go, False
        # Another thread of the parent's may have had their locks.
        self._rs_first_use.forked(self.app, was_connected=waits)
        self.__rs_offer.forked()
        self._rs_refusals = Refusals()
        self._rs_worker.forked()
        self._rs_leadership.forked()
        self.__rs_adoption.forked()
        leave_routes_to_parent(self)
        return waits


def values_of(mqtt: Any) -> Any:
    """Return the configuration of an extension; None where it is only being made."""
    values: config.Config | None = vars(mqtt).get("_rs_values")
    return values
