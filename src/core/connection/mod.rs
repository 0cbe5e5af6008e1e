//! The connection to a broker, and the thread that makes it, keeps it and ends it. It never touches Python.

mod attempts;
mod diagnosis;
mod failure;
mod link;
mod pause;
mod task;

pub use attempts::run;
pub use diagnosis::advise;
pub use task::{First, Stop, Task};
