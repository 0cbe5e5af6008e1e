//! Waiting and waking: for callers of the application, and for our own threads.

mod completions;
mod notifier;
mod signal;
mod waiter;
mod wakeup;

pub use completions::Completions;
pub use notifier::Notifier;
pub use signal::Signal;
pub use waiter::Waiter;
pub use wakeup::Wakeup;
