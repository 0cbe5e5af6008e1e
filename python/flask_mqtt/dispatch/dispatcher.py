"""What calls the handlers of a client: the parts together, as the client sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..handlers.scope import is_handler
from .attached import AttachedDispatchers
from .batch import Batch
from .callers import Callers
from .routes import MessageHandlers
from .tap import Tap
from .threads import Threads

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from flask import Flask

    from .._core import Client as CoreClient
    from .._core import MQTTMessage
    from ..handlers.caller import Handler
    from ..stats import HandlerTimes
    from .held import Held, Hold


class Dispatcher:
    """Fetches events from the core and calls handlers, one at a time, in the order of arrival.

    Which handlers a message has is in `MessageHandlers`, what was fetched in `Batch`, the threads
    are in `Threads`, and what they call handlers with in `Callers`.
    """

    def __init__(
        self,
        core: CoreClient,
        events: Mapping[int, Callable[..., None]],
        catch_up: Callable[[], bool],
        on_publish: Callable[[], Handler | None],
    ) -> None:
        """Make a dispatcher.

        Args:
            core: Where events come from.
            events: What is called for events other than messages, by their kind; for each message
                of a report of `EVENT_PUBLISHED`.
            catch_up: Called on every wake-up, for what a handler registered late has missed;
                returns whether there was anything.
            on_publish: Returns the handler that is called for each message of a report with
                ``(client, userdata, mid)``, if there is such a one; then ``events`` need not be.
        """
        self._core = core
        #: Tells observers what happens.
        self.tap = Tap(core, self._observers_changed)
        #: Whether the client wants lines for `on_log`, and reports on messages for `on_publish`.
        self._wanted = (False, False)
        #: The handlers of messages, and the arguments that every handler gets.
        self.message_handlers = MessageHandlers(self._message_handlers_changed)
        self._callers = Callers(core)
        self._batch = Batch(
            core, events, catch_up, on_publish, self.message_handlers, self._callers, self.tap
        )
        self._threads = Threads(core, self._batch, self._callers)
        #: Whose messages the handlers of this one get too.
        self.attached = AttachedDispatchers(self.message_handlers, self._callers)
        #: What calls the handlers of the thread that fetches events.
        self.caller = self._callers.fetching

    # -- handlers ---------------------------------------------------------------------------------

    @property
    def client(self) -> Any:
        """What every handler of a message gets as the client."""
        return self.message_handlers.client

    @client.setter
    def client(self, client: Any) -> None:
        self.message_handlers.client = client
        self._callers.changes.note()

    @property
    def userdata(self) -> Any:
        """What every handler gets as ``userdata``."""
        return self.message_handlers.userdata

    @userdata.setter
    def userdata(self, userdata: Any) -> None:
        self.message_handlers.userdata = userdata
        self._callers.changes.note()

    @property
    def on_message(self) -> Handler | None:
        """The handler of messages that no topic's handler takes."""
        return self.message_handlers.on_message

    @on_message.setter
    def on_message(self, handler: Handler | None) -> None:
        self.message_handlers.on_message = handler

    def add_route(self, sub: str, handler: Handler, *, full: bool = False) -> None:
        """Call a handler for the messages of a subscription: `MessageHandlers.set`."""
        self.message_handlers.set(sub, handler, full=full)

    def add_route_beside(self, sub: str, handler: Handler, *, full: bool = False) -> int:
        """Call a handler besides those of a subscription: `MessageHandlers.add`."""
        return self.message_handlers.add(sub, handler, full=full)

    def remove_route(self, sub: str, number: int | None = None, *, full: bool = False) -> None:
        """Forget a handler: `MessageHandlers.remove`."""
        self.message_handlers.remove(sub, number, full=full)

    def strip_topics(self, strip: Callable[[str], str | None] | None) -> None:
        """Give handlers the topics of messages without a prefix: `MessageHandlers.strip`."""
        self.message_handlers.strip(strip)

    @property
    def manual_ack(self) -> bool:
        """Whether the application says itself which messages are handled."""
        return self._batch.acknowledging.manual_ack

    @manual_ack.setter
    def manual_ack(self, on: bool) -> None:
        self._batch.acknowledging.manual_ack = on

    def _message_handlers_changed(self) -> None:
        backlog = self._batch.backlog
        if self.message_handlers:
            backlog.handler_registered()
        self._core.wake()
        self._callers.look_closely()
        if backlog.kept:
            self._threads.resume()

    @property
    def core(self) -> CoreClient:
        """Where events come from, for records."""
        return self._core

    @property
    def is_green(self) -> bool:
        """Whether green threads call the handlers, or the last that did so were green."""
        return self._threads.is_green

    # -- what is handled later ------------------------------------------------------------------

    @property
    def held(self) -> Held:
        """The messages that are acknowledged later than their handlers return."""
        return self._batch.acknowledging.held

    def hold(self, message: MQTTMessage) -> Hold:
        """Have a message acknowledged later: one of its handlers calls this, while it runs.

        Args:
            message: The message. Where the application acknowledges messages itself, and with
                QoS 0, there is nothing to hold.

        Returns:
            What is to be released: the message is acknowledged when that has happened, all its
            handlers have returned, and, with QoS 1, all earlier messages are acknowledged.
        """
        other = self.attached.calling()
        if other is not None:
            return other.hold(message)
        return self._batch.acknowledging.hold(message)

    def has_more(self) -> bool:
        """Whether there is more to handle already. A handler may ask that."""
        other = self.attached.calling()
        return self._batch.has_more() if other is None else other.has_more()

    def call_at(self, at: float, step: Callable[[], None], key: str) -> None:
        """Call something at a time, as handlers are called: `Timers.call_at`."""
        self._batch.timers.call_at(at, step, key)

    def halt(self) -> None:
        """Have no further handler begin, but for those of what is kept."""
        self.held.flush()
        self._threads.halt()

    @property
    def is_halted(self) -> bool:
        """Whether `halt` was called, and nothing has called handlers since."""
        return self._threads.is_halted

    def take_fetched(self) -> list[Any]:
        """Take the events that were fetched and are not handled, after `halt`."""
        return self._batch.take_fetched()

    def wait_for_handlers(self, until: float) -> bool:
        """Wait for the handlers that run, after `halt`.

        Args:
            until: Until when, in seconds of the monotonic clock.

        Returns:
            Whether all of them have returned.
        """
        return self._threads.have_ended(until)

    def finish(self, until: float) -> None:
        """Have what is kept handled, before the connection ends. The rest is not acknowledged.

        A handler that calls this does not wait: it holds up the others. What is kept is handled
        after it then.

        Args:
            until: Until when to wait, in seconds of the monotonic clock.
        """
        held = self.held
        held.flush()
        if not held.keepers or self.is_current_thread or is_handler(self._core):
            return
        try:
            # A handler that hangs may hold up the others for as long as it is waited for.
            if not self.working and self._threads.have_ended(0.0):
                timers = self._batch.timers
                due = timers.due()
                timers.remove(due)
                for timer in due:
                    self.call(timer.step)
            for keeper in list(held.keepers):
                keeper.wait(until)
            held.wait(until)
        finally:
            for keeper in list(held.keepers):
                keeper.drop()

    # -- what is told -----------------------------------------------------------------------------

    def listen(self, lines: bool, reports: bool) -> None:
        """Have the core make the events that not every client wants.

        Args:
            lines: Those of lines for `on_log`.
            reports: Those of what became of messages, for `on_publish`. Observers want them too.
        """
        self._wanted = lines, reports
        self._core.listen(lines, reports or bool(self.tap.observers))

    def _observers_changed(self) -> None:
        told = None
        # Looked at again afterwards: another thread may have added or removed one meanwhile.
        while told is not bool(self.tap.observers):
            told = bool(self.tap.observers)
            self._callers.observe(self.tap.handler_done if told else None)
            self.listen(*self._wanted)

    # -- calls ------------------------------------------------------------------------------------

    @property
    def app(self) -> Flask | None:
        """The application in whose contexts handlers run."""
        return self._callers.app

    def bind(self, app: Flask) -> None:
        """Run every handler in a context of this application, and log to its logger."""
        self._callers.bind(app)

    def look_closely(self) -> None:
        """Look at the next calls one by one, since a handler may be another one."""
        self._callers.look_closely()

    def arguments_changed(self) -> None:
        """Look again what handlers are called with."""
        self._callers.changes.note()

    def call(self, handler: Handler, *arguments: Any) -> None:
        """Call a handler in the thread that this is. What it raises is logged.

        Raises:
            KeyboardInterrupt: In a thread of the application's. So with ``SystemExit``.
        """
        self._callers.call(handler, *arguments)

    def call_elsewhere(self, handler: Handler, *arguments: Any) -> None:
        """Do as `call`, in a context that no other handler has."""
        self._callers.call_elsewhere(handler, *arguments)

    @property
    def dropped(self) -> int:
        """How many messages were dropped, because there was no handler for them."""
        return self._batch.backlog.dropped

    def count_failure(self) -> None:
        """Count one of a handler that does not go on to who calls it, in a thread that calls."""
        caller = self._callers.present()
        if caller is not None:
            caller.failures += 1

    def handler_times(self) -> HandlerTimes:
        """Return what the calls of handlers have taken since the client was made.

        What `connect` and `disconnect` call in the application's own thread is not among them.

        Returns:
            ``calls``: how many have ended. ``failures``: how many of those have raised.
            ``seconds``: what they took in sum, waiting included, and with what the dispatcher does
            between two. ``longest``: the seconds of the longest. Quick ones are measured up to 16
            together: where several of those become slow at once, they count as one.
        """
        return self._callers.times()

    # -- threads ----------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether a thread calls handlers, or will for the next connection: none said stop."""
        return self._threads.running

    @property
    def working(self) -> bool:
        """Whether a thread calls handlers and was not told to stop."""
        return self._threads.working

    @property
    def started(self) -> bool:
        """Whether that is a thread of the dispatcher's own."""
        return self._threads.started

    @property
    def has_failed(self) -> bool:
        """Whether the thread has ended though nobody has told it to, and none has followed."""
        return self._threads.has_failed

    @property
    def handler_threads(self) -> int:
        """How many threads handle messages, where the dispatcher has started them."""
        return self._threads.handler_threads

    @property
    def thread(self) -> threading.Thread | None:
        """That thread, or None."""
        return self._threads.thread

    @property
    def is_current_thread(self) -> bool:
        """Whether the caller is a handler."""
        return self._callers.present() is not None

    def start(self, threads: int = 1) -> bool:
        """Start the thread: `Threads.start`."""
        return self._threads.start(threads)

    def stop(self, timeout: float, is_ending: Callable[[], bool]) -> bool:
        """Stop the threads: `Threads.stop`."""
        return self._threads.stop(timeout, is_ending)

    def run_here(self, timeout: float, goes_on: Callable[[], bool] | None = None) -> bool | None:
        """Call handlers in the caller's thread: `Threads.run_here`."""
        return self._threads.run_here(timeout, goes_on)

    def connecting(self) -> AbstractContextManager[None]:
        """Have the thread be there for a connection that is made: `Threads.connecting`."""
        return self._threads.connecting()

    def wait_for_rest(self) -> None:
        """Wait until no other thread calls handlers, as after the end of the connection."""
        self._threads.wait_for_rest()

    def connection_ended(self) -> None:
        """Stop where `stop` has waited for this. The thread calls it."""
        self._threads.connection_ended()

    def forked(self, core: CoreClient) -> None:
        """Leave everything to the parent, in a forked child: it has the threads and the connection.

        A handler that forked is the last one here, and says nothing to the broker.

        Args:
            core: Where events come from in this process.
        """
        self._core = core
        self.tap.forked(core)
        self._threads.forked(core)
        self._callers.forked(core)
        self._batch.forked(core)
        self.attached.forked()
