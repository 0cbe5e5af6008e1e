//! Calls of handlers in a row: what is left of the dispatcher's loop where events need nothing but
//! the call of one handler.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::client::Client;
use super::events::PUBLISHED;
use super::message::MQTTMessage;
use crate::core::session::Receipt as CoreReceipt;

/// How far a call has come, as the caller has it.
const NOT_CALLED: u8 = 0;
const CALLED: u8 = 1;
const RETURNED: u8 = 2;

/// Counts changes of what calls in a row depend on: handlers, their arguments, the thread that
/// calls them.
#[pyclass(module = "flask_mqtt._core", frozen)]
pub struct Changes(AtomicU64);

#[pymethods]
impl Changes {
    #[new]
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts a change, after it was made.
    fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were. It is read before what may change.
    #[getter]
    fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An iterator over a batch that calls the handlers of its events itself, and gives out the others.
///
/// It gives out `None` when something has changed, and another one has to take its place. What a
/// handler raises goes on to the caller: `handler` and `subject` say where it came up.
#[pyclass(module = "flask_mqtt._core")]
pub struct CallsInARow {
    batch: Py<PyIterator>,
    changes: Py<Changes>,
    number: u64,
    /// The handlers of topics, as far as they are known; `None` where `on_message` has all.
    topics: Option<Py<PyDict>>,
    on_message: Option<Py<PyAny>>,
    on_publish: Option<Py<PyAny>>,
    client: Py<PyAny>,
    userdata: Py<PyAny>,
    caller: Py<PyAny>,
    /// Acknowledges a message, and waits until that is stored.
    acknowledge: Py<PyAny>,
    wait: Py<PyAny>,
    /// Does the first of these itself, unless there is something else to ask.
    core: Option<Py<Client>>,
    context: Option<Traces>,
    /// How many more calls are counted together, and how many of them were made.
    left: usize,
    #[pyo3(get)]
    count: usize,
    /// The packet identifiers of a report that are left, and its code.
    #[pyo3(get)]
    mids: Option<Py<PyIterator>>,
    #[pyo3(get)]
    code: u8,
    /// The handler that is called, what it is called for, and how far that has come.
    #[pyo3(get)]
    handler: Option<Py<PyAny>>,
    #[pyo3(get)]
    subject: Option<Py<PyAny>>,
    #[pyo3(get)]
    progress: u8,
    /// Whether that has to be acknowledged.
    #[pyo3(get)]
    is_due: bool,
    /// Whether it has called a handler.
    #[pyo3(get)]
    has_called: bool,
}

/// Where a context shows that the next handler needs another one.
struct Traces {
    /// Empty as long as it does not.
    watched: Vec<Py<PyAny>>,
    /// What has been in there from the beginning.
    attributes: Py<PyAny>,
    count: usize,
}

impl Traces {
    fn of(context: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (watched, attributes, count) = context.extract()?;
        Ok(Self { watched, attributes, count })
    }

    fn has_any(&self, py: Python<'_>) -> PyResult<bool> {
        for watched in &self.watched {
            if watched.bind(py).is_truthy()? {
                return Ok(true);
            }
        }
        Ok(self.attributes.bind(py).len()? != self.count)
    }
}

#[pymethods]
impl CallsInARow {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "all that calls depend on")]
    fn new(
        batch: Py<PyIterator>,
        changes: Py<Changes>,
        number: u64,
        topics: Option<Py<PyDict>>,
        on_message: Option<Py<PyAny>>,
        on_publish: Option<Py<PyAny>>,
        client: Py<PyAny>,
        userdata: Py<PyAny>,
        caller: Py<PyAny>,
        acknowledge: Py<PyAny>,
        wait: Py<PyAny>,
        core: Option<Py<Client>>,
    ) -> Self {
        Self {
            batch,
            changes,
            number,
            topics,
            on_message,
            on_publish,
            client,
            userdata,
            caller,
            acknowledge,
            wait,
            core,
            context: None,
            left: 0,
            count: 0,
            mids: None,
            code: 0,
            handler: None,
            subject: None,
            progress: NOT_CALLED,
            is_due: false,
            has_called: false,
        }
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        // Others may have been counted meanwhile, and may have ended the context.
        self.settle(py)?;
        self.context = None;
        loop {
            if self.is_outdated(py) {
                self.settle(py)?;
                return Ok(Some(py.None()));
            }
            if let Some(mids) = &self.mids {
                match mids.bind(py).clone().next().transpose()? {
                    Some(mid) => {
                        self.begin(&mid);
                        self.report(&mid)?;
                    }
                    None => self.mids = None,
                }
                continue;
            }
            let Some(event) = self.batch.bind(py).clone().next().transpose()? else {
                self.settle(py)?;
                return Ok(None);
            };
            self.begin(&event);
            let is_plain = match event.cast_exact::<MQTTMessage>() {
                Ok(message) => self.handle(message)?,
                Err(_) => self.begin_report(&event)?,
            };
            if !is_plain {
                self.settle(py)?;
                self.subject = None;
                return Ok(Some(event.unbind()));
            }
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.batch)?;
        visit.call(&self.topics)?;
        visit.call(&self.on_message)?;
        visit.call(&self.on_publish)?;
        visit.call(&self.client)?;
        visit.call(&self.userdata)?;
        visit.call(&self.caller)?;
        visit.call(&self.acknowledge)?;
        visit.call(&self.wait)?;
        visit.call(&self.mids)?;
        visit.call(&self.handler)?;
        visit.call(&self.subject)
    }
}

