//! The beginning of a connection over TLS: whom we want to speak to, what we show of ourselves, and what the server makes of
//! it.
//!
//! A server judges our certificate after the handshake has ended for us (RFC 8446, section 4.4.2.4). Must not call a connection
//! open before that: a call would be sent into one that is being closed.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::settings::Certificate;

/// How long a server may take to refuse our certificate, or that there is none.
const VERDICT: Duration = Duration::from_secs(1);

/// Whom a trunk trusts, and what we show of ourselves to it.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    pub authorities: Option<String>,
    pub certificate: Option<Certificate>,
    /// Whom its server has to be; what its peer is called, when it is not said.
    pub name: Option<String>,
}

/// There is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0}")]
    Broken(#[from] io::Error),
    #[error("what the settings say of certificates cannot be used: {0}")]
    Unusable(#[source] rustls::Error),
    #[error("what the settings say of certificates cannot be read: {0}")]
    Unreadable(#[source] rustls::pki_types::pem::Error),
    #[error("{0:?} is no name that a certificate can have")]
    Nameless(String),
    #[error("it wants a certificate, and the trunk has none to show: {0}")]
    Unshown(#[source] io::Error),
    #[error("it does not accept the trunk's certificate: {0}")]
    Unaccepted(#[source] io::Error),
}

/// Opens a connection to the server at this address, which must be who its name says.
pub(super) async fn open(address: SocketAddr, host: &str, trust: &Trust) -> Result<TlsStream<TcpStream>, Refused> {
    let shown = Arc::new(Shown::new(trust.certificate.as_ref())?);
    let config = config(trust.authorities.as_deref(), &shown)?;
    let name = trust.name.as_deref().unwrap_or(host);
    let name = ServerName::try_from(name.to_owned()).map_err(|_| Refused::Nameless(name.to_owned()))?;
    let stream = TcpStream::connect(address).await?;
    // Messages are written whole.
    stream.set_nodelay(true)?;
    let opened = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let mut stream = opened.map_err(|error| shown.refused(error))?;
    // Before TLS 1.3 it was a part of the handshake.
    let later = stream.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    if later && shown.asked.load(Ordering::Relaxed) {
        verdict(&mut stream).await.map_err(|error| shown.refused(error))?;
    }
    Ok(stream)
}

fn config(authorities: Option<&str>, shown: &Arc<Shown>) -> Result<ClientConfig, Refused> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(Refused::Unusable)?;
    let builder = match authorities {
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(authorities)? {
                roots.add(authority).map_err(Refused::Unusable)?;
            }
            builder.with_root_certificates(roots)
        }
        None => {
            let system = Verifier::new(Arc::new(default_provider())).map_err(Refused::Unusable)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(system))
        }
    };
    Ok(builder.with_client_cert_resolver(shown.clone()))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, Refused> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(Refused::Unreadable)
}

/// What we show of ourselves, and whether it was asked for.
#[derive(Debug)]
struct Shown {
    own: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl Shown {
    fn new(certificate: Option<&Certificate>) -> Result<Self, Refused> {
        let own = certificate.map(|own| {
            let key = PrivateKeyDer::from_pem_slice(own.key.expose_secret().as_bytes());
            let key = key.map_err(Refused::Unreadable)?;
            CertifiedKey::from_der(certificates(&own.chain)?, key, &default_provider()).map_err(Refused::Unusable)
        });
        Ok(Self { own: own.transpose()?.map(Arc::new), asked: AtomicBool::new(false) })
    }

    /// What it means that the server ended it.
    fn refused(&self, error: io::Error) -> Refused {
        let cause = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        let theirs = matches!(cause, Some(rustls::Error::AlertReceived(_)));
        match &self.own {
            _ if !theirs || !self.asked.load(Ordering::Relaxed) => Refused::Broken(error),
            Some(_) => Refused::Unaccepted(error),
            None => Refused::Unshown(error),
        }
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.own.clone()
    }

    fn has_certs(&self) -> bool {
        self.own.is_some()
    }
}

/// Waits until a server that asked for our certificate has taken it: it says so by a ticket for the next connection, or by
/// its silence. What it says of its own accord stays to be read.
async fn verdict(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    let listening = async {
        let (socket, session) = stream.get_mut();
        while session.tls13_tickets_received() == 0 {
            socket.readable().await?;
            match session.read_tls(&mut Arrived(socket)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => session.process_new_packets().map_err(io::Error::other)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    };
    tokio::time::timeout(VERDICT, listening).await.unwrap_or(Ok(()))
}

/// What has arrived at a socket.
struct Arrived<'s>(&'s TcpStream);

impl Read for Arrived<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(to)
    }
}
