//! Connections: accepting them, moving bytes over them, and finding where they lead.

pub mod drain;
pub mod duplex;
pub mod file;
mod gathering;
pub mod resolver;
mod socket;
mod stream;
mod tcp_info;
pub mod timer;
pub mod tls;

pub use drain::Drain;
pub use duplex::Duplex;
pub use gathering::{Gathering, Outlet};
pub use resolver::Resolver;
pub use socket::Socket;
pub use stream::{PeerSide, Stream};
pub use tcp_info::{TcpInfo, tcp_info};
pub use timer::Timer;
pub use tls::TlsStream;
