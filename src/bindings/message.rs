//! `MQTTMessage`, in paho's shape.

use std::sync::OnceLock;
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyString, PyTuple};

use super::delivery::{class_of_info, message_info};
use super::once::Once;
use super::properties::{Properties, Reduced};
use crate::core::error::ReturnCode;
use crate::core::packet::Publish;
use crate::core::qos::Qos;
use crate::core::session::Receipt as CoreReceipt;

/// One moment on Rust's clock, and the same moment on Python's `time.monotonic()`.
static CLOCK: OnceLock<(Instant, f64)> = OnceLock::new();

/// Matches Rust's clock to `time.monotonic()`.
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

/// A message from the broker, as passed to handlers.
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
    /// The DUP flag: this may be a redelivery.
    #[pyo3(get, set)]
    dup: bool,
    /// Packet identifier; 0 for QoS 0.
    #[pyo3(get, set)]
    mid: u16,
    /// Time of receipt in seconds, on the clock of `time.monotonic()`.
    #[pyo3(get, set)]
    timestamp: f64,
    /// Properties; `None` before MQTT 5.
    #[pyo3(get, set)]
    properties: Option<Py<PyAny>>,
    /// Values assigned to `state` and `info`. They are created on demand, because hardly any code
    /// reads them.
    state: Option<Py<PyAny>>,
    info: Option<Py<PyAny>>,
    pub receipt: Option<CoreReceipt>,
}

/// The receipt that acknowledges a message. If other messages must be acknowledged first, this is
/// all that is kept of a handled one.
#[pyclass(module = "flask_mqtt._core", frozen)]
pub struct Receipt(pub CoreReceipt);

/// `MessageState.MQTT_MS_INVALID`, and `MQTT_MS_WAIT_FOR_PUBREL`, which paho leaves on a QoS 2
/// message that it delivers.
const INVALID: u8 = 0;
const WAIT_FOR_PUBREL: u8 = 5;

#[pymethods]
impl MQTTMessage {
    /// An empty message; with paho, too, this is how to make one by hand, for example in tests.
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

    /// The topic. Like paho, it also accepts bytes.
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

    /// A `MessageState`: the state in which the message was delivered. Useful with QoS 2 only.
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        static CLASS: Once<Py<PyAny>> = Once::new();
        if let Some(assigned) = &self.state {
            return Ok(assigned.clone_ref(py));
        }
        let received = self.receipt.is_some() && self.qos == Qos::ExactlyOnce as u8;
        let state = if received { WAIT_FOR_PUBREL } else { INVALID };
        let import =
            || PyResult::Ok(py.import("flask_mqtt.paho.enums")?.getattr("MessageState")?.unbind());
        CLASS.get_or_try_init(import)?.call1(py, (state,))
    }

    #[setter]
    fn set_state(&mut self, state: Py<PyAny>) {
        self.state = Some(state);
    }

    /// The value that `publish` would return; not useful for a received message.
    #[getter]
    fn info(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(info) = &self.info {
            return Ok(info.clone_ref(py));
        }
        let info = message_info(py, ReturnCode::Success, self.mid)?.unbind();
        self.info = Some(info.clone_ref(py));
        Ok(info)
    }

    /// Copies and pickles contain a plain pair, which becomes the object that `publish` returns.
    #[setter]
    fn set_info(&mut self, info: &Bound<'_, PyAny>) -> PyResult<()> {
        self.info = Some(if info.is_exact_instance_of::<PyTuple>() {
            class_of_info(info.py())?.call1((info,))?.unbind()
        } else {
            info.clone().unbind()
        });
        Ok(())
    }

    /// The message as a dict that `json.dumps` accepts.
    ///
    /// The keys are `topic`, `payload`, `encoding`, `qos`, `retain`, `dup`, `mid`, `timestamp` and
    /// `properties`. A UTF-8 payload becomes its text, and `encoding` is "utf-8"; any other payload
    /// is in base64, and `encoding` is "base64". An assigned payload of another type is unchanged,
    /// and `encoding` is None. Properties are a dict, with bytes as hexadecimal digits; they are
    /// None before MQTT 5.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        let (payload, encoding) = self.payload_for_json(py)?;
        let properties = match &self.properties {
            Some(properties) if properties.bind(py).hasattr("json")? => {
                Some(properties.call_method0(py, "json")?)
            }
            other => other.as_ref().map(|other| other.clone_ref(py)),
        };
        dict.set_item("topic", &self.topic)?;
        dict.set_item("payload", payload)?;
        dict.set_item("encoding", encoding)?;
        dict.set_item("qos", self.qos)?;
        dict.set_item("retain", self.retain)?;
        dict.set_item("dup", self.dup)?;
        dict.set_item("mid", self.mid)?;
        dict.set_item("timestamp", self.timestamp)?;
        dict.set_item("properties", properties)?;
        Ok(dict)
    }

    /// The receipt that acknowledges the message; `None` for QoS 0 and for a message that was not
    /// received.
    fn _receipt(&self) -> Option<Receipt> {
        self.receipt.map(Receipt)
    }

    /// Supports copying and pickling. The receipt is left out, so that a copy cannot acknowledge
    /// the message.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py>> {
        let (py, this) = (slf.py(), slf.borrow());
        let values = PyDict::new(py);
        values.set_item("topic", &this.topic)?;
        values.set_item("payload", &this.payload)?;
        values.set_item("qos", this.qos)?;
        values.set_item("retain", this.retain)?;
        values.set_item("dup", this.dup)?;
        values.set_item("mid", this.mid)?;
        values.set_item("timestamp", this.timestamp)?;
        values.set_item("properties", &this.properties)?;
        values.set_item("state", this.state(py)?)?;
        if let Some(info) = &this.info {
            let pair = info.bind(py).cast::<PyTuple>().map(|info| info.as_sequence().to_tuple());
            values.set_item(
                "info",
                pair.map_or_else(|_| Ok(info.bind(py).clone()), |pair| pair.map(Bound::into_any))?,
            )?;
        }
        drop(this);
        let new = py.import("copyreg")?.getattr("__newobj__")?;
        let arguments = (slf.get_type(),).into_pyobject(py)?;
        // A subclass instance has a `__dict__`.
        let attributes = slf.getattr_opt("__dict__")?;
        Ok((new, arguments, (attributes, values)))
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
    /// The topic, and what acknowledges the message.
    pub fn topic_and_receipt(&self, py: Python<'_>) -> (Py<PyAny>, Option<CoreReceipt>) {
        (self.topic.clone_ref(py), self.receipt)
    }

    fn payload_for_json<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Option<&'static str>)> {
        let payload = self.payload.bind(py);
        if !payload.is_instance_of::<PyBytes>() && !payload.is_instance_of::<PyByteArray>() {
            return Ok((payload.clone(), None));
        }
        if let Ok(text) = payload.call_method0("decode") {
            return Ok((text, Some("utf-8")));
        }
        let encoded = py.import("base64")?.call_method1("b64encode", (payload,))?;
        Ok((encoded.call_method0("decode")?, Some("base64")))
    }

    /// Converts a message of the core. `topics` caches the last topic, since consecutive messages
    /// often have the same one.
    pub fn from_core(
        py: Python<'_>,
        publish: Publish,
        received: Instant,
        receipt: Option<CoreReceipt>,
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