impl CallsInARow {
    fn is_outdated(&self, py: Python<'_>) -> bool {
        self.changes.bind(py).get().number() != self.number
    }

    /// Has the calls counted and timed, and learns how many come next before that is due.
    fn settle(&mut self, py: Python<'_>) -> PyResult<()> {
        let count = std::mem::take(&mut self.count);
        self.left = self.caller.call_method1(py, "count", (count,))?.extract(py)?;
        Ok(())
    }

    /// Calls the handler of a message, unless it has none or several.
    fn handle(&mut self, message: &Bound<'_, MQTTMessage>) -> PyResult<bool> {
        let py = message.py();
        let (topic, receipt) = message.borrow().topic_and_receipt(py);
        let handler = match &self.topics {
            Some(topics) => match topics.bind(py).get_item(topic)? {
                Some(handlers) => only(&handlers),
                None => None,
            },
            None => self.on_message.as_ref().map(|handler| handler.clone_ref(py)),
        };
        let Some(handler) = handler else { return Ok(false) };
        self.is_due = receipt.is_some();
        self.call(&handler, message.as_any())?;
        if let Some(receipt) = receipt {
            self.acknowledge(message, receipt)?;
        }
        self.called(py)?;
        Ok(true)
    }

    fn acknowledge(&self, message: &Bound<'_, MQTTMessage>, receipt: CoreReceipt) -> PyResult<()> {
        let py = message.py();
        match &self.core {
            Some(core) if !self.is_outdated(py) => {
                if let Some(storing) = core.get().handle(py, receipt)? {
                    self.wait.call1(py, (storing,))?;
                }
            }
            // The handler may have forked, or want to acknowledge messages itself.
            _ => drop(self.acknowledge.call1(py, (message,))?),
        }
        Ok(())
    }

    /// Takes an event, or a message of a report, that is not lost whatever happens.
    fn begin(&mut self, subject: &Bound<'_, PyAny>) {
        self.subject = Some(subject.clone().unbind());
        self.progress = NOT_CALLED;
    }

    /// Begins with a report on messages, if it is one and a handler gets it.
    fn begin_report(&mut self, event: &Bound<'_, PyAny>) -> PyResult<bool> {
        if self.on_publish.is_none() {
            return Ok(false);
        }
        let Ok((kind, mids, code, properties)) =
            event.extract::<(u8, Bound<'_, PyAny>, u8, Option<Bound<'_, PyAny>>)>()
        else {
            return Ok(false);
        };
        if kind != PUBLISHED || properties.is_some() {
            return Ok(false);
        }
        self.mids = Some(mids.try_iter()?.unbind());
        self.code = code;
        self.subject = None;
        Ok(true)
    }

    fn report(&mut self, mid: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = mid.py();
        self.is_due = false;
        if let Some(handler) = self.on_publish.as_ref().map(|handler| handler.clone_ref(py)) {
            self.call(&handler, mid)?;
        }
        self.called(py)
    }

    /// Calls a handler, in a context that no other one has left traces in.
    fn call(&mut self, handler: &Py<PyAny>, subject: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = subject.py();
        self.handler = Some(handler.clone_ref(py));
        self.progress = CALLED;
        if self.context.is_none() {
            let context = self.caller.call_method0(py, "enter")?;
            self.context = Some(Traces::of(context.bind(py))?);
        }
        let result = handler.call1(py, (&self.client, &self.userdata, subject))?;
        if !result.is_none(py) {
            self.caller.call_method1(py, "go_on_with", (result,))?;
        }
        self.progress = RETURNED;
        if let Some(traces) = &self.context
            && traces.has_any(py)?
        {
            self.context = None;
            self.caller.call_method0(py, "rest")?;
        }
        self.count += 1;
        self.has_called = true;
        Ok(())
    }

    /// The call and what follows it are over.
    fn called(&mut self, py: Python<'_>) -> PyResult<()> {
        self.subject = None;
        if self.count >= self.left { self.settle(py) } else { Ok(()) }
    }
}

/// The handler, if it is only one.
fn only(handlers: &Bound<'_, PyAny>) -> Option<Py<PyAny>> {
    let handlers = handlers.cast::<PyTuple>().ok()?;
    (handlers.len() == 1).then(|| handlers.get_item(0).map(Bound::unbind).ok()).flatten()
}
