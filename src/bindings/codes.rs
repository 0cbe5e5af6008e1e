//! Return codes as Python sees them: members of `MQTTErrorCode`.

use pyo3::prelude::*;
use pyo3::types::PyType;

use super::once::Once;
use crate::core::error::ReturnCode;

/// The number of the first member. The others follow without a gap.
const FIRST: i32 = ReturnCode::Again as i32;

static MEMBERS: Once<Vec<Py<PyAny>>> = Once::new();

/// The member for a return code. Members are looked up only once, because every `publish` returns
/// one.
pub fn member(py: Python<'_>, code: ReturnCode) -> PyResult<Bound<'_, PyAny>> {
    let members = MEMBERS.get_or_try_init(|| members(py))?;
    let place = usize::try_from(code as i32 - FIRST)?;
    Ok(members[place].bind(py).clone())
}

fn members(py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
    let class =
        py.import("flask_mqtt.paho.enums")?.getattr("MQTTErrorCode")?.cast_into::<PyType>()?;
    let last = i32::try_from(class.len()?)? + FIRST;
    (FIRST..last).map(|number| Ok(class.call1((number,))?.unbind())).collect()
}
