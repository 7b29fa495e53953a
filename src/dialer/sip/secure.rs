//! Connections over TLS: each trunk may have authorities and a certificate of its own, which the library beneath knows only
//! one of for all. So they are opened here, and handed to it.
//!
//! A peer that is nobody's server, an agent's, is judged by the system's authorities.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rsipstack::sip::Transport as Via;
use rsipstack::transport::tls::{TlsConfig, TlsConnection};
use rsipstack::transport::{SipAddr, SipConnection};
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::default_provider;
use rustls_platform_verifier::Verifier;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::peer::Peer;
use super::stack::Path;
use crate::settings::Certificate;

/// Whom a trunk trusts, and what we show of ourselves to it.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    pub authorities: Option<String>,
    pub certificate: Option<Certificate>,
    /// Whom its server has to be; what its peer is called, when it is not said.
    pub name: Option<String>,
}

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
        let verifier = match trust.authorities {
            Some(_) => None,
            None => Some(system_verifier()?),
        };
        let certificate = trust.certificate.as_ref();
        let config = TlsConfig {
            ca_certs: trust.authorities.clone().map(String::into_bytes),
            client_cert: certificate.map(|own| own.chain.clone().into_bytes()),
            client_key: certificate.map(|own| own.key.expose_secret().as_bytes().to_vec()),
            sni_hostname: Some(trust.name.unwrap_or_else(|| peer.host.clone())),
            ..TlsConfig::default()
        };
        let target = SipAddr { r#type: Some(Via::Tls), addr: address.into() };
        let connection = TlsConnection::connect(&target, Some(&config), verifier, Some(end)).await;
        let connection = SipConnection::Tls(connection.map_err(|error| error.to_string())?);
        Ok(Path { peer: peer.clone(), connection, address: target })
    }
}

fn system_verifier() -> Result<Arc<dyn ServerCertVerifier>, String> {
    let verifier = Verifier::new(Arc::new(default_provider())).map_err(|error| error.to_string())?;
    Ok(Arc::new(verifier))
}
