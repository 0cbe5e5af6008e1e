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

/// What becomes of a message: the return code, the packet identifier, how it fares, and when it is stored.
pub type Accepted = (ReturnCode, u16, Option<Delivery>, Option<Delivery>);

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
    pub fn for_child(&self) -> Self {
        let session = self.shared.lock().for_child(Instant::now());
        Self::with_session(session, OnceLock::new())
    }

    /// A client for this process, which was forked before anybody could make one for it: with what is
    /// subscribed to, unless a thread of the parent's was changing that. It waits for no lock. Also
    /// returned is whether the parent had a connection, or tried to.
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
        let file = Handle::new(shared.clone());
        Self { shared, connection, file, process }
    }

    /// Has a client that was made for a child process belong to this one.
    pub fn claim(&self) {
        let _ = self.process.set(Process::current());
    }

    /// The process that may use it; none for a child process's that nobody has claimed.
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
        self.shared.refresh.want(wanted);
    }

    /// Whether [`Self::answer`] is waited for.
    pub fn is_asking(&self) -> bool {
        self.shared.refresh.is_pending()
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
        self.shared.refresh.answer(options);
        Ok(())
    }

    /// Calls the session for the application: what there is to write then is written. The session's lock
    /// is held, so no Python is called in there.
    pub fn session<T>(&self, call: impl FnOnce(&mut Session) -> T) -> T {
        self.shared.call(call)
    }

    /// As [`Self::session`], unless another thread has the session for more than a moment: the call comes
    /// back then, for who lets go of something before a wait.
    pub fn try_session<T, F: FnOnce(&mut Session) -> T>(&self, call: F) -> Result<T, F> {
        self.shared.try_call(call)
    }

    /// Looks at the session.
    pub fn look<T>(&self, look: impl FnOnce(&Session) -> T) -> T {
        look(&self.shared.lock())
    }

    /// What wakes the dispatcher when there may be events.
    pub fn wakeup(&self) -> &Wakeup {
        &self.shared.inbox.wakeup
    }

    /// The socket of the connection. [`Event::SocketOpened`] says that there is one, but for the attempt
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

    /// The call of the session that publishes a message, for [`Self::try_session`]. Beside what
    /// [`Session::publish`] returns it says when a file has the message, where it is sent only then.
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

    /// Whether there are events, for who has handled those before. Where there are none, their
    /// acknowledgements wait for no others.
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

    /// A wait that is over when what waits for the broker got less.
    pub fn room(&self) -> Arc<Waiter> {
        self.shared.room.waiter()
    }

    /// Everything that is counted, at one moment.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Whether there will be no room before handlers go on: acknowledgements are not read while the inbox
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

    /// Chooses what is reported: texts for `on_log`, and QoS 0 messages when they are written.
    pub fn listen(&self, logging: bool, reporting: bool) {
        self.shared.inbox.set_reporting(reporting);
        self.shared.with_session(|session| {
            session.set_logging(logging);
            session.set_reporting(reporting);
        });
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
