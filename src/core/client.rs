//! The handle that the bindings hold. A call does bounded work, and may wait for the session's lock
//! while another thread does bounded work under it; [`Client::try_session`] never waits.
//! [`Client::connect`] may open a file. To wait for events, use [`Client::wakeup`]; for anything
//! else, a [`Waiter`].

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::connection::{Connection, First};
use super::delivery::Delivery;
use super::error::{Error, ReturnCode};
use super::options::ConnectOptions;
use super::process::Process;
use super::property::Properties;
use super::qos::Qos;
use super::session::{Event, Session};
use super::shared::Shared;
use super::socket::Socket;
use super::stats::Stats;
use super::store::Handle;
use super::transport::{self, check};
use super::wake::{Waiter, Wakeup};

pub use super::connection::Attempt;
pub use super::store::Opening;

/// Initialises libraries with process-wide state. To be called when a program starts.
pub fn prepare() {
    transport::prepare();
}

/// Reads the certificates and keys as a connection would, to report errors early.
///
/// # Errors
/// [`Error::File`], [`Error::Tls`] and the like.
pub fn check_files(options: &ConnectOptions) -> Result<(), Error> {
    check(options)
}

/// An accepted message: the return code, the packet identifier, its delivery, and the delivery that
/// reports when it is stored.
pub type Accepted = (ReturnCode, u16, Option<Delivery>, Option<Delivery>);

/// An MQTT client.
pub struct Client {
    shared: Arc<Shared>,
    connection: Connection,
    file: Arc<Handle>,
    process: OnceLock<Process>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// Creates a client without a connection.
    #[must_use]
    pub fn new() -> Self {
        let session = Session::new(Self::no_options(), Instant::now());
        Self::with_session(session, OnceLock::from(Process::current()))
    }

    /// A client for a process that is about to be forked, made before the fork: in the child, the
    /// state that this client shares with its I/O thread may be locked forever. The new client has
    /// the same subscriptions; the connection and the messages stay here.
    #[must_use]
    pub fn for_child(&self) -> Self {
        let session = self.shared.lock().for_child(Instant::now());
        Self::with_session(session, OnceLock::new())
    }

    /// A client for this process, if it was forked before one could be made for it. It has the same
    /// subscriptions, unless a thread of the parent was changing them. Waits for no lock. Also
    /// returns whether the parent had a connection, or tried to connect.
    #[must_use]
    pub fn in_child(&self) -> (Self, bool) {
        let now = Instant::now();
        let session = self.shared.try_lock().map(|session| session.for_child(now));
        let had_connection = self.connection.was_running();
        let session = session.unwrap_or_else(|| Session::new(Self::no_options(), now));
        (Self::with_session(session, OnceLock::from(Process::current())), had_connection)
    }

    fn no_options() -> Arc<ConnectOptions> {
        Arc::default()
    }

    fn with_session(session: Session, process: OnceLock<Process>) -> Self {
        let shared = Arc::new(Shared::new(session));
        let connection = Connection::new(shared.clone());
        let file = Arc::new(Handle::new(shared.clone()));
        Self { shared, connection, file, process }
    }

    /// Assigns a client that was made for a child process to this process.
    pub fn claim(&self) {
        let _ = self.process.set(Process::current());
    }

    /// The process that may use the client; `None` for a child's client before [`Self::claim`].
    pub fn process(&self) -> Option<&Process> {
        self.process.get()
    }

    /// Whether the client belongs to another process: its connection is there, and its locks may be
    /// held forever.
    pub fn is_foreign(&self) -> bool {
        !self.process().is_some_and(Process::is_current)
    }

    /// Starts the I/O thread, which connects and stays connected until [`Self::disconnect`]. An
    /// existing connection ends first.
    ///
    /// With `report_first`, the returned wait is over when the transport is open or the attempt
    /// failed; [`Attempt::outcome`] says which. If it failed, no further attempt follows, unless a
    /// connection was wanted before this call. Without `report_first`, the thread keeps trying.
    ///
    /// # Errors
    /// [`Error::Option`] and the like for unusable options, [`Error::File`] and [`Error::Tls`] for
    /// certificates and keys, [`Error::Persistence`] for the file of persistent messages, which is
    /// opened here, [`Error::Begin`] when no thread or descriptor is available. An existing
    /// connection then continues.
    pub fn connect(&self, options: ConnectOptions, report_first: bool) -> Result<Attempt, Error> {
        let first = if report_first { First::Reported } else { First::Automatic };
        self.start(options, first, false)
    }

