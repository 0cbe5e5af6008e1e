//! The handle that the bindings hold. Every call returns at once, but for [`Client::wait`]: what has to
//! be waited for is a [`Waiter`].

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::connection::{Connection, First};
use super::delivery::Delivery;
use super::error::{Error, ReturnCode};
use super::options::{ConnectOptions, Limits};
use super::packet::Subscription;
use super::process::Process;
use super::property::Properties;
use super::qos::Qos;
use super::session::{Event, Receipt, Session};
use super::shared::Shared;
use super::stats::Stats;
use super::store::Handle;
use super::transport::{self, check};
use super::wake::Waiter;

pub use super::connection::Attempt;

/// Has libraries begin that keep something for the whole process. It is for the beginning of a program.
pub fn prepare() {
    transport::prepare();
}

/// Reads the certificates and keys, as a connection does, and says what that would fail with.
///
/// # Errors
/// [`Error::File`], [`Error::Tls`] and the like.
pub fn check_files(options: &ConnectOptions) -> Result<(), Error> {
    check(options)
}

/// An MQTT client.
pub struct Client {
    shared: Arc<Shared>,
    connection: Connection,
    file: Handle,
    process: OnceLock<Process>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client without a connection.
    #[must_use]
    pub fn new() -> Self {
        let session = Session::new(Self::no_options(), Instant::now());
        Self::with_session(session, OnceLock::from(Process::current()))
    }

    /// A client for a process that is about to be forked, made before: in the child, what this one
    /// shares with its I/O thread may be locked for ever. It has what is subscribed to; the connection
    /// and the messages stay here.
    #[must_use]
    pub fn heir(&self) -> Self {
        let session = self.shared.lock().heir(Instant::now());
        Self::with_session(session, OnceLock::new())
    }

    /// A client for this process, which was forked before anybody could make it an heir: with what is
    /// subscribed to, unless a thread of the parent's was changing that. It waits for no lock. Also
    /// returned is whether the parent had a connection, or tried to.
    #[must_use]
    pub fn inherit(&self) -> (Self, bool) {
        let now = Instant::now();
        let inherited = self.shared.try_lock().map(|session| session.heir(now));
        let had_connection = self.connection.was_running();
        let session = inherited.unwrap_or_else(|| Session::new(Self::no_options(), now));
        (Self::with_session(session, OnceLock::from(Process::current())), had_connection)
    }

    fn no_options() -> Arc<ConnectOptions> {
        Arc::default()
    }

    fn with_session(session: Session, process: OnceLock<Process>) -> Self {
        let shared = Arc::new(Shared::new(session));
        let connection = Connection::new(shared.clone());
        let file = Handle::new(shared.clone());
        Self { shared, connection, file, process }
    }

    /// Has an heir belong to this process.
    pub fn claim(&self) {
        let _ = self.process.set(Process::current());
    }

    /// The process that may use it; none for an heir that nobody has claimed.
    pub fn process(&self) -> Option<&Process> {
        self.process.get()
    }

    /// Whether it is another process's: its connection is there, and its locks may be held for ever.
    pub fn is_foreign(&self) -> bool {
        !self.process().is_some_and(Process::is_current)
    }

    /// Starts the I/O thread, which connects and stays connected until [`Self::disconnect`]. A
    /// connection that there is ends first.
    ///
    /// With `report_first`, the returned wait is over when the transport is open or the
    /// attempt failed; [`Attempt::outcome`] says which. There is no second attempt then, unless a connection
    /// was wanted already: an attempt that fails does not end what makes that again. Without, the thread
    /// goes on trying.
    ///
    /// # Errors
    /// [`Error::Option`] and the like for options that cannot be used, [`Error::File`] and
    /// [`Error::Tls`] for certificates and keys, [`Error::Persistence`] for the file that messages are kept
    /// in, which is opened here, [`Error::Begin`] when no thread or descriptor can be had. A connection that
    /// there is goes on then.
    pub fn connect(&self, options: ConnectOptions, report_first: bool) -> Result<Attempt, Error> {
        let first = if report_first { First::Reported } else { First::Automatic };
        self.start(options, first, false)
    }

