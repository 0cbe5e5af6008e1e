//! The locks and wake-ups of the standard library and of tokio. A model of the threads replaces
//! them by others, with which it tries one order after the other (tests/rust/threads).

pub use std::os::unix::net::UnixStream;
pub use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, Weak, atomic};

pub use tokio::sync::Notify;
