//! The counters, as a dict in the shape of `flask_mqtt.Stats`.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};

use crate::core::session::Health;
use crate::core::stats::{Counters, Stats, Traffic};

/// The state of the connection and of its subscriptions.
pub fn health<'py>(py: Python<'py>, health: &Health) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("connected", health.connected)?;
    dict.set_item("silence", health.silence.map(|silence| silence.as_secs_f64()))?;
    dict.set_item("paused", health.paused)?;
    dict.set_item("unanswered", &health.missing.unanswered)?;
    dict.set_item("refused", &health.missing.refused)?;
    Ok(dict)
}

/// All counters except those that Python counts.
pub fn to_dict<'py>(py: Python<'py>, stats: &Stats) -> PyResult<Bound<'py, PyDict>> {
    let Stats { counters, waiting, .. } = stats;
    let dict = PyDict::new(py);
    dict.set_item("connected", stats.connected)?;
    dict.set_item("connected_since", counters.connected_since.map(unix))?;
    dict.set_item("broker", &stats.broker)?;
    dict.set_item("client_id", &stats.client_id)?;
    dict.set_item("connections", counters.connections)?;
    dict.set_item("reconnects", counters.reconnects)?;
    dict.set_item("failed_attempts", counters.failed_attempts)?;
    dict.set_item("received", traffic(py, &counters.received)?)?;
    let published = traffic(py, &counters.published)?;
    published.set_item("repeated", counters.repeated)?;
    dict.set_item("published", published)?;
    dict.set_item("in_flight", stats.in_flight)?;
    dict.set_item("queued", stats.queued)?;
    dict.set_item("set_aside", stats.set_aside)?;
    dict.set_item("unwritten", stats.unwritten)?;
    dict.set_item("outgoing_bytes", stats.outgoing_bytes)?;
    let incoming = [("messages", waiting.messages), ("bytes", waiting.bytes)];
    dict.set_item("waiting_incoming", incoming.into_py_dict(py)?)?;
    dict.set_item("reading", reading(py, counters)?)?;
    let dropped = [
        ("incoming_overflow", waiting.dropped.messages),
        ("log_lines", waiting.dropped.log_lines),
        ("unsent", counters.unsent),
        ("offline", counters.offline),
        ("queue_full", counters.queue_full),
        ("not_stored", counters.not_stored),
        ("refused", counters.refused),
    ];
    dict.set_item("dropped", dropped.into_py_dict(py)?)?;
    dict.set_item("last_error", last_error(py, counters)?)?;
    Ok(dict)
}

fn traffic<'py>(py: Python<'py>, traffic: &Traffic) -> PyResult<Bound<'py, PyDict>> {
    let messages = ["qos0", "qos1", "qos2"].into_iter().zip(traffic.messages).into_py_dict(py)?;
    let dict = PyDict::new(py);
    dict.set_item("bytes", traffic.bytes)?;
    dict.set_item("messages", messages)?;
    Ok(dict)
}

fn reading<'py>(py: Python<'py>, counters: &Counters) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("paused", counters.paused_since.is_some())?;
    dict.set_item("pauses", counters.pauses)?;
    dict.set_item("seconds", counters.paused_until(Instant::now()).as_secs_f64())?;
    Ok(dict)
}

fn last_error<'py>(py: Python<'py>, counters: &Counters) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some((text, time)) = &counters.last_error else { return Ok(None) };
    let dict = PyDict::new(py);
    dict.set_item("text", text)?;
    dict.set_item("time", unix(*time))?;
    Ok(Some(dict))
}

fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