    /// Like [`Self::connect`], but keeps trying after a reported first attempt failed. If a handler
    /// calls it, the attempt may be delayed and the wait is over at once: a handler that reconnects
    /// whenever a connection or an attempt fails must be no faster than automatic attempts.
    ///
    /// # Errors
    /// Those of [`Self::connect`].
    pub fn connect_for_good(
        &self,
        options: ConnectOptions,
        report_first: bool,
        by_handler: bool,
    ) -> Result<Attempt, Error> {
        let first = if report_first { First::ReportedOfMany } else { First::Automatic };
        self.start(options, first, by_handler)
    }

    fn start(
        &self,
        options: ConnectOptions,
        first: First,
        by_handler: bool,
    ) -> Result<Attempt, Error> {
        options.validate()?;
        check(&options)?;
        let has_opened = self.file.open(&options)?;
        let started = self.connection.start(options, first, by_handler);
        if started.is_err() && has_opened {
            // Another client may now open it.
            self.file.close();
        }
        started
    }

    /// Opens the file of persistent messages in a thread of its own, so that [`Self::connect`] with
    /// the same options need not. If that fails, close the file again.
    ///
    /// # Errors
    /// Those of [`Self::connect`], except for those that the outcome has.
    pub fn open_file(&self, options: ConnectOptions) -> Result<Opening, Error> {
        options.validate()?;
        check(&options)?;
        Opening::begin(self.file.clone(), options)
    }

    /// Writes and closes the file of persistent messages when the connection has ended.
    /// [`Self::connect`] opens it again. Returns a wait that is over then, or `None` without a
    /// file.
    pub fn close_file(&self) -> Option<Arc<Waiter>> {
        self.file.close()
    }

    /// Withdraws a message that is not stored yet; see [`Session::withdraw`].
    pub fn withdraw(&self, mid: u16, delivery: &Delivery) -> bool {
        let withdrawn = self.shared.call(|session| session.withdraw(mid, delivery));
        if withdrawn {
            self.shared.room.give();
        }
        withdrawn
    }

    /// Sends DISCONNECT, closes the connection and stops trying to connect.
    ///
    /// Returns a wait that is over when the I/O thread has ended, or `None` if there is no I/O
    /// thread. With `report`, [`Event::Disconnected`] follows if there was a connection. The reason
    /// code and the properties are for MQTT 5.
    pub fn disconnect(
        &self,
        report: bool,
        code: u8,
        properties: Properties,
    ) -> Option<Arc<Waiter>> {
        self.connection.end(report, code, properties)
    }

    /// Chooses whether the settings are refreshed before each attempt: [`Event::Attempt`] asks for
    /// it, and the I/O thread waits for [`Self::answer`], at most for the connection timeout. The
    /// attempt that [`Self::connect`] reports needs no refresh.
    pub fn ask(&self, wanted: bool) {
        self.shared.refresh.want(wanted);
    }

    /// Whether an attempt is waiting for [`Self::answer`].
    pub fn is_asking(&self) -> bool {
        self.shared.refresh.is_pending()
    }

    /// Sets the options of the next attempt and all later ones; `None` keeps the previous ones.
    ///
    /// # Errors
    /// Those of [`Self::connect`]; the attempt then keeps waiting.
    pub fn answer(&self, options: Option<ConnectOptions>) -> Result<(), Error> {
        if let Some(options) = &options {
            options.validate()?;
            check(options)?;
        }
        self.shared.refresh.answer(options);
        Ok(())
    }

    /// Calls the session for the application, and writes the resulting output. The session's lock
    /// is held, so the call must not run Python.
    pub fn session<T>(&self, call: impl FnOnce(&mut Session) -> T) -> T {
        self.shared.call(call)
    }

