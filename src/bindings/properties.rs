//! `Properties`, in paho's shape, and the other types accepted in its place.

use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyInt, PyList, PyMemoryView, PyString, PyTuple};

use super::error::to_python;
use crate::core::property::{Kind, Place, Properties as Core, Property, Value};

/// The result of `object.__reduce__`: the callable, its arguments, and the state, which is the
/// `__dict__` and the other attributes.
pub type Reduced<'py> =
    (Bound<'py, PyAny>, Bound<'py, PyTuple>, (Option<Bound<'py, PyAny>>, Bound<'py, PyDict>));

/// The properties of an MQTT 5 packet.
///
/// The attributes have the specification's names without spaces, as in paho: `ContentType`,
/// `ResponseTopic`, `CorrelationData` (bytes), `UserProperty` (a list of pairs of strings),
/// `MessageExpiryInterval` (seconds) and so on. Values are checked when they are set. Setting
/// `UserProperty` or `SubscriptionIdentifier` again adds a value; `del` removes all of them.
#[pyclass(module = "flask_mqtt._core")]
#[derive(Clone, Default)]
pub struct Properties {
    core: Core,
    packet_type: Option<(i32, Place)>,
}

#[pymethods]
impl Properties {
    #[new]
    #[pyo3(signature = (packetType=None, **values))]
    #[expect(non_snake_case, reason = "the name is paho's")]
    fn new(packetType: Option<i32>, values: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let packet_type = packetType.map(|number| Ok::<_, PyErr>((number, place(number)?)));
        let mut properties = Self { core: Core::default(), packet_type: packet_type.transpose()? };
        for (name, value) in values.into_iter().flatten() {
            properties.put(known(&name)?, &value)?;
        }
        Ok(properties)
    }

    /// The packet type of the properties, a number of `PacketTypes`; None for any.
    #[getter(packetType)]
    fn packet_type(&self) -> Option<i32> {
        self.packet_type.map(|(number, _)| number)
    }

    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let property = Property::from_name(&name.replace(' ', ""));
        match property {
            None => Err(PyAttributeError::new_err(unknown(py, name))),
            Some(property) => self.get(py, property)?.ok_or_else(|| absent(property)),
        }
    }

    fn __setattr__(
        &mut self,
        name: &Bound<'_, PyString>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        match Property::from_name(&name.to_str()?.replace(' ', "")) {
            None => Err(PyAttributeError::new_err(unknown(name.py(), name.to_str()?))),
            Some(property) => self.put(property, value),
        }
    }

    fn __delattr__(&mut self, py: Python<'_>, name: &str) -> PyResult<()> {
        match Property::from_name(&name.replace(' ', "")) {
            None => Err(PyAttributeError::new_err(unknown(py, name))),
            Some(property) if !self.has(property) => Err(absent(property)),
            Some(property) => {
                self.core.remove(property);
                Ok(())
            }
        }
    }

    /// The names of the properties that are set.
    fn names(&self) -> Vec<&'static str> {
        self.present().map(Property::name).collect()
    }

    /// Whether no property is set.
    #[pyo3(name = "isEmpty")]
    fn is_empty(&self) -> bool {
        self.core.is_empty()
    }

    /// Removes all properties.
    fn clear(&mut self) {
        self.core = Core::default();
    }

    /// The properties as a dict that `json.dumps` accepts: bytes as hexadecimal digits.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for property in self.present() {
            let mut value = self.get(py, property)?;
            if property.kind() == Kind::Binary {
                value = value.map(|bytes| bytes.call_method0("hex")).transpose()?;
            }
            dict.set_item(property.name(), value)?;
        }
        Ok(dict)
    }

    /// Supports copying and pickling: the values are set one by one.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py>> {
        let (py, this) = (slf.py(), slf.borrow());
        let values = PyDict::new(py);
        for property in this.present() {
            values.set_item(property.name(), this.get(py, property)?)?;
        }
        let arguments = (this.packet_type(),).into_pyobject(py)?;
        Ok((slf.get_type().into_any(), arguments, (None, values)))
    }

    fn __dir__(slf: &Bound<'_, Self>) -> PyResult<Vec<String>> {
        let mut names: Vec<String> =
            slf.py().get_type::<PyAny>().call_method1("__dir__", (slf,))?.extract()?;
        names.extend(Property::all().map(|property| property.name().to_owned()));
        Ok(names)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Properties({})", self.shown(py, "=", |value| Ok(value.repr()?.to_string()))?))
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("[{}]", self.shown(py, " : ", |value| Ok(value.to_string()))?))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        // The order of different properties has no meaning.
        let sorted = |core: &Core| {
            let mut list: Vec<_> = core.iter().map(|(name, value)| (name, value.clone())).collect();
            list.sort_by_key(|(property, _)| *property);
            list
        };
        other.cast::<Self>().is_ok_and(|other| sorted(&self.core) == sorted(&other.borrow().core))
    }
}

