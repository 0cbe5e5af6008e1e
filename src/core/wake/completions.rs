//! Collects the ends of many waits, so that one caller can watch them all.
//!
//! The caller reads from a socket, because an event loop can watch nothing else. One pair of
//! sockets serves any number of waits: a thousand of them need no thread and no further
//! descriptors.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::super::sync::{Mutex, MutexGuard, PoisonError, UnixStream};

/// The numbers of ended waits.
///
/// The lock guards the list; it is held only to push or to take it, never while anything waits.
#[derive(Debug)]
pub struct Completions {
    over: Mutex<Vec<u64>>,
    /// A byte is written when the list is no longer empty.
    wake: UnixStream,
    waiter: UnixStream,
}

impl Completions {
    /// Creates an empty list.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let (wake, waiter) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waiter.set_nonblocking(true)?;
        Ok(Self { over: Mutex::default(), wake, waiter })
    }

    /// A descriptor that is readable while the list is not empty.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.waiter.as_fd()
    }

    /// Adds an ended wait.
    pub fn push(&self, number: u64) {
        let mut over = self.lock();
        let was_empty = over.is_empty();
        over.push(number);
        drop(over);
        if was_empty {
            // A full socket buffer means that the reader has been woken often enough.
            let _ = (&self.wake).write(&[1]);
        }
    }

    /// Removes and returns the numbers of the ended waits.
    pub fn take(&self) -> Vec<u64> {
        // Read before the list: a byte that arrives in between costs at most one needless look.
        let _ = (&self.waiter).read(&mut [0; 64]);
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u64>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn is_readable(completions: &Completions) -> bool {
        let descriptor = completions.descriptor().try_clone_to_owned().unwrap();
        UnixStream::from(descriptor).read(&mut [0]).is_ok()
    }

    #[test]
    fn one_byte_wakes_the_reader_however_many_waits_are_over() {
        let completions = Completions::new().unwrap();
        assert!(!is_readable(&completions));
        completions.push(1);
        completions.push(2);
        assert!(is_readable(&completions));
        assert!(!is_readable(&completions));
        assert_eq!(completions.take(), [1, 2]);
    }

    #[test]
    fn what_is_taken_is_gone_and_the_next_wakes_again() {
        let completions = Completions::new().unwrap();
        completions.push(1);
        assert_eq!(completions.take(), [1]);
        assert!(!is_readable(&completions));
        assert!(completions.take().is_empty());
        completions.push(2);
        assert!(is_readable(&completions));
        assert_eq!(completions.take(), [2]);
    }
}
