//! The file: `SQLite` with a write-ahead log, held by one connection alone.
//!
//! What is committed is with the operating system, so the end of the process, however sudden, costs
//! nothing. With `Fsync::Always` it is on the disk, too.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, params};

use super::super::error::said;
use super::super::options::Fsync;
use super::super::session::{Kept, Operation};
use super::rows;

/// How long another process may take to let go of the file.
const PATIENCE: Duration = Duration::from_secs(1);

/// `FMQS`, which `SQLite` keeps for the application in the file's header.
const APPLICATION: i32 = 0x464d_5153;

/// Of the tables.
const VERSION: i32 = 1;

const TABLES: &str = "
    CREATE TABLE session (file INTEGER NOT NULL, opened INTEGER NOT NULL, client_id TEXT NOT NULL);
    INSERT INTO session VALUES (abs(random()), 0, '');
    CREATE TABLE outgoing (
        number INTEGER PRIMARY KEY, released INTEGER NOT NULL, mid INTEGER NOT NULL,
        qos INTEGER NOT NULL, retain INTEGER NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
        properties BLOB
    );
    CREATE TABLE incoming (
        number INTEGER PRIMARY KEY, forgotten INTEGER NOT NULL, mid INTEGER NOT NULL,
        qos INTEGER NOT NULL, retain INTEGER NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
        properties BLOB
    );
";

/// The process that has files open, and how many. In a child that was forked from it, `SQLite`'s own
/// locks may be held by threads that do not exist there.
static PROCESS: AtomicU32 = AtomicU32::new(0);
static FILES: AtomicU32 = AtomicU32::new(0);

/// That `SQLite` is in use.
struct Usage;

impl Usage {
    fn begin() -> Result<Self, Refusal> {
        let process = std::process::id();
        if FILES.load(Ordering::Acquire) > 0 && PROCESS.load(Ordering::Acquire) != process {
            let reason = "this process was forked from one that had a file open, and can open none: \
                          connect after the fork only";
            return Err(Refusal::new(reason, Some(EBUSY)));
        }
        PROCESS.store(process, Ordering::Release);
        FILES.fetch_add(1, Ordering::AcqRel);
        Ok(Self)
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        FILES.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why a file cannot be opened: the text says what to do; no number where no other try can help.
#[derive(Debug)]
pub struct Refusal {
    pub reason: String,
    pub errno: Option<i32>,
}

impl Refusal {
    fn new(reason: &str, errno: Option<i32>) -> Self {
        Self { reason: reason.to_owned(), errno }
    }
}

/// The system's numbers for what `SQLite` says in its own words.
const EIO: i32 = 5;
const EBUSY: i32 = 16;
const EISDIR: i32 = 21;
const ENOSPC: i32 = 28;

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self { reason: said(&error), errno: error.raw_os_error() }
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                let reason = "another process has this file open, or another client of this one: \
                              give each a file of its own";
                Self::new(reason, Some(EBUSY))
            }
            Some(ErrorCode::NotADatabase) => Self::new(NO_STORE, None),
            Some(ErrorCode::DatabaseCorrupt) => {
                // It takes a read that fails (EIO) for that, too.
                let reason = format!(
                    "it is damaged, or cannot be read ({error}): if it is so again, move it away"
                );
                Self { reason, errno: None }
            }
            Some(ErrorCode::DiskFull) => Self::new(&error.to_string(), Some(ENOSPC)),
            _ => Self { reason: error.to_string(), errno: Some(EIO) },
        }
    }
}

const NO_STORE: &str = "this file has something else in it: name one that does not exist yet";

/// An open file.
pub struct Database {
    connection: Connection,
    path: PathBuf,
    /// Device and number of the file, which somebody may remove or replace.
    identity: (u64, u64),
    /// Given up when the connection is closed.
    _usage: Usage,
}

