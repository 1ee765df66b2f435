//! Connections: accepting them, and moving bytes over them.

pub mod file;
pub mod drain;
pub mod stream;
pub mod timer;

pub use drain::Drain;
pub use stream::Stream;
pub use timer::Timer;
