//! Delays a fork while our threads hold the locks of a library.
//!
//! OpenSSL has process-wide locks: for its initialisation, for looking up algorithms, and for
//! shared objects. `SQLite` has some too: for its list of open files, and for its memory. A forked
//! child has a copy of them, but not the thread that would release a held one. So threads announce
//! that they enter the library, and a fork waits, for a bounded time, until
//! none is inside. If one still is, the child knows, and returns an error instead of blocking
//! forever.
//!
//! The C library starts a thread on the stack of an earlier one, and first frees the thread-local
//! memory that the earlier one has left. If the process is forked in between, a thread that the
//! child starts on that stack frees this memory once more, which ends the child (glibc 2.36,
//! `get_cached_stack`). Python starts its threads under the GIL, as it forks, and ours start
//! inside a gate.
//!
//! The whole state is one atomic number: a lock in the gate would be one more lock that a child may
//! find held.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How much longer than a fork waits for the threads inside the others wait for the fork. The cause
/// of such a delay is an application's own slow fork hooks.
const HOOKS: Duration = Duration::from_secs(2);

/// The polling interval. Nothing that a thread could sleep on survives the fork.
const LOOK: Duration = Duration::from_micros(100);

/// One pending fork; the bits below count the threads inside.
const FORK: u64 = 1 << 32;

/// The gate of OpenSSL. Threads inside compute, or read a file of certificates.
pub static OPENSSL: Gate = Gate::new(Duration::from_secs(2));

/// The gate of `SQLite`, and of the lists of files that are open or being closed. Threads inside may
/// wait for a busy disk.
pub static SQLITE: Gate = Gate::new(Duration::from_secs(10));

/// The gate of thread starts. They wait for nothing but memory.
pub static THREADS: Gate = Gate::new(Duration::from_secs(2));

/// A gate to a library whose locks must not be held during a fork.
#[derive(Debug)]
pub struct Gate {
    state: AtomicU64,
    /// The process of the threads inside.
    process: AtomicU32,
    /// Whether a thread was inside during the fork that created this process.
    broken: AtomicBool,
    /// How long a fork waits for the threads inside.
    patience: Duration,
}

/// Keeps a thread inside until it is dropped.
#[derive(Debug)]
pub struct Inside<'a>(&'a Gate);

/// The library is unusable in this process.
#[derive(Debug)]
pub struct Broken;

impl Gate {
    const fn new(patience: Duration) -> Self {
        let (state, process) = (AtomicU64::new(0), AtomicU32::new(0));
        Self { state, process, broken: AtomicBool::new(false), patience }
    }

    /// Enters the gate for the first steps of a connection, which may also happen in the child of
    /// an unannounced fork. The thread must not be inside already.
    pub fn begin(&self) -> Result<Inside<'_>, Broken> {
        let known = self.process.load(Ordering::Acquire);
        if known != std::process::id() {
            self.forked();
        }
        if self.broken.load(Ordering::Relaxed) { Err(Broken) } else { Ok(self.enter()) }
    }

    /// Enters the gate for further steps.
    pub fn enter(&self) -> Inside<'_> {
        let mut deadline = None;
        let open = |state| if state < FORK { Some(state + 1) } else { None };
        while self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, open).is_err() {
            let now = Instant::now();
            if now > *deadline.get_or_insert(now + self.patience + HOOKS) {
                // After a timeout it enters all the same: the child will detect that a thread was
                // inside.
                self.state.fetch_add(1, Ordering::AcqRel);
                break;
            }
            std::thread::sleep(LOOK);
        }
        Inside(self)
    }

    /// Enters the gate for a moment, without waiting for a fork: the thread may hold what the fork
    /// needs to go on. If the process is forked in this moment, the child will detect it.
    pub fn pass(&self) -> Inside<'_> {
        self.state.fetch_add(1, Ordering::AcqRel);
        Inside(self)
    }

    /// Before a fork: keeps threads out, and waits until none is inside.
    pub fn close(&self) {
        self.state.fetch_add(FORK, Ordering::AcqRel);
        let deadline = Instant::now() + self.patience;
        while !self.is_empty() && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
    }

    /// After the fork, or its failure, in the parent.
    pub fn open(&self) {
        let less = |state: u64| state.checked_sub(FORK);
        // After an unannounced fork the gate is not closed, and nothing is to be subtracted.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// After the fork, in the child: no thread is inside.
    pub fn forked(&self) {
        let found = self.state.load(Ordering::Acquire);
        if !found.is_multiple_of(FORK) {
            self.broken.store(true, Ordering::Relaxed);
        }
        // Another thread may detect the fork at the same time.
        let _ = self.state.compare_exchange(found, 0, Ordering::AcqRel, Ordering::Acquire);
        self.process.store(std::process::id(), Ordering::Release);
    }

    fn is_empty(&self) -> bool {
        self.state.load(Ordering::Acquire).is_multiple_of(FORK)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.state.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails is to panic

    use std::sync::Arc;
    use std::thread;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    #[test]
    fn a_fork_waits_for_who_is_inside_and_keeps_others_out() {
        let gate = Arc::new(Gate::new(PATIENCE));
        let inside = gate.begin().unwrap();
        let forking = {
            let gate = gate.clone();
            thread::spawn(move || {
                gate.close();
                gate.is_empty()
            })
        };
        while gate.state.load(Ordering::Acquire) < FORK {
            thread::yield_now();
        }
        let late = {
            let gate = gate.clone();
            thread::spawn(move || drop(gate.enter()))
        };
        drop(inside);
        assert!(forking.join().unwrap(), "nobody is inside");
        assert!(!late.is_finished());
        gate.open();
        late.join().unwrap();
        assert_eq!(gate.state.load(Ordering::Acquire), 0);
    }

    #[test]
    fn who_only_passes_waits_for_no_fork_and_is_noticed_by_the_child() {
        let gate = Gate::new(PATIENCE);
        drop(gate.begin().unwrap());
        gate.close();
        let passing = gate.pass();
        std::mem::forget(passing);
        gate.forked();
        assert!(gate.begin().is_err());
    }

    #[test]
    fn a_child_refuses_where_somebody_was_inside() {
        let gate = Gate::new(PATIENCE);
        drop(gate.begin().unwrap());
        gate.forked();
        drop(gate.begin().unwrap());
        std::mem::forget(gate.begin().unwrap());
        gate.forked();
        assert!(gate.begin().is_err());
    }

    #[test]
    fn the_child_of_a_fork_that_nobody_announced_finds_out_itself() {
        let gate = Gate::new(PATIENCE);
        std::mem::forget(gate.begin().unwrap());
        gate.process.fetch_add(1, Ordering::Relaxed);
        assert!(gate.begin().is_err());
        assert!(gate.is_empty());
    }

    #[test]
    fn a_fork_that_never_comes_holds_nobody_up_for_ever() {
        let gate = Gate::new(PATIENCE);
        gate.close();
        drop(gate.enter());
        gate.open();
        gate.open();
        assert_eq!(gate.state.load(Ordering::Acquire), 0);
    }
}
