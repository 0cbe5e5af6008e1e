//! Locks that can switch threads at any time, and the same for sockets and tokio's wake-ups.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as Socket;

pub use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, Weak, atomic};
use tokio::sync::futures::Notified;

/// Lets another thread run, as every access to an atomic of shuttle does.
fn switch() {
    atomic::AtomicBool::new(false).load(atomic::Ordering::SeqCst);
}

#[derive(Debug)]
pub struct UnixStream(Socket);

impl UnixStream {
    pub fn pair() -> io::Result<(Self, Self)> {
        Socket::pair().map(|(one, other)| (Self(one), Self(other)))
    }

    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }
}

impl Read for &UnixStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        switch();
        (&self.0).read(bytes)
    }
}

impl Read for UnixStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&*self).read(bytes)
    }
}

impl Write for &UnixStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        switch();
        (&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for UnixStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for UnixStream {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor.into())
    }
}

impl From<UnixStream> for OwnedFd {
    fn from(socket: UnixStream) -> Self {
        socket.0.into()
    }
}

#[derive(Debug, Default)]
pub struct Notify(tokio::sync::Notify);

impl Notify {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn notify_one(&self) {
        switch();
        self.0.notify_one();
    }

    pub fn notify_waiters(&self) {
        switch();
        self.0.notify_waiters();
    }

    pub fn notified(&self) -> Notified<'_> {
        switch();
        self.0.notified()
    }
}