impl Properties {
    /// Converts properties of the core.
    pub fn from_core(core: Core) -> Self {
        Self { core, packet_type: None }
    }

    fn present(&self) -> impl Iterator<Item = Property> {
        Property::all().filter(|property| self.has(*property))
    }

    fn has(&self, property: Property) -> bool {
        self.core.iter().any(|(present, _)| present == property)
    }

    fn get<'py>(&self, py: Python<'py>, property: Property) -> PyResult<Option<Bound<'py, PyAny>>> {
        let values = self.core.iter().filter(|(present, _)| *present == property);
        let mut values = values.map(|(_, value)| to_object(py, value));
        if property.repeats() && self.has(property) {
            let list = PyList::new(py, values.collect::<PyResult<Vec<_>>>()?)?;
            return Ok(Some(list.into_any()));
        }
        values.next().transpose()
    }

    /// Sets a property, or adds a value to a repeatable one.
    fn put(&mut self, property: Property, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut core = self.core.clone();
        for value in to_values(property, value)? {
            core.set(property, value).map_err(to_python)?;
        }
        if let Some((_, place)) = self.packet_type {
            core.validate(place).map_err(to_python)?;
        }
        self.core = core;
        Ok(())
    }

    fn shown(
        &self,
        py: Python<'_>,
        between: &str,
        show: impl Fn(&Bound<'_, PyAny>) -> PyResult<String>,
    ) -> PyResult<String> {
        let mut parts = Vec::new();
        for property in self.present() {
            let value = match self.get(py, property)? {
                Some(value) if property != Property::AuthenticationData => show(&value)?,
                _ => "...".to_owned(),
            };
            parts.push(format!("{}{between}{value}", property.name()));
        }
        Ok(parts.join(", "))
    }
}

/// The properties that an application passed: `Properties`, a dict, or an object with paho's
/// attributes. `None` means no properties.
pub fn from_python(given: Option<&Bound<'_, PyAny>>, place: Place) -> PyResult<Core> {
    let Some(given) = given.filter(|given| !given.is_none()) else {
        return Ok(Core::default());
    };
    let core = if let Ok(properties) = given.cast::<Properties>() {
        properties.borrow().core.clone()
    } else {
        let mut properties = Properties::default();
        if let Ok(dict) = given.cast::<PyDict>() {
            for (name, value) in dict {
                properties.put(known(&name)?, &value)?;
            }
        } else if given.hasattr("packetType")? {
            for property in Property::all() {
                if let Some(value) = given.getattr_opt(property.name())? {
                    properties.put(property, &value)?;
                }
            }
        } else {
            let kind = given.get_type().name()?;
            let text = format!("properties must be Properties, a dict or None, not {kind}");
            return Err(PyTypeError::new_err(text));
        }
        properties.core
    };
    core.validate(place).map_err(to_python)?;
    Ok(core)
}

fn absent(property: Property) -> PyErr {
    PyAttributeError::new_err(format!("property {} is not set", property.name()))
}

fn known(name: &Bound<'_, PyAny>) -> PyResult<Property> {
    let text = name.cast::<PyString>().map_err(|_| {
        PyTypeError::new_err(format!("the name of a property must be a string, not {name}"))
    })?;
    let text = text.to_str()?;
    Property::from_name(&text.replace(' ', ""))
        .ok_or_else(|| PyValueError::new_err(unknown(name.py(), text)))
}

/// An error text for an unknown name, with suggestions.
fn unknown(py: Python<'_>, name: &str) -> String {
    let plain = name.replace(['_', '-', ' '], "").to_lowercase();
    let exact = Property::all().find(|property| property.name().to_lowercase() == plain);
    let similar = || -> PyResult<Option<String>> {
        let names: Vec<_> = Property::all().map(Property::name).collect();
        let close = py.import("difflib")?.call_method1("get_close_matches", (name, names, 1))?;
        Ok(close.extract::<Vec<String>>()?.pop())
    };
    let right = exact.map(|property| property.name().to_owned());
    let rest = match right.or_else(|| similar().ok().flatten()) {
        Some(right) => format!("did you mean {right}?"),
        None => {
            format!("it has {}", Property::all().map(Property::name).collect::<Vec<_>>().join(", "))
        }
    };
    format!("MQTT 5 has no property {name:?}; {rest}")
}

