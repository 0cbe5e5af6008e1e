//! The module `flask_mqtt._core`: signatures, conversions and calls. It makes no decisions.
//!
//! Every call that can block releases the GIL: `wait` of a client and of a waiter, opening a file,
//! waiting before a fork, and a call of the session while another thread holds it for more than a
//! moment. The core holds its locks only for bounded work, during which no thread needs the GIL.

mod calls;
mod client;
mod codes;
mod delivery;
mod departing;
mod error;
mod events;
mod forks;
mod keys;
mod matcher;
mod message;
mod once;
mod options;
mod outcomes;
mod properties;
mod publishing;
mod stats;
mod url;
mod waiter;

use pyo3::prelude::*;

use crate::core::process::Process;
use crate::core::reason;
use crate::core::topic;

/// Whether a subscription filter matches a topic (MQTT 3.1.1, section 4.7).
#[pyfunction]
fn topic_matches_sub(sub: &str, topic: &str) -> bool {
    topic::matches(sub, topic)
}

/// Raises `ValueError` for a filter that MQTT 3.1.1, section 4.7, does not allow.
#[pyfunction]
fn validate_filter(sub: &str) -> PyResult<()> {
    topic::validate_filter(sub).map_err(error::to_python)
}

/// Raises `ValueError` for a topic that MQTT 3.1.1, section 4.7, does not allow.
#[pyfunction]
fn validate_topic(topic: &str) -> PyResult<()> {
    topic::validate_topic(topic).map_err(error::to_python)
}

/// The name of a reason code of MQTT 5 (section 2.4).
#[pyfunction]
fn reason_name(code: u8) -> &'static str {
    reason::reason_name(code)
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Starts counting forks.
    let _ = Process::current();
    module.add_class::<calls::CallsInARow>()?;
    module.add_class::<calls::Changes>()?;
    module.add_class::<client::Client>()?;
    module.add_class::<delivery::Completions>()?;
    module.add_class::<delivery::Delivery>()?;
    module.add_class::<matcher::MQTTMatcher>()?;
    module.add_class::<matcher::Routes>()?;
    module.add_class::<message::MQTTMessage>()?;
    module.add_class::<message::Receipt>()?;
    module.add_class::<outcomes::Attempt>()?;
    module.add_class::<outcomes::Opening>()?;
    module.add_class::<properties::Properties>()?;
    module.add_class::<waiter::Waiter>()?;
    module.add_function(wrap_pyfunction!(departing::departing, module)?)?;
    module.add_function(wrap_pyfunction!(forks::fork_begins, module)?)?;
    module.add_function(wrap_pyfunction!(forks::fork_ended, module)?)?;
    module.add_function(wrap_pyfunction!(forks::fork_made_this, module)?)?;
    module.add_function(wrap_pyfunction!(forks::prepare, module)?)?;
    module.add_function(wrap_pyfunction!(reason_name, module)?)?;
    module.add_function(wrap_pyfunction!(topic_matches_sub, module)?)?;
    module.add_function(wrap_pyfunction!(validate_filter, module)?)?;
    module.add_function(wrap_pyfunction!(validate_topic, module)?)?;
    module.add_function(wrap_pyfunction!(url::parse_broker_url, module)?)?;
    module.add_function(wrap_pyfunction!(options::check_tls, module)?)?;
    module.add_function(wrap_pyfunction!(url::validate_proxy, module)?)?;
    events::add_constants(module)?;
    message::start_clock(module.py())
}
