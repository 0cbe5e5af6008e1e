//! Starts our threads.

use std::io;
use std::thread::{Builder, JoinHandle};

use super::gate::THREADS;

/// Starts a thread. A fork of another thread waits until it is started, and this waits for a fork;
/// the caller holds no lock that others wait for.
///
/// # Errors
/// The system starts no other thread.
pub fn start(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    // A process that was forked in the middle of a start may crash, but has to work if it can.
    let _inside = THREADS.begin().unwrap_or_else(|_| THREADS.enter());
    Builder::new().name(name.to_owned()).spawn(body)
}