/// The place of a packet type in paho's `PacketTypes`.
fn place(packet_type: i32) -> PyResult<Place> {
    Ok(match packet_type {
        1 => Place::Connect,
        2 => Place::ConnAck,
        3 => Place::Publish,
        4..=7 | 9 | 11 => Place::Ack,
        8 => Place::Subscribe,
        10 => Place::Unsubscribe,
        14 => Place::Disconnect,
        99 => Place::Will,
        _ => {
            let text = format!(
                "packetType {packet_type}: it must be one of PacketTypes, and a packet that has \
                 properties here"
            );
            return Err(PyValueError::new_err(text));
        }
    })
}

fn to_object<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Number(number) => number.into_pyobject(py)?.into_any(),
        Value::Text(text) => PyString::new(py, text).into_any(),
        Value::Binary(bytes) => PyBytes::new(py, bytes).into_any(),
        Value::Pair(name, value) => (name, value).into_pyobject(py)?.into_any(),
    })
}

/// Converts an object to values of a property: more than one only if the property repeats.
fn to_values(property: Property, given: &Bound<'_, PyAny>) -> PyResult<Vec<Value>> {
    if property.repeats() {
        // A pair from JSON is a list of two strings.
        let is_pair = |list: &Bound<'_, PyList>| {
            let is_text = |item: Bound<'_, PyAny>| item.is_instance_of::<PyString>();
            list.len() == 2 && property.kind() == Kind::Pair && list.iter().all(is_text)
        };
        if let Ok(list) = given.cast::<PyList>()
            && !is_pair(list)
        {
            return list.iter().map(|item| to_value(property, &item)).collect();
        }
        if let Ok(dict) = given.cast::<PyDict>()
            && property == Property::UserProperty
        {
            let pairs = dict.items();
            return pairs.iter().map(|item| to_value(property, &item)).collect();
        }
    }
    Ok(vec![to_value(property, given)?])
}

fn to_value(property: Property, given: &Bound<'_, PyAny>) -> PyResult<Value> {
    match property.kind() {
        Kind::Byte | Kind::TwoByte | Kind::FourByte | Kind::Variable => number(property, given),
        Kind::Text => Ok(Value::Text(text(property, given, "a string")?)),
        Kind::Binary => {
            if given.is_instance_of::<PyBytes>()
                || given.is_instance_of::<PyByteArray>()
                || given.is_instance_of::<PyMemoryView>()
            {
                let bytes: Vec<u8> = given
                    .call_method0("__bytes__")
                    .map_or_else(|_| given.extract(), |bytes| bytes.extract())?;
                return Ok(Value::Binary(bytes.into()));
            }
            Err(wrong_type(property, given, "bytes"))
        }
        Kind::Pair => {
            let wanted = "a pair (name, value) of strings, a list of pairs or a dict";
            let items = match (given.cast::<PyTuple>(), given.cast::<PyList>()) {
                (Ok(pair), _) => pair.clone(),
                (_, Ok(pair)) => pair.to_tuple(),
                _ => return Err(wrong_type(property, given, wanted)),
            };
            if items.len() != 2 {
                return Err(wrong_type(property, given, wanted));
            }
            Ok(Value::Pair(
                text(property, &items.get_item(0)?, wanted)?,
                text(property, &items.get_item(1)?, wanted)?,
            ))
        }
    }
}

fn number(property: Property, given: &Bound<'_, PyAny>) -> PyResult<Value> {
    let (low, high) = property.range();
    let wanted = format!("a whole number from {low} to {high}");
    if !given.is_instance_of::<PyInt>() {
        return Err(wrong_type(property, given, &wanted));
    }
    let outside = |_| {
        let (name, number) = (property.name(), given.as_any());
        PyValueError::new_err(format!("property {name} {number}: it must be {wanted}"))
    };
    given.extract().map(Value::Number).map_err(outside)
}

fn text(property: Property, given: &Bound<'_, PyAny>, wanted: &str) -> PyResult<String> {
    let string = given.cast::<PyString>().map_err(|_| wrong_type(property, given, wanted))?;
    string.to_str().map(ToOwned::to_owned).map_err(|_| {
        let name = property.name();
        PyValueError::new_err(format!("property {name}: it must be text that UTF-8 can express"))
    })
}

fn wrong_type(property: Property, given: &Bound<'_, PyAny>, wanted: &str) -> PyErr {
    let kind = given.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    let name = property.name();
    PyTypeError::new_err(format!("property {name} is of type {kind}: it must be {wanted}"))
}
