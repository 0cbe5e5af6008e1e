//! Dropped clients that still have something to send or to store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;

use super::waiter::Waiter;
use crate::core::process::Process;
use crate::core::wake::Waiter as CoreWaiter;

type Waits = Vec<(Process, Arc<CoreWaiter>)>;

/// Waits for the ends of dropped clients, each with its process. Threads take the lock with the
/// GIL, only to read or change the list, so no thread holds it during a fork.
static DEPARTING: Mutex<Waits> = Mutex::new(Vec::new());

/// Waits until dropped clients have sent and stored their last messages.
#[pyfunction]
pub fn departing() -> Vec<Waiter> {
    present().iter().map(|(_, waiter)| Waiter::new(waiter.clone())).collect()
}

/// Adds the waits for the ends of a dropped client of a process.
pub fn add(process: &Process, ends: Vec<Arc<CoreWaiter>>) {
    present().extend(ends.into_iter().map(|end| (process.clone(), end)));
}

/// The waits that are not over. In a forked child, the parent's clients are not waited for.
fn present() -> MutexGuard<'static, Waits> {
    let mut departing = DEPARTING.lock().unwrap_or_else(PoisonError::into_inner);
    departing
        .retain(|(process, waiter)| process.is_current() && !waiter.wait(Some(Duration::ZERO)));
    departing
}
