//! Fork hooks: before a fork, after it, and at import.
//!
//! Python calls these hooks directly. A Python function around them could raise an exception of a
//! signal handler, and leave a hook half done.

use pyo3::prelude::*;

use super::options::{ConnectOptions, TlsOptions};
use crate::core::client;
use crate::core::gate::{OPENSSL, SQLITE, THREADS};

/// Before a fork: waits, for a bounded time, for threads that hold locks which a child needs, or
/// that start others. They never need the interpreter.
#[pyfunction]
pub fn fork_begins(py: Python<'_>) {
    py.detach(|| {
        SQLITE.close();
        OPENSSL.close();
        THREADS.close();
    });
}

/// After a fork, or its failure, in the parent.
#[pyfunction]
pub fn fork_ended() {
    THREADS.open();
    OPENSSL.open();
    SQLITE.open();
}

/// After a fork, in the child.
#[pyfunction]
pub fn fork_made_this() {
    THREADS.forked();
    OPENSSL.forked();
    SQLITE.forked();
}

/// Performs one-time initialisation early. If a child were forked while a thread of its parent is
/// in the middle of it, the initialisation would never complete in the child. `options` must use
/// every kind of option.
#[pyfunction]
pub fn prepare(py: Python<'_>, _options: ConnectOptions<'_>, _tls: TlsOptions) {
    py.detach(client::prepare);
}
