//! The file: `SQLite` with a write-ahead log, held by one connection alone.
//!
//! A committed transaction is with the operating system, so it survives a crash of the process.
//! With `Fsync::Always` it is also on the disk.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, params};

use super::super::error::said;
use super::super::gate::SQLITE;
use super::super::options::Fsync;
use super::super::session::{Kept, Operation};
use super::closing;
use super::opened::Opened;
use super::rows;
use super::watch::{State, Watch};

/// How long to wait for another process that has the file open.
const PATIENCE: Duration = Duration::from_secs(1);

/// `FMQS`: the application's identifier, which `SQLite` stores in the file's header.
const APPLICATION: i32 = 0x464d_5153;

/// How many bytes of the log are kept after a larger batch.
const LOG: i64 = 4 << 20;

/// How many pages of 4 KiB may stay unused while messages pass through.
const UNUSED: i64 = 1024;

/// How many pages are freed at once: about as much work as writing a large message.
const AT_ONCE: i64 = 256;

/// The unused pages are checked after this many changes.
const CHANGES: u32 = 16;

/// The version of the tables.
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

/// Why a file cannot be opened. The text says what to do; without an errno, a retry cannot help.
#[derive(Debug)]
pub struct Refusal {
    pub reason: String,
    pub errno: Option<i32>,
}

impl Refusal {
    pub fn new(reason: &str, errno: Option<i32>) -> Self {
        Self { reason: reason.to_owned(), errno }
    }
}

/// Errno values for errors that `SQLite` reports with its own codes.
const EIO: i32 = 5;
pub const EBUSY: i32 = 16;
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
                // `SQLite` reports this for a failed read (EIO), too.
                let reason = format!(
                    "it is damaged or unreadable ({error}): if this happens again, move it away"
                );
                Self { reason, errno: None }
            }
            Some(ErrorCode::DiskFull) => Self::new(&error.to_string(), Some(ENOSPC)),
            _ => Self { reason: error.to_string(), errno: Some(EIO) },
        }
    }
}

const BROKEN: &str = "a thread of the parent process was busy with a file during the fork, so this process \
                      cannot open any: connect only after the fork";

const NO_STORE: &str = "this file is not one of this package's: name one that does not exist yet";

/// An open file.
pub struct Database {
    connection: Connection,
    path: PathBuf,
    fsync: Fsync,
    watch: Watch,
    /// The reason why nothing can be written any more.
    lost: Option<String>,
    /// Changes since the last check of unused pages.
    changes: u32,
    /// Dropped after the connection is closed.
    _opened: Opened,
}

impl Database {
    /// Opens or creates a file, and reads its content.
    pub fn open(path: &Path, fsync: Fsync) -> Result<(Self, Kept), Refusal> {
        drop(SQLITE.begin().map_err(|_| Refusal::new(BROKEN, Some(EBUSY)))?);
        // An absolute path is never taken for a URI or for SQLite's ":memory:".
        let path = std::path::absolute(path)?;
        create(&path)?;
        closing::wait(&path);
        let _inside = SQLITE.enter();
        let opened = Opened::begin(&path)?;
        let mut connection = connect(&path, fsync)?;
        let kept = take_over(&mut connection)?;
        let watch = Watch::begin(&path)?;
        let (lost, changes) = (None, 0);
        Ok((Self { connection, path, fsync, watch, lost, changes, _opened: opened }, kept))
    }

