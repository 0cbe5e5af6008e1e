//! What threads share things with: the standard library's, and tokio's. A model of the threads has others in
//! this place, with which it tries one order after the other (tests/rust/threads).

pub use std::os::unix::net::UnixStream;
pub use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, Weak, atomic};

pub use tokio::sync::Notify;
