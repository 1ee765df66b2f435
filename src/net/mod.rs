//! Connections: accepting them, and moving bytes over them.

pub mod file;
pub mod stream;
pub mod timer;

pub use stream::Stream;
pub use timer::Timer;
