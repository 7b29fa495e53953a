//! The way to a peer: a connection, or the socket that its datagrams leave by; and that there is none.
//!
//! Must not open anything: the stack does.

use rsipstack::transport::{SipAddr, SipConnection};

use super::peer::{Peer, Transport};

/// A peer that can be sent to.
#[derive(Debug, Clone)]
pub struct Path {
    pub(super) peer: Peer,
    pub(super) connection: SipConnection,
    pub(super) address: SipAddr,
}

impl Path {
    /// Whether its connection is still there; datagrams need none.
    pub fn is_open(&self) -> bool {
        self.peer.transport == Transport::Udp
            || self.connection.cancel_token().is_some_and(|token| !token.is_cancelled())
    }

    /// Waits until its connection is gone.
    pub async fn closed(&self) {
        if let Some(token) = self.connection.cancel_token() {
            token.cancelled().await;
        }
    }
}

/// A peer cannot be sent to: nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{peer} cannot be reached: {reason}")]
pub struct Unreachable {
    pub(super) peer: Peer,
    pub(super) reason: String,
}

impl Unreachable {
    pub(super) fn silent(peer: &Peer) -> Self {
        Self { peer: peer.clone(), reason: "no response".to_owned() }
    }

    pub(super) fn unconnected(peer: &Peer) -> Self {
        Self { peer: peer.clone(), reason: "no connection is open".to_owned() }
    }
}
