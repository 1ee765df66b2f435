//! Connections: accepting them, moving bytes over them, and finding where they lead.

pub mod drain;
pub mod duplex;
pub mod file;
pub mod resolver;
pub mod stream;
mod tcp_info;
pub mod timer;

pub use drain::Drain;
pub use duplex::Duplex;
pub use resolver::Resolver;
pub use stream::Stream;
pub use tcp_info::{TcpInfo, tcp_info};
pub use timer::Timer;
