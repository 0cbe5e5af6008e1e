//! Waiting with the GIL released.

use std::os::fd::{IntoRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::error::system;
use crate::core::wake::Waiter as CoreWaiter;

/// How often the main thread checks for signals while it waits.
const SLICE: Duration = Duration::from_millis(50);

/// A wait for something that happens once.
#[pyclass(module = "flask_mqtt._core", frozen)]
pub struct Waiter(Arc<CoreWaiter>);

#[pymethods]
impl Waiter {
    /// Blocks the thread, for at most `timeout` seconds if given. Returns whether the wait is over.
    /// With `signals`, signal handlers run meanwhile, and their exceptions end the wait; only the
    /// main thread needs this.
    fn wait(&self, py: Python<'_>, timeout: Option<f64>, signals: bool) -> PyResult<bool> {
        wait(py, timeout, signals, |timeout| self.0.wait(timeout))
    }

    /// A descriptor that reads as closed when the wait is over. The caller owns it.
    fn descriptor(&self) -> PyResult<RawFd> {
        Ok(self.0.descriptor().map_err(system)?.into_raw_fd())
    }
}

impl Waiter {
    /// Wraps a wait of the core.
    pub fn new(core: Arc<CoreWaiter>) -> Self {
        Self(core)
    }
}

/// Calls `attempt` with a time limit until it succeeds. Returns whether it has.
pub fn wait(
    py: Python<'_>,
    timeout: Option<f64>,
    signals: bool,
    attempt: impl Fn(Option<Duration>) -> bool + Sync,
) -> PyResult<bool> {
    // A timeout too long for the clock means no timeout.
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
