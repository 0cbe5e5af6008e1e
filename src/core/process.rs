//! The process that owns a value: a forked child has a copy of everything, and may use only its
//! own.
//!
//! Python's fork hooks miss programs that fork in C without calling them. The C library's hook
//! always runs, and counts forks, so the check reads a number; `getpid` would be a system call.

use forkguard::atfork::Guard;

/// Identifies a process.
#[derive(Debug, Clone)]
pub struct Process(Option<Guard>);

impl Process {
    /// The current process. The first call registers the hook, and a fork during that call would be
    /// missed: call it when the program starts.
    pub fn current() -> Self {
        // Registering the hook fails only without memory.
        Self(Guard::try_new().ok())
    }

    /// Whether this is the current process.
    pub fn is_current(&self) -> bool {
        !self.0.clone().is_some_and(|mut guard| guard.detected_fork())
    }
}

/// In a forked child, leaks a handle that belongs to the parent. Its threads may wait on memory
/// that could be reused in the child, so it is not even freed.
pub fn leave_foreign<T>(handle: &mut Option<T>, is_foreign: impl FnOnce(&T) -> bool) {
    if handle.as_ref().is_some_and(is_foreign) {
        std::mem::forget(handle.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        assert!(Process::current().is_current());
    }
}