impl Database {
    /// Opens a file, or makes it, and reads what is in it.
    pub fn open(path: &Path, fsync: Fsync) -> Result<(Self, Kept), Refusal> {
        let usage = Usage::begin()?;
        // Whole, it is never taken for a URI or for SQLite's ":memory:".
        let path = std::path::absolute(path)?;
        create(&path)?;
        // Only what is created is opened other than by SQLite: to close a file ends the locks on it.
        let mut connection = Connection::open_with_flags(
            &path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(|error| unopened(&path, error))?;
        connection.busy_timeout(PATIENCE)?;
        check(&connection)?;
        connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;",
        )?;
        connection.pragma_update(
            None,
            "synchronous",
            match fsync {
                Fsync::Normal => "NORMAL",
                Fsync::Always => "FULL",
            },
        )?;
        let kept = take_over(&mut connection)?;
        let identity = identity(&path)?;
        Ok((Self { connection, path, identity, _usage: usage }, kept))
    }

    /// Makes changes, all of them or none.
    pub fn apply(&mut self, operations: &[Operation]) -> Result<(), String> {
        if identity(&self.path).ok() != Some(self.identity) {
            return Err("the file was removed or replaced".to_owned());
        }
        let change = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            operations.iter().try_for_each(|operation| apply(&transaction, operation))?;
            transaction.commit()
        };
        change(&mut self.connection).map_err(|error| error.to_string())
    }

    /// Gives back what is not used, and lets go of the file.
    pub fn close(self) {
        // What is left undone is done when the file is opened again.
        let _ = self.connection.execute_batch("PRAGMA incremental_vacuum;");
        drop(self.connection);
    }
}

/// Makes a file that only its owner can read, where there is none.
fn create(path: &Path) -> Result<(), Refusal> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
        _ if path.is_dir() => Err(io::Error::from_raw_os_error(EISDIR).into()),
        _ => Ok(()),
    }
}

/// What the system has against opening the file: `SQLite` does not say.
fn unopened(path: &Path, error: rusqlite::Error) -> Refusal {
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(system) => system.into(),
        Ok(_) => error.into(),
    }
}

/// Looks whether it is a new file or one of ours.
fn check(connection: &Connection) -> Result<(), Refusal> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version, changes) =
        (number("application_id")?, number("user_version")?, number("schema_version")?);
    if changes == 0 || (application == APPLICATION && version == VERSION) {
        return Ok(());
    }
    if application == APPLICATION {
        let reason = format!("a later version of this package made it (format {version})");
        return Err(Refusal { reason, errno: None });
    }
    Err(Refusal::new(NO_STORE, None))
}

/// Takes the file for this connection, makes its tables where it is new, and reads it.
fn take_over(connection: &mut Connection) -> Result<Kept, Refusal> {
    let transaction = connection.transaction()?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.execute("UPDATE session SET opened = opened + 1", [])?;
    let kept = rows::read(&transaction)?;
    transaction.commit()?;
    Ok(kept)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

fn apply(transaction: &Transaction<'_>, operation: &Operation) -> rusqlite::Result<()> {
    let run = |sql, values: &[&dyn rusqlite::ToSql]| {
        transaction.prepare_cached(sql)?.execute(values).map(|_| ())
    };
    match operation {
        Operation::Put { order, publish } => {
            rows::insert(transaction, rows::OUTGOING, *order, publish)
        }
        Operation::Received { order, publish } => {
            rows::insert(transaction, rows::INCOMING, *order, publish)
        }
        Operation::Released { order, released } => run(
            "UPDATE outgoing SET released = ? WHERE number = ?",
            params![released, rows::signed(*order)],
        ),
        Operation::Removed { order } => {
            run("DELETE FROM outgoing WHERE number = ?", params![rows::signed(*order)])
        }
        Operation::Handled { order } => {
            run("DELETE FROM incoming WHERE number = ?", params![rows::signed(*order)])
        }
        Operation::Forgotten => run("UPDATE incoming SET forgotten = 1", &[]),
        Operation::Session { client_id } => {
            run("UPDATE session SET client_id = ?", params![client_id])
        }
    }
}
