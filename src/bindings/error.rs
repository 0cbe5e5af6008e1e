//! Converts errors of the core to Python exceptions, in this one place.

use std::io;

use pyo3::exceptions::{PyConnectionError, PyOSError, PyTimeoutError, PyValueError};
use pyo3::prelude::*;

use crate::core::error::{Error, said};
use crate::core::text::line;

/// Converts an error to the exception that applications of Flask-MQTT and paho expect.
pub fn to_python(error: Error) -> PyErr {
    let text = error.to_string();
    with_text(error, line(&text))
}

/// The same, with a hint about the cause.
pub fn with_advice(advice: Option<String>, error: Error) -> PyErr {
    let text = match advice {
        Some(advice) => format!("{error}. {advice}"),
        None => error.to_string(),
    };
    with_text(error, line(&text))
}

fn with_text(error: Error, text: String) -> PyErr {
    match error {
        // Of several brokers, the last error decides the type of the exception.
        Error::Brokers(mut errors) => match errors.pop() {
            Some(last) => with_text(last, text),
            None => PyConnectionError::new_err(text),
        },
        Error::Topic { .. }
        | Error::Filter { .. }
        | Error::Qos(_)
        | Error::PayloadTooLarge(_)
        | Error::Option { .. }
        | Error::Property { .. }
        | Error::Url { .. } => PyValueError::new_err(text),
        Error::Tls(_) => tls(text),
        Error::Certificate { code, message, .. } => certificate(text, code, message),
        Error::File { key, path, source } => match source.raw_os_error() {
            Some(errno) => file(errno, &key, path),
            None => PyValueError::new_err(text),
        },
        Error::Persistence { key, path, reason, errno: Some(errno) } => {
            PyOSError::new_err((errno, format!("{key}: {reason}"), path))
        }
        Error::Persistence { path, errno: None, .. } => unusable(text, path),
        Error::Resolve { reason, .. } => unresolved(text, &reason),
        Error::ConnectTimeout { .. } => PyTimeoutError::new_err(text),
        Error::Connect { source, .. }
        | Error::Bind { source, .. }
        | Error::Begin(source)
        | Error::Io(source) => match source.raw_os_error() {
            // With an errno, OSError picks the subclass: ConnectionRefusedError and so on.
            Some(errno) => PyOSError::new_err((errno, text)),
            None => PyOSError::new_err(text),
        },
        Error::Websocket { .. } => raised(|py| {
            py.import("flask_mqtt.paho.errors")?.getattr("WebsocketConnectionError")?.call1((text,))
        }),
        _ => PyConnectionError::new_err(text),
    }
}

/// Converts an operating system error, with its number.
pub fn system(error: io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(errno) => PyOSError::new_err((errno, said(&error))),
        None => error.into(),
    }
}

/// `ssl.SSLError`, with the same attributes as Python's own.
fn tls(text: String) -> PyErr {
    raised(|py| {
        let ssl = py.import("ssl")?;
        let error = ssl.getattr("SSLError")?.call1((ssl.getattr("SSL_ERROR_SSL")?, text))?;
        error.setattr("library", "SSL")?;
        error.setattr("reason", py.None())?;
        Ok(error)
    })
}

fn certificate(text: String, code: i32, message: String) -> PyErr {
    raised(|py| {
        let ssl = py.import("ssl")?;
        let arguments = (ssl.getattr("SSL_ERROR_SSL")?, text);
        let error = ssl.getattr("SSLCertVerificationError")?.call1(arguments)?;
        error.setattr("library", "SSL")?;
        error.setattr("reason", "CERTIFICATE_VERIFY_FAILED")?;
        error.setattr("verify_code", code)?;
        error.setattr("verify_message", message)?;
        Ok(error)
    })
}

/// The subclass of `OSError` for an error of reading a file, with the file's name.
fn file(errno: i32, key: &str, path: String) -> PyErr {
    raised(|py| {
        let reason = py.import("os")?.getattr("strerror")?.call1((errno,))?;
        py.get_type::<PyOSError>().call1((errno, format!("{key}: {reason}"), path))
    })
}

/// `ValueError` for a file with other contents than it has to have, with the file's name.
fn unusable(text: String, path: String) -> PyErr {
    raised(|py| {
        let error = py.get_type::<PyValueError>().call1((text,))?;
        error.setattr("filename", path)?;
        Ok(error)
    })
}

fn unresolved(text: String, reason: &str) -> PyErr {
    let code = if reason.contains("Temporary failure") { "EAI_AGAIN" } else { "EAI_NONAME" };
    raised(|py| {
        let socket = py.import("socket")?;
        let arguments = (socket.getattr(code)?, text);
        socket.getattr("gaierror")?.call1(arguments)
    })
}

/// The created exception, or the one raised while creating it.
fn raised(make: impl for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>>) -> PyErr {
    Python::attach(|py| match make(py) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    })
}
