//! A network that loses each message once: a relay of datagrams between the daemon and one peer, whose contact it is.

use std::collections::HashSet;
use std::net::SocketAddr;

use tokio::net::UdpSocket;

use crate::ports;

/// A relay that serves nobody yet.
pub struct Relay {
    to_daemon: UdpSocket,
    to_peer: UdpSocket,
}

impl Relay {
    pub async fn open() -> Self {
        let bind = |port| UdpSocket::bind(("127.0.0.1", port));
        Self { to_daemon: bind(ports::free()).await.unwrap(), to_peer: bind(0).await.unwrap() }
    }

    /// Where the daemon finds the peer.
    pub fn port(&self) -> u16 {
        self.to_daemon.local_addr().unwrap().port()
    }

    /// Relays as long as the test lives.
    pub fn serve(self, peer: u16) {
        tokio::spawn(async move {
            let (mut one, mut other) = ([0; 8_192], [0; 8_192]);
            let (mut seen, mut daemon) = (HashSet::new(), None::<SocketAddr>);
            loop {
                tokio::select! {
                    Ok((length, from)) = self.to_daemon.recv_from(&mut one) => {
                        daemon = Some(from);
                        if !seen.insert(kind(&one[..length])) {
                            self.to_peer.send_to(&one[..length], ("127.0.0.1", peer)).await.unwrap();
                        }
                    }
                    Ok((length, _)) = self.to_peer.recv_from(&mut other) => {
                        if let Some(daemon) = daemon.filter(|_| !seen.insert(kind(&other[..length]))) {
                            self.to_daemon.send_to(&other[..length], daemon).await.unwrap();
                        }
                    }
                }
            }
        });
    }
}

/// What makes two messages the same one: the first line and the number in the dialog.
fn kind(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let number = text.lines().find(|line| line.starts_with("CSeq:")).unwrap_or_default();
    format!("{} {number}", text.lines().next().unwrap_or_default())
}