    /// Like [`Self::session`], but returns the call if another thread holds the session for more
    /// than a moment, so that the caller can release something before it waits.
    pub fn try_session<T, F: FnOnce(&mut Session) -> T>(&self, call: F) -> Result<T, F> {
        self.shared.try_call(call)
    }

    /// Reads the session.
    pub fn look<T>(&self, look: impl FnOnce(&Session) -> T) -> T {
        look(&self.shared.lock())
    }

    /// The wake-up for the dispatcher, given when there may be events.
    pub fn wakeup(&self) -> &Wakeup {
        &self.shared.inbox.wakeup
    }

    /// The socket of the connection. [`Event::SocketOpened`] announces it, except for the attempt
    /// that [`Self::connect`] reports.
    pub fn socket(&self) -> &Socket {
        &self.shared.socket
    }

    /// Publishes a message; see [`Session::publish`].
    pub fn publish(
        &self,
        topic: &str,
        payload: &[u8],
        qos: Qos,
        retain: bool,
        properties: Option<Properties>,
    ) -> Result<Accepted, Error> {
        self.session(self.publishing(topic, payload, qos, retain, properties))
    }

    /// The session call that publishes a message, for [`Self::try_session`]. Besides the result of
    /// [`Session::publish`], it returns a delivery that reports when a file has the message, if the
    /// message is sent only then.
    pub fn publishing<'a>(
        &'a self,
        topic: &'a str,
        payload: &'a [u8],
        qos: Qos,
        retain: bool,
        properties: Option<Properties>,
    ) -> impl FnOnce(&mut Session) -> Result<Accepted, Error> + Send + 'a {
        move |session| {
            session.set_crowded(self.shared.inbox.is_crowded());
            let (code, mid, delivery) = session.publish(topic, payload, qos, retain, properties)?;
            let stores = qos != Qos::AtMostOnce && session.is_kept();
            let storing = delivery.as_ref().filter(|_| stores).map(Delivery::storing);
            Ok((code, mid, delivery, storing))
        }
    }

    /// Whether there are more events. Call it after handling the previous ones: if there are none,
    /// pending acknowledgements are sent at once.
    pub fn has_events(&self) -> bool {
        let has_events = !self.shared.inbox.is_empty();
        if !has_events {
            self.shared.all_handled();
        }
        has_events
    }

    /// Takes up to `most` events, the oldest first.
    pub fn take(&self, most: usize) -> Vec<Event> {
        let (events, roomy) = self.shared.inbox.take(most);
        if roomy {
            self.shared.room.give();
        }
        events
    }

    /// A wait that is over when less data is pending for the broker.
    pub fn room(&self) -> Arc<Waiter> {
        self.shared.room.waiter()
    }

    /// All counters, read at one moment.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Whether there will be no room until handlers make progress: acknowledgements are not read
    /// while the inbox is full, and all output is written. [`Self::room`] is given when this
    /// begins.
    pub fn is_stuck(&self) -> bool {
        self.shared.inbox.is_full() && self.shared.lock().is_written()
    }

    /// Whether there is an I/O thread, which has a connection or tries to. The dispatcher is woken
    /// when it ends.
    pub fn is_running(&self) -> bool {
        self.connection.is_running()
    }

    /// Whether there is an I/O thread that was not told to end.
    pub fn is_wanted(&self) -> bool {
        self.connection.is_wanted()
    }

    /// Chooses which events are reported: texts for `on_log`, and written QoS 0 messages.
    pub fn listen(&self, logging: bool, reporting: bool) {
        self.shared.inbox.set_reporting(reporting);
        self.shared.with_session(|session| {
            session.set_logging(logging);
            session.set_reporting(reporting);
        });
    }
}

impl Client {
    /// Ends the connection and closes the file, as dropping the client does. It does not wait,
    /// because that could block a garbage collection. Returns the waits that are over then.
    ///
    /// It takes no lock of the client: in a forked child, a thread of the parent may hold it
    /// forever.
    pub fn abandon(&mut self) -> Vec<Arc<Waiter>> {
        // While a thread opens the file, that of `Opening` closes it.
        let file = Arc::get_mut(&mut self.file).and_then(Handle::abandon);
        self.connection.abandon().into_iter().chain(file).collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.abandon();
    }
}

#[cfg(test)]
mod tests;