    /// Does as [`Self::connect`], and goes on trying where a first attempt fails that is reported. For a
    /// handler the attempt may be made later: what handlers do on the end of a connection, or on a failed
    /// attempt, is as slow as automatic attempts. The wait is over at once then.
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
            // Another client may be given it.
            self.file.close();
        }
        started
    }

    /// Has the file written and closed that messages are kept in, when the connection has ended. It is
    /// opened again by [`Self::connect`]. Returns a wait that is over then, or `None` where there is no
    /// file.
    pub fn close_file(&self) -> Option<Arc<Waiter>> {
        self.file.close()
    }

    /// Whether messages are kept in a file: those of QoS 1 and 2 are not sent before.
    pub fn is_keeping(&self) -> bool {
        self.shared.lock().is_kept()
    }

    /// Gives up a message that is not stored yet; see [`Session::withdraw`].
    pub fn withdraw(&self, mid: u16, delivery: &Delivery) -> bool {
        let withdrawn = self.shared.call(|session| session.withdraw(mid, delivery));
        if withdrawn {
            self.shared.room.give();
        }
        withdrawn
    }

    /// Sends DISCONNECT, closes the connection and stops trying.
    ///
    /// Returns a wait that is over when the I/O thread has ended, or `None` where there is no I/O
    /// thread. With `report`, [`Event::Disconnected`] follows if there was a connection. The
    /// reason code and the properties are for MQTT 5.
    pub fn disconnect(
        &self,
        report: bool,
        code: u8,
        properties: Properties,
    ) -> Option<Arc<Waiter>> {
        self.connection.end(report, code, properties)
    }

    /// Chooses whether the application is asked before each attempt to connect: [`Event::Attempt`] says
    /// so, and [`Self::answer`] is waited for, at most as long as connecting may take. It is not asked
    /// for the attempt that [`Self::connect`] reports.
    pub fn ask(&self, wanted: bool) {
        self.shared.inquiry.want(wanted);
    }

    /// Chooses whether the socket of a connection is kept for the application, from the next one on.
    /// [`Event::SocketOpened`] says that there is one, but for the attempt that [`Self::connect`] reports.
    pub fn want_socket(&self, wanted: bool) {
        self.shared.socket.want(wanted);
    }

    /// A descriptor of the connection's socket, and its number; see [`Socket::give`].
    ///
    /// # Errors
    /// The process has no descriptors left.
    ///
    /// [`Socket::give`]: super::socket::Socket::give
    pub fn socket(&self) -> io::Result<Option<(OwnedFd, u64)>> {
        self.shared.socket.give()
    }

    /// The number of the socket of the present connection, or 0.
    pub fn socket_number(&self) -> u64 {
        self.shared.socket.number()
    }

    /// Whether [`Self::answer`] is waited for.
    pub fn is_asking(&self) -> bool {
        self.shared.inquiry.is_open()
    }

    /// Says with what options the next attempt is made, and all later ones; `None` for the same as
    /// before.
    ///
    /// # Errors
    /// Those of [`Self::connect`]; the question stays open.
    pub fn answer(&self, options: Option<ConnectOptions>) -> Result<(), Error> {
        if let Some(options) = &options {
            options.validate()?;
            check(options)?;
        }
        self.shared.inquiry.answer(options);
        Ok(())
    }

    /// Accepts no more messages of QoS 1 and 2: see [`Session::refuse_new`].
    pub fn refuse_new(&self) {
        self.shared.call(Session::refuse_new);
    }

    /// See [`Session::only_in_memory`].
    pub fn only_in_memory(&self) -> usize {
        self.shared.lock().only_in_memory()
    }

    /// Publishes a message; see [`Session::publish`].
    pub fn publish(
        &self,
        topic: &str,
        payload: &[u8],
        qos: Qos,
        retain: bool,
        properties: Option<Properties>,
    ) -> Result<(ReturnCode, u16, Option<Delivery>), Error> {
        self.shared.call(|session| {
            session.set_crowded(self.shared.inbox.is_crowded());
            session.publish(topic, payload, qos, retain, properties)
        })
    }

    /// What became of a QoS 0 message; see [`Session::delivery`].
    pub fn delivery(&self, mid: u16) -> Delivery {
        self.shared.lock().delivery(mid)
    }

    /// Subscribes; see [`Session::subscribe`].
    pub fn subscribe(
        &self,
        filters: Vec<Subscription>,
        properties: Properties,
        reuse: bool,
    ) -> Result<(ReturnCode, Option<u16>), Error> {
        self.shared.call(|session| session.subscribe(filters, properties, reuse))
    }

    /// Forgets filters; see [`Session::forget`].
    pub fn forget(&self, filters: &[String]) {
        self.shared.call(|session| session.forget(filters));
    }

    /// Unsubscribes; see [`Session::unsubscribe`].
    pub fn unsubscribe(
        &self,
        filters: Vec<String>,
        properties: Properties,
    ) -> Result<(ReturnCode, Option<u16>), Error> {
        self.shared.call(|session| session.unsubscribe(filters, properties))
    }

    /// Says that a message is handled; see [`Session::handled`].
    pub fn handled(&self, receipt: Receipt) -> Result<Option<Delivery>, Error> {
        self.shared.unclog(|session| session.handled(receipt))
    }

    /// Acknowledges a message by its identifier; see [`Session::acknowledge`].
    pub fn acknowledge(&self, mid: u16, qos: Qos) -> Result<ReturnCode, Error> {
        self.shared.unclog(|session| session.acknowledge(mid, qos))
    }

    /// Takes up to `most` events, the oldest first.
    pub fn take(&self, most: usize) -> Vec<Event> {
        let (events, roomy) = self.shared.inbox.take(most);
        if roomy {
            self.shared.room.give();
        }
        events
    }

    /// Waits for events, as a thread, for so long at most where there is a time. Returns whether there
    /// may be some.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        self.shared.inbox.wakeup.wait(timeout)
    }

    /// A descriptor from which a byte can be read when there may be events. The caller owns it.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn wake_descriptor(&self) -> io::Result<OwnedFd> {
        self.shared.inbox.wakeup.descriptor()
    }

    /// Wakes the dispatcher.
    pub fn wake(&self) {
        self.shared.inbox.wakeup.give();
    }

    /// A wait that is over when what waits for the broker got less.
    pub fn room(&self) -> Arc<Waiter> {
        self.shared.room.waiter()
    }

    /// Everything that is counted, at one moment.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// The broker and the client identifier; see [`Session::identity`].
    pub fn identity(&self) -> (Option<String>, String) {
        self.shared.lock().identity()
    }

    /// Counts a message that is given up; see [`Session::turn_away`].
    pub fn turn_away(&self) {
        self.shared.lock().turn_away();
    }

    /// Whether there will be no room before handlers go on: confirmations are not read while the inbox
    /// is full, and everything is written. [`Self::room`] is given when it comes to that.
    pub fn is_stuck(&self) -> bool {
        self.shared.inbox.is_full() && self.shared.lock().is_written()
    }

    /// Whether there is an I/O thread, which has a connection or tries to. The dispatcher is woken when
    /// it ends.
    pub fn is_running(&self) -> bool {
        self.connection.is_running()
    }

    /// Whether there is an I/O thread that was not told to end.
    pub fn is_wanted(&self) -> bool {
        self.connection.is_wanted()
    }

    /// Whether the broker accepted the present connection.
    pub fn is_connected(&self) -> bool {
        self.shared.lock().is_connected()
    }

    /// Whether there is a connection, accepted or not.
    pub fn is_open(&self) -> bool {
        self.shared.lock().is_open()
    }

    /// Chooses what is reported: texts for `on_log`, and QoS 0 messages when they are written.
    pub fn listen(&self, logging: bool, reporting: bool) {
        self.shared.inbox.set_reporting(reporting);
        self.shared.with_session(|session| {
            session.set_logging(logging);
            session.set_reporting(reporting);
        });
    }

    /// Sets the bounds that hold until an attempt to connect comes with its options.
    pub fn limit(&self, limits: Limits) {
        self.shared.with_session(|session| session.limit(limits));
    }
}

impl Client {
    /// Has the connection end, and the file be closed, as dropping does: it does not wait, as that could
    /// hold up a garbage collection. Returns the waits that are over then.
    ///
    /// No lock of the client's is taken: in a forked child, a thread of the parent's may hold it for ever.
    pub fn abandon(&mut self) -> Vec<Arc<Waiter>> {
        self.connection.abandon().into_iter().chain(self.file.abandon()).collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.abandon();
    }
}

#[cfg(test)]
mod tests;
