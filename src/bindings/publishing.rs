//! The arguments of `publish` as paho takes them, and the info that it returns.

use std::borrow::Cow;
use std::convert::Infallible;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyFloat, PyInt, PyString, PyType};

use super::codes::member;
use super::delivery::message_info;
use super::error::to_python;
use super::once::Once;
use crate::core::error::ReturnCode;
use crate::core::qos::Qos;

/// The QoS that a number means.
pub fn qos_number(value: &Bound<'_, PyAny>) -> PyResult<Qos> {
    if let Ok(number) = value.extract::<i64>() {
        return Qos::try_from(number).map_err(to_python);
    }
    let message = format!("invalid QoS {}: it must be 0, 1 or 2", value.repr()?);
    // The whole value does not fit.
    if value.is_instance_of::<PyInt>() {
        Err(PyValueError::new_err(message))
    } else {
        Err(PyTypeError::new_err(message))
    }
}

/// Whether Python considers a value true: applications also pass 1, 0 and None.
pub fn truth(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.is_truthy()
}

/// The text of a topic.
pub fn topic_text<'a>(topic: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    match topic.cast::<PyString>() {
        Ok(text) => text.to_str(),
        Err(_) if topic.is_none() => Err(PyValueError::new_err("invalid topic: None")),
        Err(_) => {
            let kind = topic.get_type().name()?;
            Err(PyTypeError::new_err(format!("topic must be a string, not {kind}")))
        }
    }
}

/// The bytes of a payload, converted as paho does. They are only copied if Python does not have them.
pub fn payload_bytes<'a>(payload: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(bytes) = payload.cast::<PyBytes>() {
        Ok(bytes.as_bytes().into())
    } else if let Ok(text) = payload.cast::<PyString>() {
        Ok(text.to_str()?.as_bytes().into())
    } else if payload.is_none() {
        Ok(Cow::default())
    } else if let Ok(bytes) = payload.cast::<PyByteArray>() {
        Ok(bytes.to_vec().into())
    } else if payload.is_instance_of::<PyInt>() || payload.is_instance_of::<PyFloat>() {
        Ok(payload.str()?.to_str()?.as_bytes().to_vec().into())
    } else {
        let text = "payload must be a string, bytearray, int, float or None.";
        Err(PyTypeError::new_err(text))
    }
}

/// An info of the client's class for accepted messages, or of the plain class for others.
pub fn info<'py>(
    class: &Bound<'py, PyType>,
    code: ReturnCode,
    mid: u16,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    if code == ReturnCode::Success {
        class.call1(((member(py, code)?, mid),))
    } else {
        message_info(py, code, mid)
    }
}

/// The name of the info's attribute for the outcome, made once.
pub fn delivery_name(py: Python<'_>) -> &Bound<'_, PyString> {
    static NAME: Once<Py<PyString>> = Once::new();
    let intern = || Ok::<_, Infallible>(PyString::intern(py, "_delivery").unbind());
    let Ok(name) = NAME.get_or_try_init(intern);
    name.bind(py)
}
