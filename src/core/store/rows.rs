//! Messages as rows of the file's tables.

use bytes::{Bytes, BytesMut};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

use super::super::packet::Publish;
use super::super::property::{Place, Properties};
use super::super::qos::Qos;
use super::super::session::{Kept, KeptIncoming, KeptOutgoing};

/// `SQLite`'s integers are signed. None of our numbers needs the sign bit.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or(0))
}

/// Statements for [`insert`]: of a published message, and of a received one.
pub const OUTGOING: &str = "INSERT INTO outgoing VALUES (?, 0, ?, ?, ?, ?, ?, ?)";
pub const INCOMING: &str = "INSERT INTO incoming VALUES (?, 0, ?, ?, ?, ?, ?, ?)";

/// Inserts a message with one of the two statements.
pub fn insert(
    connection: &Connection,
    statement: &str,
    order: u64,
    publish: &Publish,
) -> rusqlite::Result<()> {
    let Publish { topic, payload, qos, retain, mid, properties, .. } = publish;
    let properties = properties.as_ref().map(|properties| {
        let mut bytes = BytesMut::new();
        properties.write(&mut bytes);
        bytes
    });
    let mut statement = connection.prepare_cached(statement)?;
    let values =
        params![signed(order), mid, *qos as u8, retain, topic, &payload[..], properties.as_deref()];
    statement.execute(values).map(|_| ())
}

/// Reads the whole content of the file.
pub fn read(connection: &Connection) -> rusqlite::Result<Kept> {
    let mut kept =
        connection.query_row("SELECT file, opened, client_id FROM session", [], |row| {
            let (file, opened, client_id) = (unsigned(row, 0)?, unsigned(row, 1)?, row.get(2)?);
            Ok(Kept { file, opened, client_id, ..Kept::default() })
        })?;
    kept.outgoing = messages(connection, "SELECT * FROM outgoing ORDER BY number", |row| {
        Ok(KeptOutgoing { order: unsigned(row, 0)?, released: row.get(1)?, publish: publish(row)? })
    })?;
    kept.incoming = messages(connection, "SELECT * FROM incoming ORDER BY number", |row| {
        Ok(KeptIncoming {
            order: unsigned(row, 0)?,
            forgotten: row.get(1)?,
            publish: publish(row)?,
        })
    })?;
    Ok(kept)
}

fn messages<T>(
    connection: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare(sql)?.query_map([], read)?.collect()
}

fn publish(row: &Row<'_>) -> rusqlite::Result<Publish> {
    let bad = |column, error| rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, error);
    let payload: Vec<u8> = row.get(6)?;
    let properties = row.get::<_, Option<Vec<u8>>>(7)?.map(|bytes| {
        let read = Properties::read(&mut Bytes::from(bytes), Place::Publish);
        read.map_err(|error| bad(7, Box::new(error)))
    });
    Ok(Publish {
        mid: row.get(2)?,
        qos: Qos::try_from(row.get::<_, i64>(3)?).map_err(|error| bad(3, Box::new(error)))?,
        retain: row.get(4)?,
        dup: false,
        topic: row.get(5)?,
        payload: payload.into(),
        properties: properties.transpose()?,
    })
}
