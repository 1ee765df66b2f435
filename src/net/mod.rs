//! Connections: accepting them, and moving bytes over them.

pub mod drain;
pub mod file;
pub mod stream;
mod tcp_info;
pub mod timer;

pub use drain::Drain;
pub use stream::Stream;
pub use tcp_info::{TcpInfo, tcp_info};
pub use timer::Timer;
