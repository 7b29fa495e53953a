//! How the stack reaches a peer: by an open connection, by a new one, or by datagrams.
//!
//! Must not send anything: whoever asked does.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rsipstack::transport::SipAddr;

use super::dialog::Dialog;
use super::path::{Path, Unreachable};
use super::peer::{Peer, Transport};
use super::stack::Stack;

/// A peer that takes longer to accept a connection is not there.
const CONNECTING: Duration = Duration::from_secs(2);

/// What is longer goes over a connection, if it can (RFC 3261, section 18.1.1).
const LONGEST_DATAGRAM: usize = 1_300;
/// A callee hears nothing while a connection is tried.
const WIDENING: Duration = Duration::from_millis(500);

impl Stack {
    /// The way to a peer: at once for datagrams and for a connection that is open.
    pub async fn path(&self, peer: &Peer) -> Result<Path, Unreachable> {
        let fail = |reason: String| Unreachable { peer: peer.clone(), reason };
        match tokio::time::timeout(CONNECTING, self.reach(peer)).await {
            Ok(reached) => reached.map_err(fail),
            Err(_) => Err(fail("no connection in time".to_owned())),
        }
    }

    /// The way of a message of this length: TCP instead of a datagram that the network would cut up (RFC 3261, section 18.1.1),
    /// where the other side takes a connection and could open one to us.
    pub async fn wide_enough(&self, path: Path, length: usize) -> Path {
        if path.peer.transport != Transport::Udp || length <= LONGEST_DATAGRAM {
            return path;
        }
        let peer = Peer { transport: Transport::Tcp, ..path.peer.clone() };
        let listens = self.binds.iter().any(|bind| Transport::from(bind.transport) == Transport::Tcp);
        let wide =
            async { if listens { self.reach(&peer).await } else { Err("sip.bind has no tcp address".to_owned()) } };
        let reason = match tokio::time::timeout(WIDENING, wide).await {
            Ok(Ok(wide)) => return wide,
            Ok(Err(reason)) => reason,
            Err(_) => "no connection in time".to_owned(),
        };
        tracing::warn!(peer = %path.peer, length, reason, "a long message is sent as a datagram, which may get lost");
        path
    }

    async fn reach(&self, peer: &Peer) -> Result<Path, String> {
        if let Some(path) = self.secure.open_path(peer) {
            return Ok(path);
        }
        let address = self.address_of(peer).await?;
        if peer.transport == Transport::Tls {
            let path = self.secure.connect(peer, address, self.end.child_token()).await?;
            self.endpoint.transport_layer.add_connection(path.connection.clone());
            self.secure.keep(&path);
            return Ok(path);
        }
        let target = SipAddr { r#type: Some(peer.transport.into()), addr: address.into() };
        if peer.transport == Transport::Udp {
            let connection = self.datagrams.to(address).ok_or("no address of its family is bound for datagrams")?;
            return Ok(Path { peer: peer.clone(), connection, address: target });
        }
        let (connection, address) =
            self.endpoint.transport_layer.lookup(&target, None).await.map_err(|error| error.to_string())?;
        Ok(Path { peer: peer.clone(), connection, address })
    }

    async fn address_of(&self, peer: &Peer) -> Result<SocketAddr, String> {
        if let Ok(ip) = peer.host.parse::<IpAddr>() {
            return Ok((ip, peer.port).into());
        }
        let found = tokio::net::lookup_host((peer.host.as_str(), peer.port)).await;
        let mut found = found.map_err(|error| error.to_string())?;
        let usable = |address: &SocketAddr| self.can_use(address.ip());
        found.find(usable).ok_or_else(|| "its name has no address that we can use".to_owned())
    }

    /// Whether we have an address of its family.
    pub fn can_use(&self, ip: IpAddr) -> bool {
        self.binds.iter().any(|bind| bind.address.is_ipv4() == ip.is_ipv4())
    }

    /// The way of requests within a dialog: to its first proxy, or to the other side itself.
    pub async fn path_within(&self, dialog: &Dialog) -> Result<Path, Unreachable> {
        // A connection over TLS that is open is to whom it should be: what the other side calls itself need not be in its
        // certificate.
        if let Some(path) = self.secure.open_path(&dialog.peer) {
            return Ok(path);
        }
        let next = Peer::of_uri(dialog.next_hop(), dialog.peer.transport);
        let peer = next.filter(|next| !next.is_where(&dialog.peer)).unwrap_or_else(|| dialog.peer.clone());
        match self.path(&peer).await {
            Ok(path) => Ok(path),
            // Whoever carried the INVITE knows the way.
            Err(error) => self.path(&dialog.peer).await.map_err(|_| error),
        }
    }
}
