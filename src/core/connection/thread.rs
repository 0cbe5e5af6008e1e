//! The I/O thread: starts it, tells it to end, and replaces it.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use super::super::error::{Error, ReturnCode};
use super::super::options::ConnectOptions;
use super::super::process::{Process, leave_foreign};
use super::super::property::Properties;
use super::super::session::{Event, LogLevel};
use super::super::shared::{Outcome, Shared};
use super::super::threads;
use super::super::wake::{Signal, Waiter};
use super::attempts::run;
use super::diagnosis::advise;
use super::task::{First, Stop, Task};

struct Running {
    /// The process that owns the thread.
    process: Process,
    thread: JoinHandle<()>,
    stop: watch::Sender<Stop>,
    done: Arc<Signal>,
}

impl Running {
    fn is_foreign(&self) -> bool {
        !self.process.is_current()
    }

    /// Whether it has not ended and was not told to end.
    fn is_wanted(&self) -> bool {
        !self.done.is_over() && *self.stop.borrow() == Stop::No
    }
}

/// The first attempt of `Client::connect`. It derefs to a wait that is over when the attempt is.
pub struct Attempt {
    waiter: Arc<Waiter>,
    opened: Arc<Outcome>,
    options: Arc<ConnectOptions>,
}

impl Attempt {
    /// Takes the outcome; `None` while the attempt is pending, and if it was cancelled by
    /// `Client::disconnect` or by another connection.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), Error>> {
        self.opened.take()
    }

    /// A hint about the cause of this failure.
    #[must_use]
    pub fn advice(&self, error: &Error) -> Option<String> {
        advise(error, &self.options, true)
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").finish_non_exhaustive()
    }
}

impl Deref for Attempt {
    type Target = Arc<Waiter>;

    fn deref(&self) -> &Self::Target {
        &self.waiter
    }
}

/// A client's connection: its I/O thread, if there is one.
pub struct Connection {
    shared: Arc<Shared>,
    /// Guards the I/O thread's handle; held only to start and stop it, never while waiting.
    running: Mutex<Option<Running>>,
}

