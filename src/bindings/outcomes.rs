//! What a client has begun in another thread, and how that went: an attempt to connect, and the
//! opening of a file.

use pyo3::prelude::*;

use super::error::{to_python, with_advice};
use super::waiter::Waiter;
use crate::core::client::{Attempt as CoreAttempt, Opening as CoreOpening};

/// The first attempt of one `connect` call, whatever other calls do meanwhile.
#[pyclass(module = "flask_mqtt._core", frozen)]
pub struct Attempt(pub CoreAttempt);

#[pymethods]
impl Attempt {
    /// Returns a wait that is over when the attempt is.
    fn waiter(&self) -> Waiter {
        Waiter::new(self.0.clone())
    }

    /// Raises the error of a failed attempt. Returns whether the attempt succeeded: false if it was
    /// ended before.
    fn outcome(&self) -> PyResult<bool> {
        let failed = |error| with_advice(self.0.advice(&error), error);
        self.0.outcome().transpose().map(|outcome| outcome.is_some()).map_err(failed)
    }
}

/// A file that is being opened.
#[pyclass(module = "flask_mqtt._core", frozen)]
pub struct Opening(pub CoreOpening);

#[pymethods]
impl Opening {
    /// Returns a wait that is over when the outcome is known.
    fn waiter(&self) -> Waiter {
        Waiter::new(self.0.waiter().clone())
    }

    /// Raises the error if that failed. Returns whether the file was opened: false if it was open,
    /// or nothing is known yet. It is closed again if nobody asks.
    fn outcome(&self) -> PyResult<bool> {
        self.0.outcome().unwrap_or(Ok(false)).map_err(to_python)
    }
}
