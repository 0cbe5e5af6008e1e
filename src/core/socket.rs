//! The socket of the present connection, for an application that sets socket options.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A second descriptor of the socket, if the application wants one.
///
/// The lock guards the descriptor. It is held for a look or a system call that does not block.
#[derive(Debug, Default)]
pub struct Socket {
    wanted: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    descriptor: Option<OwnedFd>,
    /// The number of the present connection among those whose socket was kept; 0 when it has ended.
    number: u64,
    last: u64,
}

impl Socket {
    /// Sets whether to keep the sockets of later connections.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Release);
    }

    /// Whether sockets are kept.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Keeps the socket of an attempt to connect. If no descriptor is left, nothing is kept.
    pub fn keep(&self, socket: BorrowedFd<'_>) {
        if self.is_wanted() {
            let descriptor = socket.try_clone_to_owned().ok();
            let mut state = self.lock();
            state.last += u64::from(descriptor.is_some());
            state.number = if descriptor.is_some() { state.last } else { 0 };
            state.descriptor = descriptor;
        }
    }

    /// Duplicates the present socket for the application, and returns the descriptor and the
    /// socket's number.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn give(&self) -> io::Result<Option<(OwnedFd, u64)>> {
        let state = self.lock();
        let Some(descriptor) = state.descriptor.as_ref().filter(|_| state.number > 0) else {
            return Ok(None);
        };
        Ok(Some((descriptor.try_clone()?, state.number)))
    }

    /// The number of the present socket; 0 if there is none, or its connection has ended.
    pub fn number(&self) -> u64 {
        self.lock().number
    }

    /// Marks the connection as ended, before the application learns of it.
    pub fn retire(&self) {
        self.lock().number = 0;
    }

    /// Shuts the socket down, because the application's descriptor would keep the connection open.
    pub fn end(&self) {
        let mut state = self.lock();
        state.number = 0;
        if let Some(descriptor) = state.descriptor.take() {
            // The call works for every stream socket; an error means that it is already closed.
            let _ = TcpStream::from(descriptor).shutdown(Shutdown::Both);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails is to panic

    use super::*;

    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_is_kept_only_where_it_is_wanted() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let socket = Socket::default();
        socket.keep(ours.as_fd());
        assert!(socket.give().unwrap().is_none());
        socket.want(true);
        socket.keep(ours.as_fd());
        assert_eq!(socket.give().unwrap().unwrap().1, 1);
        assert_eq!(socket.number(), 1);
    }

    #[test]
    fn the_other_side_sees_the_end_though_the_application_has_a_descriptor() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let socket = Socket::default();
        socket.want(true);
        socket.keep(ours.as_fd());
        drop(ours);
        let _application = socket.give().unwrap();
        socket.retire();
        assert!(socket.give().unwrap().is_none());
        socket.end();
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    }
}
