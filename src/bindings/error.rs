//! The one place where an error of the core becomes a Python exception.

use pyo3::exceptions::{PyConnectionError, PyOSError, PyTimeoutError, PyValueError};
use pyo3::prelude::*;

use crate::core::error::Error;

/// The exception that applications of Flask-MQTT and paho expect for an error.
pub fn to_python(error: Error) -> PyErr {
    let text = error.to_string();
    with_text(error, text)
}

fn with_text(error: Error, text: String) -> PyErr {
    match error {
        // Of several brokers, the last one's error says what kind it is.
        Error::Brokers(mut errors) => match errors.pop() {
            Some(last) => with_text(last, text),
            None => PyConnectionError::new_err(text),
        },
        Error::Topic { .. }
        | Error::Filter { .. }
        | Error::Qos(_)
        | Error::PayloadTooLarge(_)
        | Error::Option { .. }
        | Error::Url { .. } => PyValueError::new_err(text),
        Error::Resolve { reason, .. } => unresolved(text, &reason),
        Error::ConnectTimeout { .. } => PyTimeoutError::new_err(text),
        Error::Connect { source, .. } | Error::Bind { source, .. } | Error::Io(source) => {
            match source.raw_os_error() {
                // With an errno, OSError picks the subclass: ConnectionRefusedError and so on.
                Some(errno) => PyOSError::new_err((errno, text)),
                None => PyOSError::new_err(text),
            }
        }
        _ => PyConnectionError::new_err(text),
    }
}

fn unresolved(text: String, reason: &str) -> PyErr {
    let code = if reason.contains("Temporary failure") { "EAI_AGAIN" } else { "EAI_NONAME" };
    Python::attach(|py| {
        let raise = || {
            let socket = py.import("socket")?;
            let arguments = (socket.getattr(code)?, text);
            Ok(PyErr::from_value(socket.getattr("gaierror")?.call1(arguments)?))
        };
        raise().unwrap_or_else(|error: PyErr| error)
    })
}
