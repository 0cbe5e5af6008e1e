//! Python objects that are made on first use.

use std::sync::OnceLock;

/// A cell for such an object. Making it may run Python, and so let another thread fork. No lock is
/// held meanwhile, since a child would find it locked forever. If two threads make it at the same
/// time, one object is kept.
pub struct Once<T>(OnceLock<T>);

impl<T> Once<T> {
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(made) = self.0.get() {
            return Ok(made);
        }
        let new = make()?;
        Ok(self.0.get_or_init(|| new))
    }
}
