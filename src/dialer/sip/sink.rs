//! Where the callee's phone may send its audio before there is an agent: a socket of ours that throws everything away.
//!
//! It makes the placeholder offer an honest one. With an address that nobody has, some phones answer with none of their
//! own, and then there is audio in one direction only.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

/// Opens the sink on a port that the system chooses; it is closed when `end` is cancelled.
pub(super) fn open(address: IpAddr, end: CancellationToken) -> io::Result<SocketAddr> {
    let socket = std::net::UdpSocket::bind((address, 0))?;
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket)?;
    let local = socket.local_addr()?;
    tokio::spawn(async move {
        let mut packet = [0; 2_048];
        tokio::select! {
            () = end.cancelled() => {}
            () = async { loop {
                // An error is one of a single packet: nobody needs it.
                drop(socket.recv_from(&mut packet).await);
            } } => {}
        }
    });
    Ok(local)
}
