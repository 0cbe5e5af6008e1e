//! The connection to a broker, and the thread that opens, maintains and closes it. It never touches
//! Python.

mod attempts;
mod diagnosis;
mod failure;
mod link;
mod pause;
mod task;
mod thread;

pub use task::First;
pub use thread::{Attempt, Connection};
