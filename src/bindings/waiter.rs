//! Waiting with the GIL released.

use std::os::fd::{IntoRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::error::system;
use crate::core::wake::Waiter as CoreWaiter;

/// How long the thread that handles signals waits before it looks for some.
const SLICE: Duration = Duration::from_millis(50);

/// A wait for something that happens once.
#[pyclass(module = "flask_mqtt._core", frozen)]
pub struct Waiter(Arc<CoreWaiter>);

#[pymethods]
impl Waiter {
    /// Waits as a thread, for so many seconds at most where there is a number. Returns whether it is
    /// over. With `signals` their handlers are called meanwhile, and what they raise ends the wait: the
    /// main thread is to do that, and others need not.
    fn wait(&self, py: Python<'_>, timeout: Option<f64>, signals: bool) -> PyResult<bool> {
        wait(py, timeout, signals, |timeout| self.0.wait(timeout))
    }

    /// A descriptor that reads as closed when it is over. It belongs to the caller.
    fn descriptor(&self) -> PyResult<RawFd> {
        Ok(self.0.descriptor().map_err(system)?.into_raw_fd())
    }
}

impl Waiter {
    /// What a thread waits with.
    pub fn new(core: Arc<CoreWaiter>) -> Self {
        Self(core)
    }
}

/// Waits until `attempt`, which is given a time, has succeeded. Returns whether it has.
pub fn wait(
    py: Python<'_>,
    timeout: Option<f64>,
    signals: bool,
    attempt: impl Fn(Option<Duration>) -> bool + Sync,
) -> PyResult<bool> {
    // What is too long for the clock is for ever.
    let timeout = timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let slice = if signals { Some(left.map_or(SLICE, |left| left.min(SLICE))) } else { left };
        if py.detach(|| attempt(slice)) {
            return Ok(true);
        }
        py.check_signals()?;
        if left.is_some_and(|left| Some(left) == slice) {
            return Ok(false);
        }
    }
}