impl Connection {
    /// Creates a handle without an I/O thread.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, running: Mutex::new(None) }
    }

    /// Starts the thread, which replaces an existing one. `first` says how the first attempt is
    /// treated; a handler may have requested it.
    ///
    /// # Errors
    /// [`Error::Begin`] when no thread or descriptor is available. An existing connection then
    /// continues.
    pub fn start(
        &self,
        options: ConnectOptions,
        first: First,
        by_handler: bool,
    ) -> Result<Attempt, Error> {
        // Everything that may fail comes before the existing connection is stopped.
        let opened = Arc::new(Outcome::default());
        let waiter = opened.waiter();
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_io().enable_time().build().map_err(Error::Begin)?;
        let (stop, stopped) = watch::channel(Stop::No);
        let done = Arc::new(Signal::default());
        let options = Arc::new(options);
        let (hand_over, handed_over) = mpsc::channel();
        let body = move || {
            if let Ok(beginning) = handed_over.recv() {
                work(beginning);
            }
        };
        let thread = threads::start("mqtt-connection", body).map_err(Error::Begin)?;
        let mut running = self.lock();
        let previous = running.take();
        let first = match (&previous, first) {
            (Some(previous), First::Reported) if previous.is_wanted() => First::ReportedOfMany,
            _ => first,
        };
        if let Some(previous) = &previous {
            // An end that was requested earlier is still reported to `on_disconnect`.
            previous.stop.send_if_modified(|stop| {
                let is_new = *stop == Stop::No;
                if is_new {
                    *stop = Stop::Replaced;
                }
                is_new
            });
        }
        let shared = self.shared.clone();
        let end = End {
            shared: shared.clone(),
            stop: stopped.clone(),
            opened: opened.clone(),
            done: done.clone(),
        };
        let task = Task {
            shared,
            options: options.clone(),
            stop: stopped,
            opened: opened.clone(),
            first,
            by_handler,
            chosen_client_id: None,
        };
        // The thread is waiting to receive this before it does anything else.
        let _ = hand_over.send(Beginning { task, end, runtime, previous });
        *running = Some(Running { process: Process::current(), thread, stop, done });
        Ok(Attempt { waiter, opened, options })
    }

    /// Tells the thread to end, with a DISCONNECT if there is a connection. Returns a wait that is
    /// over when it has ended, or `None` without a thread. With `report`, [`Event::Disconnected`]
    /// follows if there was a connection.
    pub fn end(&self, report: bool, code: u8, properties: Properties) -> Option<Arc<Waiter>> {
        let running = self.lock();
        let running = running.as_ref().filter(|running| !running.thread.is_finished())?;
        let waiter = running.done.waiter();
        // The first DISCONNECT may not be written yet; its values are kept.
        if *running.stop.borrow() == Stop::No {
            let mut session = self.shared.lock();
            session.set_disconnect(code, properties);
            session.finish();
        }
        running.stop.send_replace(if report { Stop::Reported } else { Stop::Silent });
        Some(waiter)
    }

    /// Whether there is a thread, which has a connection or tries to. The dispatcher is woken when
    /// it ends.
    pub fn is_running(&self) -> bool {
        self.lock().as_ref().is_some_and(|running| !running.done.is_over())
    }

    /// Whether there is a thread that was not told to end.
    pub fn is_wanted(&self) -> bool {
        self.lock().as_ref().is_some_and(Running::is_wanted)
    }

    /// Whether the parent of this forked child had a thread, or was starting or ending one. Waits
    /// for no lock.
    pub fn was_running(&self) -> bool {
        match self.running.try_lock() {
            Ok(running) => running.as_ref().is_some_and(|running| !running.thread.is_finished()),
            Err(_) => true,
        }
    }

    /// Tells the thread to end without calling `on_disconnect`. The caller has exclusive access, so
    /// no lock is needed. Returns the wait that is over when it has ended.
    pub fn abandon(&mut self) -> Option<Arc<Waiter>> {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        leave_foreign(running, Running::is_foreign);
        let running = running.take()?;
        let end = running.done.waiter();
        running.stop.send_replace(Stop::Silent);
        Some(end)
    }

    /// Locks the I/O thread's handle. A forked child has no I/O thread.
    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        leave_foreign(&mut running, Running::is_foreign);
        running
    }
}

/// Reports the end of the I/O thread, even after a panic.
struct End {
    shared: Arc<Shared>,
    stop: watch::Receiver<Stop>,
    opened: Arc<Outcome>,
    done: Arc<Signal>,
}

impl Drop for End {
    fn drop(&mut self) {
        if thread::panicking() {
            self.shared.with_session(|session| {
                let accepted = session.is_connected();
                session.lost();
                let text = "the connection's thread failed: a bug, please report it";
                session.report(Event::notice(LogLevel::Error, "thread_failed", text));
                session.counters().failed(text.to_owned(), accepted);
                session.counters().resume(Instant::now());
                session.report_end(ReturnCode::ConnectionLost);
            });
        }
        self.shared.refresh.cancel();
        if *self.stop.borrow() != Stop::Replaced {
            self.shared.lock().release();
        }
        // Closing the file may be waiting for the end of the connection.
        self.shared.storage.notify();
        self.done.give_for_good();
        self.shared.inbox.wakeup.give();
        // Whoever learns of the failed last attempt finds no running thread.
        self.opened.give_up();
    }
}

/// What the I/O thread receives at its start.
struct Beginning {
    task: Task,
    /// Dropped last.
    end: End,
    runtime: Runtime,
    previous: Option<Running>,
}

/// The main function of the I/O thread.
fn work(beginning: Beginning) {
    let Beginning { task, end: _end, runtime, previous } = beginning;
    if let Some(previous) = previous {
        // A session has only one connection at a time. The previous thread ends within the time
        // limit for a DISCONNECT; if it panicked, it has ended.
        let _ = previous.thread.join();
    }
    task.shared.inbox.set_limits(&task.options.limits);
    task.shared.with_session(|session| session.configure(task.options.clone()));
    runtime.block_on(run(task));
}
