//! A client's file, if it has one: opened for a connection, closed after it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::error::Error;
use super::super::options::ConnectOptions;
use super::super::process::leave_foreign;
use super::super::shared::Shared;
use super::super::wake::Waiter;
use super::Store;

/// How long to wait for a file to close before it is opened again.
const CLOSING: Duration = Duration::from_secs(5);

/// The handle of a client's file.
pub struct Handle {
    shared: Arc<Shared>,
    /// Held only to read or change it, never while the file is opened or written.
    store: Mutex<Option<Store>>,
}

impl Handle {
    /// Creates a handle without a file.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, store: Mutex::new(None) }
    }

    /// Opens the file of persistent messages, if the options have one and it is not open. Returns
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

    /// Writes and closes the file. Returns a wait that is over then, or `None` without a file.
    pub fn close(&self) -> Option<Arc<Waiter>> {
        self.lock().as_mut().map(Store::close)
    }

    /// The same with exclusive access to the client: takes no lock.
    pub fn abandon(&mut self) -> Option<Arc<Waiter>> {
        let store = self.store.get_mut().unwrap_or_else(PoisonError::into_inner);
        leave_foreign(store, Store::is_foreign);
        store.take().map(|mut store| store.close())
    }

    /// Sets a file that was opened elsewhere.
    #[cfg(test)]
    pub fn put(&self, store: Store) {
        *self.lock() = Some(store);
    }

    /// Locks the file. A forked child has none: its parent's messages are not sent from there.
    fn lock(&self) -> MutexGuard<'_, Option<Store>> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        leave_foreign(&mut store, Store::is_foreign);
        store
    }
}
