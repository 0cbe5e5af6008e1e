//! A client's file, if it has one: opened for a connection, closed after it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::error::Error;
use super::super::options::ConnectOptions;
use super::super::process::leave_foreign;
use super::super::shared::Shared;
use super::super::wake::Waiter;
use super::Store;

/// How long a file that is being closed is waited for where it is to be opened again.
const CLOSING: Duration = Duration::from_secs(5);

/// The handle of the file.
pub struct Handle {
    shared: Arc<Shared>,
    /// Held for a look, never while the file is opened or written.
    store: Mutex<Option<Store>>,
}

impl Handle {
    /// No file yet.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, store: Mutex::new(None) }
    }

    /// Opens the file that messages are kept in, where there is to be one and it is not open yet. Returns
    /// whether it did.
    ///
    /// # Errors
    /// [`Error::Persistence`] when it cannot be used, or another one is open.
    pub fn open(&self, options: &ConnectOptions) -> Result<bool, Error> {
        let mut handle = self.lock();
        let Some(wanted) = &options.persistence else { return Ok(false) };
        let key = options.key("PERSISTENCE");
        if let Some(open) = handle.as_ref().filter(|store| !store.is_over()) {
            return open.must_be(wanted, key).map(|()| false);
        }
        let closing = handle.take();
        drop(handle);
        let refused = |key, reason: &str| {
            let (path, reason) = (wanted.path.display().to_string(), reason.to_owned());
            Err(Error::Persistence { key, path, reason, errno: None })
        };
        if let Some(closing) = closing
            && !closing.wait(CLOSING)
        {
            *self.lock() = Some(closing);
            return refused(key, "the client is still writing pending messages: try again later");
        }
        if self.shared.lock().is_open() {
            return refused(key, "the connection was made without it: disconnect first");
        }
        let store = Store::open(&self.shared, wanted, &key)?;
        *self.lock() = Some(store);
        Ok(true)
    }

    /// Has the file written and closed. Returns a wait that is over then, or `None` where there is none.
    pub fn close(&self) -> Option<Arc<Waiter>> {
        self.lock().as_mut().map(Store::close)
    }

    /// Does the same for who has the client alone: no lock is taken.
    pub fn abandon(&mut self) -> Option<Arc<Waiter>> {
        let store = self.store.get_mut().unwrap_or_else(PoisonError::into_inner);
        leave_foreign(store, Store::is_foreign);
        store.take().map(|mut store| store.close())
    }

    /// Has a file that was opened elsewhere.
    #[cfg(test)]
    pub fn put(&self, store: Store) {
        *self.lock() = Some(store);
    }

    /// The file. It is never a forked child's: what its parent has in it is not sent from there.
    fn lock(&self) -> MutexGuard<'_, Option<Store>> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        leave_foreign(&mut store, Store::is_foreign);
        store
    }
}
