//! The thread that writes a session's journal.
//!
//! It writes all pending operations in one transaction, so many threads that publish at the same
//! time cost as much as one. No other thread touches the file, and nobody waits for it under a
//! lock.

mod closing;
mod database;
mod handle;
mod opened;
mod opening;
mod rows;
mod watch;

pub use self::handle::Handle;
pub use self::opening::Opening;

use std::sync::Arc;
use std::time::Duration;

use self::closing::Identity;
use self::database::{Database, Refusal};
use super::error::Error;
use super::options::Persistence;
use super::session::{Event, LogLevel, Operation, Session};
use super::shared::Shared;
use super::threads::start;
use super::wake::{Signal, Waiter};

/// The delay before a failed write is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The idle time after which the file is checked, and unused pages are freed.
const IDLE: Duration = Duration::from_secs(1);

/// The pause between steps of freeing unused pages, in which new work can arrive.
const BREATH: Duration = Duration::from_millis(5);

/// The open file of a client.
pub struct Store {
    /// The process that owns the thread.
    process: u32,
    persistence: Persistence,
    shared: Arc<Shared>,
    /// Given when the file is closed.
    done: Arc<Signal>,
    /// The identity of the file.
    file: Option<Identity>,
    closing: bool,
}

impl Store {
    /// Opens a file, restores the session from it, and starts the thread. `key` is the
    /// configuration key or argument, for messages.
    ///
    /// # Errors
    /// [`Error::Persistence`] when the file cannot be used, [`Error::Io`] when no thread can be
    /// started.
    pub fn open(shared: &Arc<Shared>, persistence: &Persistence, key: &str) -> Result<Self, Error> {
        let Persistence { path, fsync } = persistence;
        let opened = Database::open(path, *fsync);
        let (database, kept) = opened.map_err(|Refusal { reason, errno }| Error::Persistence {
            key: key.to_owned(),
            path: path.display().to_string(),
            reason,
            errno,
        })?;
        shared.storage.reset();
        let done = Arc::new(Signal::default());
        let end = End { shared: shared.clone(), done: done.clone() };
        let writer = Writer {
            shared: shared.clone(),
            database,
            path: path.display().to_string(),
            left: Vec::new(),
            failing: false,
        };
        start("mqtt-store", move || {
            let _end = end;
            writer.run();
        })?;
        shared.call(|session| session.keep(kept));
        let (process, persistence) = (std::process::id(), persistence.clone());
        let file = closing::identity(path).ok();
        Ok(Self { process, persistence, shared: shared.clone(), done, file, closing: false })
    }

    /// Checks that this is the requested file.
    ///
    /// # Errors
    /// [`Error::Persistence`] if it is another one.
    pub fn must_be(&self, wanted: &Persistence, key: String) -> Result<(), Error> {
        if self.persistence == *wanted {
            return Ok(());
        }
        let reason = format!("the client has {:?} open: close() it first", self.persistence);
        Err(Error::Persistence {
            key,
            path: wanted.path.display().to_string(),
            reason,
            errno: None,
        })
    }

    /// Whether it belongs to the parent of this forked process.
    pub fn is_foreign(&self) -> bool {
        self.process != std::process::id()
    }

    /// Whether the file is closed, or being closed.
    pub fn is_over(&self) -> bool {
        self.closing || self.done.is_over()
    }

    /// Writes the remaining operations and closes the file. Returns a wait that is over then.
    pub fn close(&mut self) -> Arc<Waiter> {
        let waiter = self.done.waiter();
        if let Some(file) = self.file.filter(|_| !self.closing) {
            closing::note(file, self.done.waiter());
        }
        self.closing = true;
        self.shared.storage.finish();
        waiter
    }

    /// Waits until the file is closed, for at most `timeout`. Returns whether it is.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.done.waiter().wait(Some(timeout))
    }
}

/// The state of the thread.
struct Writer {
    shared: Arc<Shared>,
    database: Database,
    path: String,
    /// Operations that could not be stored yet; they come before new ones.
    left: Vec<Operation>,
    failing: bool,
}

impl Writer {
    fn run(mut self) {
        let (mut ending, mut untidy) = (false, false);
        loop {
            let pause = if untidy && !self.failing { BREATH } else { IDLE.min(RETRY) };
            ending |= self.shared.storage.wait(Some(pause));
            let idle = self.left.is_empty() && !self.shared.lock().has_journal();
            let stored = self.write();
            untidy = if idle && !ending { stored && self.database.tidy() } else { untidy };
            if ending && !stored {
                self.shared.call(Session::abandon_file);
                break;
            }
            // The connection ends first, because its last packets have to be stored.
            if ending && self.shared.call(Session::close_file) {
                break;
            }
        }
        self.database.close();
    }

    /// Writes the pending operations, and reports them as stored. Returns false if that fails.
    fn write(&mut self) -> bool {
        let (operations, number) = self.shared.lock().take_journal();
        self.left.extend(operations);
        if self.left.is_empty() {
            // All operations were withdrawn, or it is time for a check.
            self.shared.stored(number);
            return self.database.look().map_err(|reason| self.failed(&reason, number)).is_ok();
        }
        match self.database.apply(&self.left) {
            Ok(()) => {
                self.left.clear();
                self.shared.stored(number);
                if std::mem::replace(&mut self.failing, false) {
                    let text = format!("messages are stored again: {:?}", self.path);
                    self.tell(Event::notice(LogLevel::Info, "stored_again", text));
                }
                true
            }
            Err(reason) => {
                self.failed(&reason, number);
                false
            }
        }
    }

    /// Drops the messages that cannot be stored, and reports that once.
    fn failed(&mut self, reason: &str, number: u64) {
        let left = &mut self.left;
        let _ = self.shared.call(|session| {
            session.not_stored(left);
            // Nothing waits for dropped messages.
            if left.is_empty() { session.stored(number) } else { Ok(()) }
        });
        self.shared.room.give();
        if !std::mem::replace(&mut self.failing, true) {
            let text =
                format!("messages cannot be stored, and are refused: {reason}: {:?}", self.path);
            self.tell(Event::notice(LogLevel::Error, "not_stored", text));
        }
    }

    fn tell(&self, notice: Event) {
        self.shared.with_session(|session| session.report(notice));
    }
}

/// Reports the end of the thread, even after a panic.
struct End {
    shared: Arc<Shared>,
    done: Arc<Signal>,
}

impl Drop for End {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.call(|session| {
                session.abandon_file();
                let text = "the thread of the file failed: a bug, please report it".to_owned();
                session.report(Event::notice(LogLevel::Error, "thread_failed", text));
            });
        }
        self.done.give_for_good();
    }
}

#[cfg(test)]
mod tests;
