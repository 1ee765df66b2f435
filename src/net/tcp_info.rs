//! What the kernel knows of a TCP connection.
#![expect(unsafe_code, reason = "getsockopt(TCP_INFO) has no safe wrapper in the crates at hand")]

use std::{mem, os::fd::AsFd, os::fd::AsRawFd};

use super::{Socket, Stream};

/// What variables tell of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    /// Round trip time, in microseconds.
    pub rtt_us: u64,
    /// Its variation, in microseconds.
    pub rtt_variation_us: u64,
    /// Congestion window, in packets.
    pub send_window: u64,
    /// Receive window, in bytes.
    pub receive_space: u64,
}

/// Asks the kernel about a connection; nothing for what is not TCP.
pub fn tcp_info(stream: &Stream) -> Option<TcpInfo> {
    let Socket::Tcp(_) = stream.socket() else { return None };
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).expect("a few hundred bytes");
    // SAFETY: all fields of the struct are integers, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes into `info`, which outlives the call.
    let failed = unsafe {
        libc::getsockopt(
            stream.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    (failed == 0).then(|| TcpInfo {
        rtt_us: info.tcpi_rtt.into(),
        rtt_variation_us: info.tcpi_rttvar.into(),
        send_window: info.tcpi_snd_cwnd.into(),
        receive_space: info.tcpi_rcv_space.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_a_window() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let info = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            tcp_info(&stream.into())
        });
        assert!(info.unwrap().send_window > 0);
    }
}
