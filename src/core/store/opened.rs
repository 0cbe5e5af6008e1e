//! Files that are open. A forked child knows those of its parent from it, and leaves them alone:
//! inside `SQLite` they still count as open there.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::gate::SQLITE;
use super::closing::{Identity, identity};
use super::database::{EBUSY, Refusal};

const INHERITED: &str = "this process was forked from one that had this file open, and cannot open it: \
                         give it another file, or connect only after the fork";

/// Each file with the process that opened it. Threads take the lock inside the gate of `SQLite`, so
/// that no child finds it held; they hold it only to read or change the list.
static OPEN: Mutex<Vec<(u32, Identity)>> = Mutex::new(Vec::new());

/// Counts a file as open until it is dropped.
pub struct Opened(u32, Identity);

impl Opened {
    /// Counts an existing file as open, if it is not a parent's. To be called inside the gate.
    pub fn begin(path: &Path) -> Result<Self, Refusal> {
        let (process, file) = (std::process::id(), identity(path)?);
        let mut open = lock();
        if open.iter().any(|(opener, other)| *opener != process && *other == file) {
            return Err(Refusal::new(INHERITED, Some(EBUSY)));
        }
        open.push((process, file));
        Ok(Self(process, file))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _inside = SQLITE.pass();
        let mut open = lock();
        if let Some(place) = open.iter().position(|entry| *entry == (self.0, self.1)) {
            open.swap_remove(place);
        }
    }
}

fn lock() -> MutexGuard<'static, Vec<(u32, Identity)>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a file as a parent's. As in a forked child, it stays open, so that no other file gets its
/// inode.
#[cfg(test)]
pub fn inherit(path: &Path) {
    std::mem::forget(std::fs::File::open(path));
    let entry = identity(path).map(|file| (std::process::id() + 1, file));
    lock().extend(entry);
}
