//! Detects that a file was removed, replaced or truncated while it is open. `SQLite` notices only
//! when it reads the missing data, and later writes would be lost when the process ends.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The state of a file, as `stat` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    device: u64,
    number: u64,
    size: u64,
}

impl Look {
    fn at(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self { device: found.dev(), number: found.ino(), size: found.len() })
    }

    /// Whether the file has lost nothing since this state.
    fn went_on(&self, now: &Self) -> bool {
        (self.device, self.number) == (now.device, now.number) && now.size >= self.size
    }
}

/// The files of a database, as they were after the last write.
#[derive(Debug)]
pub struct Watch {
    file: (PathBuf, Look),
    /// The write-ahead log.
    log: (PathBuf, Look),
}

/// The result of a check.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is lost.
    Sound,
    /// The log was removed, and only the connection still has it open.
    LogRemoved,
    /// Data is lost.
    Lost(&'static str),
}

impl Watch {
    /// Records the files of an open database after a write.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let log = PathBuf::from(log);
        let (there, log_there) = (Look::at(path)?, Look::at(&log)?);
        Ok(Self { file: (path.to_owned(), there), log: (log, log_there) })
    }

    /// Checks the files before a write.
    pub fn look(&self) -> State {
        let (path, before) = &self.file;
        match Look::at(path) {
            Ok(now) if before.went_on(&now) => {}
            Ok(now) if now.number == before.number && now.device == before.device => {
                return State::Lost("the file was truncated");
            }
            _ => return State::Lost("the file was removed or replaced"),
        }
        let (path, before) = &self.log;
        match Look::at(path) {
            Ok(now) if before.went_on(&now) => State::Sound,
            Ok(_) => State::Lost("the file's log (-wal) was truncated or replaced"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::LogRemoved,
            Err(_) => State::Lost("the file's log (-wal) cannot be looked at"),
        }
    }

    /// The size of the log at the last check.
    pub fn log_size(&self) -> u64 {
        self.log.1.size
    }

    /// Records the files after a write. For a file removed meanwhile, the earlier state stays, so
    /// that the next check notices it.
    pub fn wrote(&mut self) {
        for (path, before) in [&mut self.file, &mut self.log] {
            if let Ok(now) = Look::at(path)
                && (now.device, now.number) == (before.device, before.number)
            {
                *before = now;
            }
        }
    }
}