    /// Applies all operations in one transaction.
    pub fn apply(&mut self, operations: &[Operation]) -> Result<(), String> {
        let _inside = SQLITE.enter();
        self.inspect()?;
        let change = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            operations.iter().try_for_each(|operation| apply(&transaction, operation))?;
            transaction.commit()
        };
        let changed = change(&mut self.connection).map_err(|error| error.to_string());
        self.changes += 1;
        if changed.is_ok() && self.changes >= CHANGES {
            self.changes = 0;
            self.give_back(UNUSED);
        }
        self.watch.wrote();
        changed
    }

    /// Checks that the file still has what was written, and repairs what it can.
    pub fn look(&mut self) -> Result<(), String> {
        let _inside = SQLITE.enter();
        self.inspect()
    }

    fn inspect(&mut self) -> Result<(), String> {
        if let Some(reason) = &self.lost {
            return Err(reason.clone());
        }
        match self.watch.look() {
            State::Sound => return Ok(()),
            State::LogRemoved => match self.reopen() {
                Ok(()) => return Ok(()),
                Err(refusal) => {
                    let reason = refusal.reason;
                    self.lost = Some(format!("the file's log (-wal) was removed: {reason}"));
                }
            },
            State::Lost(reason) => self.lost = Some(reason.to_owned()),
        }
        // Closing must not write the log into the file: the two no longer belong together, and the
        // name may be another file's now.
        let config = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        let _ = self.connection.set_db_config(config, true);
        Err(self.lost.clone().unwrap_or_default())
    }

    /// Moves the content of a deleted log into the file, by closing it, and starts a new log.
    fn reopen(&mut self) -> Result<(), Refusal> {
        // A file can be open only once.
        let old = std::mem::replace(&mut self.connection, Connection::open_in_memory()?);
        old.close().map_err(|(_, error)| error)?;
        let again = || {
            let connection = connect(&self.path, self.fsync)?;
            connection.execute("UPDATE session SET opened = opened", [])?;
            Ok((Watch::begin(&self.path)?, connection))
        };
        // The new log may be deleted again at once.
        (self.watch, self.connection) = again().or_else(|_: Refusal| again())?;
        Ok(())
    }

    /// Frees some unused pages, but keeps `but` of them. Returns whether there are more, or `None`
    /// if there were none to free.
    fn give_back(&mut self, but: i64) -> Option<bool> {
        // A failure is harmless: the next call tries again.
        self.try_giving_back(but).ok().flatten()
    }

    fn try_giving_back(&mut self, but: i64) -> rusqlite::Result<Option<bool>> {
        let unused =
            self.connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        let over: i64 = i64::max(unused, 0) - but;
        if over <= 0 {
            return Ok(None);
        }
        // Each row of the result is one freed page.
        let sql = format!("PRAGMA incremental_vacuum({})", over.min(AT_ONCE));
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        drop(rows);
        drop(statement);
        self.watch.wrote();
        Ok(Some(over > AT_ONCE))
    }

    /// Does some maintenance while there is nothing to write. Returns whether there is more to do.
    pub fn tidy(&mut self) -> bool {
        if self.lost.is_some() {
            return false;
        }
        let _inside = SQLITE.enter();
        let gave_back = self.give_back(0);
        if gave_back == Some(true) {
            return true;
        }
        // The file itself shrinks only when the log is moved into it.
        if gave_back.is_some() || self.watch.log_size() > LOG.unsigned_abs() {
            let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            self.watch.wrote();
        }
        false
    }

    /// Frees unused pages, and closes the file.
    pub fn close(mut self) {
        // Anything left is done when the file is opened again.
        let mut gives_back = || {
            let _inside = SQLITE.enter();
            self.inspect().is_ok() && self.give_back(0) == Some(true)
        };
        while gives_back() {}
        let _inside = SQLITE.enter();
        drop(self.connection);
    }
}

/// Connects to an existing file of ours, or a new one, as its only user.
fn connect(path: &Path, fsync: Fsync) -> Result<Connection, Refusal> {
    // Only creating a file bypasses SQLite: closing any descriptor of a file releases all locks of
    // the process on it.
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|error| unopened(path, error))?;
    connection.busy_timeout(PATIENCE)?;
    // This has to come before the first read of the file, and before the log of a killed process
    // gets an index in a mapped file (-shm): truncating that file would kill the process by SIGBUS,
    // and on a full disk it cannot be created.
    connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
    check(&connection)?;
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;")?;
    connection.pragma_update(None, "journal_size_limit", LOG)?;
    let synchronous = match fsync {
        Fsync::Normal => "NORMAL",
        Fsync::Always => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    Ok(connection)
}

/// Creates the file, if it does not exist, readable by its owner only.
fn create(path: &Path) -> Result<(), Refusal> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
        _ if path.is_dir() => Err(io::Error::from_raw_os_error(EISDIR).into()),
        _ => Ok(()),
    }
}

/// The operating system's reason for not opening the file, which `SQLite` does not report.
fn unopened(path: &Path, error: rusqlite::Error) -> Refusal {
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(system) => system.into(),
        Ok(_) => error.into(),
    }
}

/// Checks that the file is new or one of ours.
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

/// Locks the file for this connection, creates its tables if it is new, and reads it.
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
