//! Files that this process is still closing, for clients that ended or were dropped. Opening such a
//! file again waits for that, instead of failing because it is in use.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::gate::SQLITE;
use super::super::wake::Waiter;

/// How long a connection and its file may take to end, together. Waiting longer is not worth it.
const LONGEST: Duration = Duration::from_secs(8);

/// Device and inode of a file.
pub type Identity = (u64, u64);

/// Each file with a wait that is over when it is closed. Threads take the lock inside the gate of
/// `SQLite`, so that no child finds it held; they hold it only to read or change the list.
static CLOSING: Mutex<Vec<Closing>> = Mutex::new(Vec::new());

struct Closing {
    /// A forked child ignores the files of its parent.
    process: u32,
    file: Identity,
    closed: Arc<Waiter>,
}

/// The identity of the file with this path.
pub fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Adds a file that is being closed.
pub fn note(file: Identity, closed: Arc<Waiter>) {
    // The caller may hold the GIL, which a fork needs.
    let _inside = SQLITE.pass();
    lock().push(Closing { process: std::process::id(), file, closed });
}

/// Waits, for a bounded time, until a file is closed, if it is being closed.
pub fn wait(path: &Path) {
    let Ok(file) = identity(path) else { return };
    let deadline = Instant::now() + LONGEST;
    let closing: Vec<_> = {
        let _inside = SQLITE.enter();
        lock().iter().filter(|other| other.file == file).map(|it| it.closed.clone()).collect()
    };
    for closed in closing {
        closed.wait(Some(deadline.saturating_duration_since(Instant::now())));
    }
}

/// The files that are not closed yet.
fn lock() -> MutexGuard<'static, Vec<Closing>> {
    let mut closing = CLOSING.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    closing.retain(|it| it.process == process && !it.closed.wait(Some(Duration::ZERO)));
    closing
}
