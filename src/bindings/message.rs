//! `MQTTMessage`, in paho's shape.

use std::sync::OnceLock;
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString, PyType};

use super::delivery::message_info;
use super::properties::Properties;
use crate::core::error::ReturnCode;
use crate::core::packet::Publish;
use crate::core::qos::Qos;
use crate::core::session::Receipt;

/// A moment of Rust's clock and Python's `time.monotonic()` of the same moment.
static CLOCK: OnceLock<(Instant, f64)> = OnceLock::new();

/// Relates Rust's clock to `time.monotonic()`.
pub fn start_clock(py: Python<'_>) -> PyResult<()> {
    let now = py.import("time")?.call_method0("monotonic")?.extract()?;
    CLOCK.get_or_init(|| (Instant::now(), now));
    Ok(())
}

fn monotonic(moment: Instant) -> f64 {
    CLOCK.get().map_or(0.0, |(start, seconds)| {
        seconds + moment.saturating_duration_since(*start).as_secs_f64()
    })
}

/// A message from the broker, as handlers get it.
#[pyclass(module = "flask_mqtt", name = "MQTTMessage", subclass)]
pub struct MQTTMessage {
    topic: Py<PyAny>,
    /// The payload as it was sent.
    #[pyo3(get, set)]
    payload: Py<PyAny>,
    /// Quality of service: 0, 1 or 2.
    #[pyo3(get, set)]
    qos: u8,
    /// Whether the broker had retained it.
    #[pyo3(get, set)]
    retain: bool,
    /// Whether this may be a repeated delivery.
    #[pyo3(get, set)]
    dup: bool,
    /// Packet identifier; 0 for QoS 0.
    #[pyo3(get, set)]
    mid: u16,
    /// When it was received, on the clock of `time.monotonic()`, in seconds.
    #[pyo3(get, set)]
    timestamp: f64,
    /// Properties; `None` before MQTT 5.
    #[pyo3(get, set)]
    properties: Option<Py<PyAny>>,
    /// What was assigned to `state` and `info`: hardly anybody reads them, so they are made late.
    state: Option<Py<PyAny>>,
    info: Option<Py<PyAny>>,
    pub receipt: Option<Receipt>,
}

/// `MessageState.MQTT_MS_INVALID`, and `MQTT_MS_WAIT_FOR_PUBREL`, which paho leaves on a message of
/// QoS 2 that it hands over.
const INVALID: u8 = 0;
const WAIT_FOR_PUBREL: u8 = 5;

#[pymethods]
impl MQTTMessage {
    /// An empty message; paho's way to make one by hand, in tests for example.
    #[new]
    #[pyo3(signature = (mid=0, topic=None))]
    fn new(py: Python<'_>, mid: u16, topic: Option<&[u8]>) -> PyResult<Self> {
        Ok(Self {
            topic: topic_from(topic.unwrap_or_default(), py)?,
            payload: PyBytes::new(py, b"").into_any().unbind(),
            qos: 0,
            retain: false,
            dup: false,
            mid,
            timestamp: 0.0,
            properties: None,
            state: None,
            info: None,
            receipt: None,
        })
    }

    /// Topic it was published to. Bytes may be assigned too, as with paho.
    #[getter]
    fn topic(&self, py: Python<'_>) -> Py<PyAny> {
        self.topic.clone_ref(py)
    }

    #[setter]
    fn set_topic(&mut self, topic: &Bound<'_, PyAny>) -> PyResult<()> {
        self.topic = match topic.cast::<PyBytes>() {
            Ok(bytes) => topic_from(bytes.as_bytes(), topic.py())?,
            Err(_) => topic.clone().unbind(),
        };
        Ok(())
    }

    /// Where it was on its way when it was handed over, a `MessageState`: of use with QoS 2 only.
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        static MESSAGE_STATE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        if let Some(assigned) = &self.state {
            return Ok(assigned.clone_ref(py));
        }
        let received = self.receipt.is_some() && self.qos == Qos::ExactlyOnce as u8;
        let state = if received { WAIT_FOR_PUBREL } else { INVALID };
        let class = MESSAGE_STATE.import(py, "flask_mqtt.enums", "MessageState")?;
        Ok(class.call1((state,))?.unbind())
    }

    #[setter]
    fn set_state(&mut self, state: Py<PyAny>) {
        self.state = Some(state);
    }

    /// What `publish` would return for it; of no use with a message that was received.
    #[getter]
    fn info(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(info) = &self.info {
            return Ok(info.clone_ref(py));
        }
        let info = message_info(py, ReturnCode::Success, self.mid)?.unbind();
        self.info = Some(info.clone_ref(py));
        Ok(info)
    }

    #[setter]
    fn set_info(&mut self, info: Py<PyAny>) {
        self.info = Some(info);
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let topic = self.topic.bind(py).repr()?;
        let (qos, retain, mid) = (self.qos, self.retain, self.mid);
        Ok(format!("<MQTTMessage topic={topic} qos={qos} retain={retain} mid={mid}>"))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.borrow().mid == self.mid)
    }
}

impl MQTTMessage {
    /// A message of the core's as Python sees it. `topics` has the last topic, since messages on the
    /// same topic tend to come one after the other.
    pub fn from_core(
        py: Python<'_>,
        publish: Publish,
        received: Instant,
        receipt: Option<Receipt>,
        topics: &mut TopicCache,
    ) -> PyResult<Self> {
        let properties = publish.properties.map(|core| Py::new(py, Properties::from_core(core)));
        Ok(Self {
            topic: topics.get(py, &publish.topic),
            payload: PyBytes::new(py, &publish.payload).into_any().unbind(),
            qos: publish.qos as u8,
            retain: publish.retain,
            dup: publish.dup,
            mid: publish.mid,
            timestamp: monotonic(received),
            properties: properties.transpose()?.map(Py::into_any),
            state: None,
            info: None,
            receipt,
        })
    }
}

fn topic_from(bytes: &[u8], py: Python<'_>) -> PyResult<Py<PyAny>> {
    let topic = std::str::from_utf8(bytes)
        .map_err(|error| PyValueError::new_err(format!("topic is not UTF-8: {error}")))?;
    Ok(PyString::new(py, topic).into_any().unbind())
}

/// The Python string of the last topic.
#[derive(Default)]
pub struct TopicCache {
    last: Option<(String, Py<PyAny>)>,
}

impl TopicCache {
    fn get(&mut self, py: Python<'_>, topic: &str) -> Py<PyAny> {
        if let Some((last, object)) = &self.last
            && last == topic
        {
            return object.clone_ref(py);
        }
        let object = PyString::new(py, topic).into_any().unbind();
        self.last = Some((topic.to_owned(), object.clone_ref(py)));
        object
    }
}
