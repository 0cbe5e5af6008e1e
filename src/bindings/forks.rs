//! Fork hooks: before a fork, after it, and at import.
//!
//! Python calls these hooks directly. A Python function around them could raise an exception of a
//! signal handler, and leave a hook half done.

use pyo3::prelude::*;

use super::options::{ConnectOptions, TlsOptions};
use crate::core::client;
use crate::core::gate::OPENSSL;

/// A fork is about to come. Waits, for a bounded time, for threads that have locks which a child could
/// not do without; they never need the interpreter.
#[pyfunction]
pub fn fork_begins(py: Python<'_>) {
    py.detach(|| OPENSSL.close());
}

/// The fork has come or failed, and this is the parent.
#[pyfunction]
pub fn fork_ended() {
    OPENSSL.open();
}

/// The fork has come, and this is the child.
#[pyfunction]
pub fn fork_made_this() {
    OPENSSL.forked();
}

/// Does what would otherwise be done when it is used first, and once only: in a child that is forked while
/// a thread of its parent is in the middle of it, it would never be done. The options have everything that
/// options may have.
#[pyfunction]
pub fn prepare(py: Python<'_>, _options: ConnectOptions<'_>, _tls: TlsOptions) {
    py.detach(client::prepare);
}
