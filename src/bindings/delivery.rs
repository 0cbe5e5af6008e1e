//! The outcome of published messages, and waiting for it.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::codes::member;
use super::error::system;
use super::once::Once;
use super::waiter::Waiter;
use crate::core::delivery::{Delivery as CoreDelivery, State};
use crate::core::error::ReturnCode;
use crate::core::process::Process;
use crate::core::wake::Completions as CoreCompletions;

/// Collects the ends of waits for an event loop.
#[pyclass(module = "flask_mqtt._core", frozen)]
pub struct Completions(Arc<CoreCompletions>);

#[pymethods]
impl Completions {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self(Arc::new(CoreCompletions::new().map_err(system)?)))
    }

    /// A descriptor that is readable while it holds ended waits. It belongs to this object.
    fn fileno(&self) -> RawFd {
        self.0.descriptor().as_raw_fd()
    }

    /// Removes and returns the numbers of the ended waits.
    fn take(&self) -> Vec<u64> {
        self.0.take()
    }
}

/// The outcome of a message.
#[pyclass(module = "flask_mqtt._core", frozen)]
pub struct Delivery {
    core: CoreDelivery,
    /// The number of the client.
    client: u64,
    /// The process that published it. A forked child does not read the outcome, since its lock may
    /// be held forever.
    process: Process,
}

#[pymethods]
impl Delivery {
    /// The return code as it is now; `None` if nothing has changed since `publish` returned.
    fn rc<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let known = self.is_ours() && self.core.has_begun();
        known.then(|| member(py, self.core.state().return_code())).transpose()
    }

    /// Whether the outcome is still open.
    fn is_pending(&self) -> bool {
        !self.is_ours() || self.core.state() == State::Pending
    }

    /// Whether the message is written or acknowledged.
    fn is_published(&self) -> PyResult<bool> {
        self.check_process()?;
        Ok(self.core.state() == State::Published)
    }

    /// The reason code with which a broker refused it.
    fn refusal(&self) -> Option<u8> {
        let state = self.is_ours().then(|| self.core.state())?;
        if let State::Refused(code) | State::SetAside(code) = state { Some(code) } else { None }
    }

    /// Whether a broker refused it, and it is kept for another one.
    fn is_set_aside(&self) -> bool {
        self.is_ours() && matches!(self.core.state(), State::SetAside(_))
    }

    /// Adds `number` to `completions` once the wait is over. Returns whether there is anything to
    /// wait for.
    fn listen(&self, completions: &Completions, number: u64) -> PyResult<bool> {
        self.check_process()?;
        Ok(self.core.listen(&completions.0, number))
    }

    /// The same wait for a thread.
    fn waiter(&self) -> PyResult<Waiter> {
        self.check_process()?;
        Ok(Waiter::new(self.core.waiter()))
    }

    /// Undoes `listen`.
    fn forget(&self, completions: &Completions, number: u64) {
        if self.is_ours() {
            self.core.forget(&completions.0, number);
        }
    }
}

impl Delivery {
    /// Creates the outcome of a client's message.
    pub fn new(core: CoreDelivery, client: u64, process: Process) -> Self {
        Self { core, client, process }
    }

    fn is_ours(&self) -> bool {
        self.process.is_current()
    }

    fn check_process(&self) -> PyResult<()> {
        if self.is_ours() {
            return Ok(());
        }
        let text = "the connection is the parent process's, and messages with it: connect in the \
                    child to publish there";
        Err(PyRuntimeError::new_err(text))
    }

    /// The core's delivery.
    pub fn core(&self) -> &CoreDelivery {
        &self.core
    }

    /// Whether the message was published by a client.
    pub fn is_of(&self, client: u64) -> bool {
        self.client == client
    }
}

/// An `MQTTMessageInfo` without a delivery.
pub fn message_info(py: Python<'_>, rc: ReturnCode, mid: u16) -> PyResult<Bound<'_, PyAny>> {
    class_of_info(py)?.call1(((member(py, rc)?, mid),))
}

/// `MQTTMessageInfo`.
pub fn class_of_info(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: Once<Py<PyType>> = Once::new();
    let import = || {
        let class = py.import("flask_mqtt.publishing.info")?.getattr("MQTTMessageInfo")?;
        PyResult::Ok(class.cast_into::<PyType>()?.unbind())
    };
    CLASS.get_or_try_init(import).map(|class| class.bind(py))
}

/// The class of a client's infos, which report the outcome of QoS 0 messages too.
pub fn class_of_infos(client: &Bound<'_, PyAny>) -> PyResult<Py<PyType>> {
    let module = client.py().import("flask_mqtt.publishing.info")?;
    Ok(module.getattr("infos_of")?.call1((client,))?.cast_into::<PyType>()?.unbind())
}
