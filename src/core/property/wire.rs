//! The wire format of values: the data types of MQTT 5 (MQTT 5.0, section 1.5).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::super::error::Error;
use super::{Kind, Value, malformed};

/// Size of a value on the wire.
pub(super) fn value_len(kind: Kind, value: &Value) -> usize {
    match (kind, value) {
        (Kind::Byte, _) => 1,
        (Kind::TwoByte, _) => 2,
        (Kind::FourByte, _) => 4,
        (_, Value::Number(number)) => variable_len(*number as usize),
        (_, Value::Text(text)) => 2 + text.len(),
        (_, Value::Binary(bytes)) => 2 + bytes.len(),
        (_, Value::Pair(name, value)) => 4 + name.len() + value.len(),
    }
}

/// Writes a value.
pub(super) fn put_value(out: &mut BytesMut, kind: Kind, value: &Value) {
    match (kind, value) {
        // Numbers were checked when they were set.
        (Kind::Byte, Value::Number(number)) => out.put_uint(u64::from(*number), 1),
        (Kind::TwoByte, Value::Number(number)) => out.put_uint(u64::from(*number), 2),
        (Kind::FourByte, Value::Number(number)) => out.put_u32(*number),
        (_, Value::Number(number)) => put_variable(out, *number as usize),
        (_, Value::Text(text)) => put_binary(out, text.as_bytes()),
        (_, Value::Binary(bytes)) => put_binary(out, bytes),
        (_, Value::Pair(name, value)) => {
            put_binary(out, name.as_bytes());
            put_binary(out, value.as_bytes());
        }
    }
}

/// Reads a value.
pub(super) fn take_value(list: &mut Bytes, kind: Kind) -> Result<Value, Error> {
    Ok(match kind {
        Kind::Byte => Value::Number(u32::from(enough(list, 1)?.get_u8())),
        Kind::TwoByte => Value::Number(u32::from(enough(list, 2)?.get_u16())),
        Kind::FourByte => Value::Number(enough(list, 4)?.get_u32()),
        Kind::Variable => Value::Number(take_variable(list)?),
        Kind::Text => Value::Text(take_text(list)?),
        // A copy, because the value may outlive the read buffer.
        Kind::Binary => Value::Binary(Bytes::copy_from_slice(&take_binary(list)?)),
        Kind::Pair => Value::Pair(take_text(list)?, take_text(list)?),
    })
}

fn enough(bytes: &mut Bytes, count: usize) -> Result<&mut Bytes, Error> {
    if bytes.len() < count {
        return Err(malformed("it ends too early"));
    }
    Ok(bytes)
}

/// Reads a length of two bytes, and that many bytes.
pub fn take_binary(bytes: &mut Bytes) -> Result<Bytes, Error> {
    let length = usize::from(enough(bytes, 2)?.get_u16());
    Ok(enough(bytes, length)?.split_to(length))
}

/// Reads an MQTT string (section 1.5.4): UTF-8 without a null character.
pub fn take_text(bytes: &mut Bytes) -> Result<String, Error> {
    let text = take_binary(bytes)?;
    match std::str::from_utf8(&text) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        Ok(_) => Err(malformed("a null character in a text")),
        Err(_) => Err(malformed("a text that is not UTF-8")),
    }
}

/// Reads a variable byte integer (section 1.5.5).
pub fn take_variable(bytes: &mut Bytes) -> Result<u32, Error> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let byte = enough(bytes, 1)?.get_u8();
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(malformed("a variable byte integer of more than four bytes"))
}

/// Writes two bytes of length and the bytes. The length must have been checked.
pub fn put_binary(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    out.put_slice(bytes);
}

/// Writes a variable byte integer.
pub fn put_variable(out: &mut BytesMut, mut value: usize) {
    loop {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
        let low = (value & 0x7f) as u8;
        value >>= 7;
        out.put_u8(low | (u8::from(value > 0) << 7));
        if value == 0 {
            break;
        }
    }
}

/// Size of a variable byte integer.
pub fn variable_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}
