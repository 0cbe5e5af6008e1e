//! Ways to wait, and to wake those who do: callers of the application, and threads of ours.

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
