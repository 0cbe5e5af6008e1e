//! The values of the keys that are passed to the core unchanged. Python has checked them.

use std::net::IpAddr;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::error::to_python;
use super::properties;
use crate::core::options::{
    ConnectOptions, Limits, Overflow, Protocol, Proxy, connect_keys, limit_keys,
};
use crate::core::property::{Place, Properties};
use crate::core::url::parse_proxy;

macro_rules! define_limits {
    ($($(#[$documentation:meta])* $field:ident: $type:ty = $key:literal,)*) => {
        /// Reads the limits from attributes with the names of their keys.
        pub fn limits(values: &Bound<'_, PyAny>) -> PyResult<Limits> {
            Ok(Limits { $($field: read(values, $key)?,)* })
        }
    };
}

macro_rules! define_options {
    ($($(#[$documentation:meta])* $field:ident: $type:ty = $key:literal,)*) => {
        /// Reads all options that are passed on unchanged. The others have their defaults.
        pub fn options(values: &Bound<'_, PyAny>) -> PyResult<ConnectOptions> {
            let limits = limits(values)?;
            Ok(ConnectOptions { limits, $($field: read(values, $key)?,)* ..ConnectOptions::default() })
        }
    };
}

limit_keys!(define_limits);
connect_keys!(define_options);

fn read<T: Value>(values: &Bound<'_, PyAny>, key: &str) -> PyResult<T> {
    T::read(key, &values.getattr(key)?)
}

/// The conversion of a key's value to the core's type.
trait Value: Sized {
    fn read(key: &str, value: &Bound<'_, PyAny>) -> PyResult<Self>;
}

macro_rules! as_python_has_it {
    ($($type:ty),*) => {
        $(impl Value for $type {
            fn read(_key: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
                value.extract()
            }
        })*
    };
}

as_python_has_it!(bool, u16, usize, String);

impl Value for Duration {
    fn read(key: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let seconds = value.extract()?;
        Self::try_from_secs_f64(seconds)
            .map_err(|error| PyValueError::new_err(format!("{key} {seconds}: {error}")))
    }
}

impl Value for Protocol {
    fn read(key: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(match value.extract()? {
            3 => Self::V31,
            4 => Self::V311,
            5 => Self::V5,
            number => {
                let wanted = "it must be 3 (MQTTv31), 4 (MQTTv311) or 5 (MQTTv5)";
                return Err(PyValueError::new_err(format!("{key} {number}: {wanted}")));
            }
        })
    }
}

impl Value for Overflow {
    fn read(key: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(match value.extract::<String>()?.as_str() {
            "block" => Self::Block,
            "drop-oldest" => Self::DropOldest,
            "drop-newest" => Self::DropNewest,
            other => {
                let wanted = "it must be 'block', 'drop-oldest' or 'drop-newest'";
                return Err(PyValueError::new_err(format!("{key} {other:?}: {wanted}")));
            }
        })
    }
}

impl Value for Properties {
    fn read(_key: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        properties::from_python(Some(value).filter(|value| !value.is_none()), Place::Connect)
    }
}

impl Value for Option<Proxy> {
    fn read(_key: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let url: Option<String> = value.extract()?;
        url.as_deref().map(parse_proxy).transpose().map_err(to_python)
    }
}

impl Value for Option<IpAddr> {
    fn read(key: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let text: Option<String> = value.extract()?;
        let address = text.as_deref().map(str::parse).transpose();
        address.map_err(|error| PyValueError::new_err(format!("{key} {text:?}: {error}")))
    }
}
