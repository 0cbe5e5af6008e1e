//! `MQTTMatcher`, in paho's shape, and `Routes`, the dispatcher's table of handlers.
//!
//! No Python code runs under a lock: a removed value is dropped after the lock is released.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::core::topic::{Routes as CoreRoutes, TopicTree};

/// Values by topic filter. `None` means no value.
#[pyclass(module = "flask_mqtt._core", frozen)]
pub struct MQTTMatcher {
    tree: Mutex<TopicTree<Py<PyAny>>>,
}

#[pymethods]
impl MQTTMatcher {
    #[new]
    fn new() -> Self {
        Self { tree: Mutex::default() }
    }

    fn __setitem__(&self, key: &str, value: Option<Py<PyAny>>) {
        let replaced = match value {
            Some(value) => locked(&self.tree).insert(key, value),
            None => locked(&self.tree).remove(key),
        };
        drop(replaced);
    }

    fn __getitem__(&self, py: Python<'_>, key: &str) -> PyResult<Py<PyAny>> {
        let value = locked(&self.tree).get(key).map(|value| value.clone_ref(py));
        value.ok_or_else(|| PyKeyError::new_err(key.to_owned()))
    }

    fn __delitem__(&self, key: &str) -> PyResult<()> {
        let removed = locked(&self.tree).remove(key);
        removed.map(drop).ok_or_else(|| PyKeyError::new_err(key.to_owned()))
    }

    /// An iterator over the values of all filters that match a topic (MQTT 3.1.1, section 4.7): at
    /// each level the exact name before `+`, and `+` before `#`. Later changes do not affect it.
    fn iter_match<'py>(&self, py: Python<'py>, topic: &str) -> PyResult<Bound<'py, PyIterator>> {
        let values: Vec<_> =
            locked(&self.tree).matches(topic).map(|value| value.clone_ref(py)).collect();
        PyList::new(py, values)?.try_iter()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        locked(&self.tree).values().try_for_each(|value| visit.call(value))
    }

    fn __clear__(&self) {
        let values = mem::take(&mut *locked(&self.tree));
        drop(values);
    }
}

/// Handlers by the filters of subscriptions.
#[pyclass(module = "flask_mqtt._core", frozen)]
pub struct Routes {
    routes: Mutex<CoreRoutes<Py<PyAny>>>,
}

#[pymethods]
impl Routes {
    #[new]
    fn new() -> Self {
        Self { routes: Mutex::default() }
    }

    /// Sets the handler of a subscription.
    fn set(&self, sub: &str, handler: Py<PyAny>) {
        let replaced = locked(&self.routes).set(sub, handler);
        drop(replaced);
    }

    /// Adds a handler to those of a subscription. Returns its number.
    fn add(&self, sub: &str, handler: Py<PyAny>) -> u64 {
        locked(&self.routes).add(sub, handler)
    }

    /// Removes a handler of a subscription, if it exists: the one with this number, otherwise the
    /// one that was set.
    #[pyo3(signature = (sub, number=None))]
    fn remove(&self, sub: &str, number: Option<u64>) {
        let removed = locked(&self.routes).remove(sub, number);
        drop(removed);
    }

    /// The handlers for a topic, in the order of calls.
    fn handlers<'py>(&self, py: Python<'py>, topic: &str) -> PyResult<Bound<'py, PyTuple>> {
        let handlers: Vec<_> =
            locked(&self.routes).matches(topic).map(|handler| handler.clone_ref(py)).collect();
        PyTuple::new(py, handlers)
    }

    fn __bool__(&self) -> bool {
        !locked(&self.routes).is_empty()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        locked(&self.routes).values().try_for_each(|handler| visit.call(handler))
    }

    fn __clear__(&self) {
        let handlers = mem::take(&mut *locked(&self.routes));
        drop(handlers);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
