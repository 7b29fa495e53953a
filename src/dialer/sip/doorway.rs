//! Connections that others open to us, over TCP and TLS. Anybody may: a carrier that sends a BYE, and a stranger.
//!
//! The library would take them as well. But it waits for a peer that does not read, and hears nobody else meanwhile; it
//! adds up lengths that a stranger wrote; it keeps 128 KiB for each connection, and a silent one for as long as it likes.
//! So messages are framed here, and go to and from the library by a channel that never makes it wait. Whoever is slow, silent
//! or unreadable loses its connection, and nobody else notices.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rsipstack::sip::Transport as Via;
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::peer::Transport;
use super::visit::{self, Guest, PATIENCE};
use crate::settings::{Bind, Certificate};

/// Connections at one time, of all and of one address: one host cannot keep the others out.
const MOST: usize = 2_048;
const MOST_OF_ONE: usize = 128;

/// A socket that is listened on.
pub(super) struct Doorway {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

/// How many connections each address has.
#[derive(Debug, Default)]
struct Guests(Mutex<HashMap<IpAddr, usize>>);

/// The place of one connection, free again when it is dropped.
#[derive(Debug)]
struct Place(Arc<Guests>, IpAddr);

impl Guests {
    fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let mut guests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if guests.values().sum::<usize>() >= MOST || guests.get(&ip).is_some_and(|count| *count >= MOST_OF_ONE) {
            return None;
        }
        *guests.entry(ip).or_default() += 1;
        Some(Place(self.clone(), ip))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guests = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = guests.get_mut(&self.1) {
            *count -= 1;
        }
        guests.retain(|_, count| *count > 0);
    }
}

impl Doorway {
    /// Opens it; gives the address that it has got.
    pub fn open(bind: &Bind, certificate: Option<&Certificate>) -> io::Result<(Self, SocketAddr)> {
        let listener = std::net::TcpListener::bind(bind.address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let tls = match bind.transport.into() {
            Transport::Tls => Some(acceptor(certificate)?),
            _ => None,
        };
        Ok((Self { listener: TcpListener::from_std(listener)?, tls }, address))
    }

    /// Takes what comes, until the end.
    pub async fn serve(self, endpoint: EndpointInnerRef, end: CancellationToken) {
        let guests = Arc::new(Guests::default());
        loop {
            let accepted = tokio::select! {
                () = end.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not taken");
                    // Most likely there are no file descriptors left, and there will not be one in this very moment.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Some(place) = guests.admit(from.ip()) else {
                tracing::debug!(%from, "a connection was refused: there are too many");
                continue;
            };
            let (tls, endpoint, end) = (self.tls.clone(), endpoint.clone(), end.child_token());
            tokio::spawn(async move {
                take(stream, from, tls, (endpoint, end)).await;
                drop(place);
            });
        }
    }
}

fn acceptor(certificate: Option<&Certificate>) -> io::Result<TlsAcceptor> {
    let own = certificate.ok_or_else(|| io::Error::other("it needs a certificate"))?;
    let chain =
        CertificateDer::pem_slice_iter(own.chain.as_bytes()).collect::<Result<_, _>>().map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(own.key.expose_secret().as_bytes()).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn take(
    stream: TcpStream,
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
    (endpoint, end): (EndpointInnerRef, CancellationToken),
) {
    // Messages are written whole.
    drop(stream.set_nodelay(true));
    let Some(tls) = tls else { return visit::attend(stream, Guest { from, transport: Via::Tcp }, endpoint, end).await };
    match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => visit::attend(stream, Guest { from, transport: Via::Tls }, endpoint, end).await,
        Ok(Err(error)) => tracing::debug!(%from, %error, "a connection did not become one over TLS"),
        Err(_) => tracing::debug!(%from, "a connection did not become one over TLS in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_keep_the_others_out() {
        let guests = Arc::new(Guests::default());
        let one = IpAddr::from([192, 0, 2, 1]);
        let mut places: Vec<Place> = (0..MOST_OF_ONE).map(|_| guests.admit(one).unwrap()).collect();
        assert!(guests.admit(one).is_none());
        let others = (0..=u8::MAX).cycle().take(MOST).enumerate();
        let others =
            others.filter_map(|(index, last)| guests.admit([198, 51, u8::try_from(index / 256).unwrap(), last].into()));
        places.extend(others);
        assert_eq!(places.len(), MOST, "and there is an end to them all");
        drop(places);
        assert!(guests.admit(one).is_some());
    }
}
