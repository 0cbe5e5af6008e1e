//! Events as Python sees them: a message is itself; any other event is a tuple that begins with its
//! kind.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyRange, PyTuple};

use super::codes::member;
use super::message::{MQTTMessage, TopicCache};
use super::properties::Properties;
use crate::core::property::Properties as CoreProperties;
use crate::core::session::{End, Event, Field, Fields, Mids};

const CONNACK: u8 = 0;
const DISCONNECTED: u8 = 1;
pub const PUBLISHED: u8 = 2;
const SUBSCRIBED: u8 = 3;
const UNSUBSCRIBED: u8 = 4;
const LOG: u8 = 5;
const NOTICE: u8 = 6;
const ATTEMPT: u8 = 7;
const CONNECT_FAILED: u8 = 8;
const REPLACED: u8 = 9;
const SOCKET_OPENED: u8 = 10;

/// Adds the names of the kinds of events.
pub fn add_constants(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("EVENT_CONNACK", CONNACK)?;
    module.add("EVENT_DISCONNECTED", DISCONNECTED)?;
    module.add("EVENT_PUBLISHED", PUBLISHED)?;
    module.add("EVENT_SUBSCRIBED", SUBSCRIBED)?;
    module.add("EVENT_UNSUBSCRIBED", UNSUBSCRIBED)?;
    module.add("EVENT_LOG", LOG)?;
    module.add("EVENT_NOTICE", NOTICE)?;
    module.add("EVENT_ATTEMPT", ATTEMPT)?;
    module.add("EVENT_CONNECT_FAILED", CONNECT_FAILED)?;
    module.add("EVENT_REPLACED", REPLACED)?;
    module.add("EVENT_SOCKET_OPENED", SOCKET_OPENED)
}

/// Appends events to a list of the dispatcher, and returns how many there are; a report counts once
/// for each of its messages.
///
/// The list already belongs to the dispatcher: so an exception of a signal handler or another
/// thread cannot lose fetched events. If memory runs out for one event, the others stay.
pub fn append(into: &Bound<'_, PyList>, events: Vec<Event>) -> PyResult<usize> {
    let mut topics = TopicCache::default();
    let mut made = Ok(());
    let mut count = 0;
    for event in events {
        count += event.count();
        let appended = append_one(into, event, &mut topics);
        if appended.is_err() {
            made = appended;
        }
    }
    made.map(|()| count)
}

fn append_one(into: &Bound<'_, PyList>, event: Event, topics: &mut TopicCache) -> PyResult<()> {
    let py = into.py();
    // A handler may change the properties, so each call gets its own.
    if let Event::Published { mids, code, properties: Some(properties) } = &event {
        for mid in mids.iter() {
            let properties = Properties::from_core(properties.clone());
            into.append((PUBLISHED, (mid,), *code, properties).into_pyobject(py)?)?;
        }
        return Ok(());
    }
    into.append(to_object(py, event, topics)?)
}

fn to_object<'py>(
    py: Python<'py>,
    event: Event,
    topics: &mut TopicCache,
) -> PyResult<Bound<'py, PyAny>> {
    let tuple = match event {
        Event::Message { publish, received, receipt } => {
            let message = MQTTMessage::from_core(py, publish, received, receipt, topics)?;
            return Ok(Bound::new(py, message)?.into_any());
        }
        Event::ConnAck { session_present, code, properties } => {
            (CONNACK, u8::from(session_present), code, shown(properties)).into_pyobject(py)
        }
        Event::Disconnected(End { code, reason, properties }) => {
            (DISCONNECTED, member(py, code)?, reason, shown(properties)).into_pyobject(py)
        }
        Event::Published { mids, code, properties } => {
            (PUBLISHED, numbers(py, &mids)?, code, shown(properties)).into_pyobject(py)
        }
        Event::Subscribed { mid, granted, properties } => {
            (SUBSCRIBED, mid, PyTuple::new(py, granted)?, shown(properties)).into_pyobject(py)
        }
        Event::Unsubscribed { mid, codes, properties } => {
            (UNSUBSCRIBED, mid, PyTuple::new(py, codes)?, shown(properties)).into_pyobject(py)
        }
        Event::Attempt => (ATTEMPT,).into_pyobject(py),
        Event::ConnectFailed => (CONNECT_FAILED,).into_pyobject(py),
        Event::Replaced => (REPLACED,).into_pyobject(py),
        Event::SocketOpened => (SOCKET_OPENED,).into_pyobject(py),
        Event::Log { level, text } => (LOG, level as u8, text).into_pyobject(py),
        Event::Notice { level, text, fields } => {
            (NOTICE, level as u8, text, to_dict(py, fields)?).into_pyobject(py)
        }
    };
    Ok(tuple?.into_any())
}

/// Packet identifiers as a Python iterable.
fn numbers<'py>(py: Python<'py>, mids: &Mids) -> PyResult<Bound<'py, PyAny>> {
    match mids.range() {
        Some((first, count)) if count > 1 => {
            let (first, count) = (isize::try_from(first)?, isize::try_from(count)?);
            Ok(PyRange::new(py, first, first + count)?.into_any())
        }
        _ => Ok(PyTuple::new(py, mids.iter().collect::<Vec<_>>())?.into_any()),
    }
}

fn to_dict(py: Python<'_>, fields: Fields) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in fields {
        match value {
            Field::Text(text) => dict.set_item(name, text)?,
            Field::Number(number) => dict.set_item(name, number)?,
            Field::Time(time) => dict.set_item(name, time.as_secs_f64())?,
        }
    }
    Ok(dict)
}

fn shown(properties: Option<CoreProperties>) -> Option<Properties> {
    properties.map(Properties::from_core)
}
