//! Connections over TLS: each trunk may have authorities and a certificate of its own, which the library beneath knows only
//! one of for all. So they are opened here, and handed to it.
//!
//! A peer that is nobody's server, an agent's, is judged by the system's authorities.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use rsipstack::sip::Transport as Via;
use rsipstack::transport::tls::TlsConnection;
use rsipstack::transport::{SipAddr, SipConnection};
use tokio_util::sync::CancellationToken;

use super::handshake;
pub use super::handshake::Trust;
use super::peer::Peer;
use super::stack::Path;

/// The connections over TLS that are open, and the trust of each server.
#[derive(Debug, Default)]
pub(super) struct Secure {
    trust: Mutex<HashMap<Peer, Trust>>,
    open: Mutex<HashMap<Peer, Path>>,
}

impl Secure {
    /// Says how this server is to be judged.
    pub fn trust(&self, peer: Peer, trust: Trust) {
        self.trust.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, trust);
    }

    /// A connection that is open already.
    pub fn open_path(&self, peer: &Peer) -> Option<Path> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(peer).filter(|path| path.is_open()).cloned()
    }

    pub fn keep(&self, path: &Path) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(path.peer.clone(), path.clone());
    }

    /// Opens a connection to a server at this address, which must be who its name says.
    pub async fn connect(&self, peer: &Peer, address: SocketAddr, end: CancellationToken) -> Result<Path, String> {
        let trust = self.trust.lock().unwrap_or_else(PoisonError::into_inner).get(peer).cloned().unwrap_or_default();
        let stream = handshake::open(address, &peer.host, &trust).await.map_err(|error| error.to_string())?;
        let target = SipAddr { r#type: Some(Via::Tls), addr: address.into() };
        let connection = TlsConnection::from_client_stream(stream, target.clone(), Some(end)).await;
        let connection = SipConnection::Tls(connection.map_err(|error| error.to_string())?);
        Ok(Path { peer: peer.clone(), connection, address: target })
    }
}
