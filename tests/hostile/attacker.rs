//! A stranger with an address of its own (127.0.0.2), who speaks UDP, TCP and TLS.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

use crate::mutation::Spoilt;

/// How something is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Udp,
    Tcp,
    Tls,
}

pub const WAYS: [Way; 3] = [Way::Udp, Way::Tcp, Way::Tls];

/// Messages on one connection, so long as it lives.
const MOST_ON_ONE: usize = 16;

/// The longest datagram that there is.
const LONGEST_DATAGRAM: usize = 65_507;

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Its open connection, whose answers are thrown away as they come.
struct Connection {
    writing: tokio::io::WriteHalf<Box<dyn Stream>>,
    is_closed: Arc<AtomicBool>,
    sent: usize,
}

pub struct Attacker {
    /// The daemon's, by the order of [`WAYS`].
    ports: [u16; 3],
    datagrams: UdpSocket,
    tls: TlsConnector,
    connections: [Option<Connection>; 3],
    asked: usize,
    pub refused: Arc<AtomicUsize>,
}

impl Attacker {
    pub async fn new(ports: [u16; 3], authority: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let datagrams = UdpSocket::bind("127.0.0.2:0").await.unwrap();
        let (tls, connections) = (TlsConnector::from(Arc::new(config)), [const { None }; 3]);
        Self { ports, datagrams, tls, connections, asked: 0, refused: Arc::default() }
    }

    pub async fn connect(&self, way: Way) -> std::io::Result<Box<dyn Stream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind("127.0.0.2:0".parse().unwrap())?;
        let stream: TcpStream = socket.connect(([127, 0, 0, 1], self.ports[way as usize]).into()).await?;
        stream.set_nodelay(true)?;
        if way == Way::Tcp {
            return Ok(Box::new(stream));
        }
        Ok(Box::new(self.tls.connect(ServerName::try_from("localhost").unwrap(), stream).await?))
    }

    /// Sends it, on a new connection where the last one is used up or was closed.
    pub async fn send(&mut self, way: Way, message: &Spoilt) {
        if way == Way::Udp {
            let bytes = &message.bytes[..message.bytes.len().min(LONGEST_DATAGRAM)];
            // The system may refuse one that is too long, and then nobody is hurt.
            drop(self.datagrams.send_to(bytes, ("127.0.0.1", self.ports[0])).await);
            return;
        }
        let usable = |open: &Connection| open.sent < MOST_ON_ONE && !open.is_closed.load(Ordering::Relaxed);
        let mut open = match self.connections[way as usize].take() {
            Some(open) if usable(&open) => open,
            used_up => {
                leave(used_up).await;
                self.open(way).await
            }
        };
        open.sent += 1;
        let written = open.writing.write_all(&message.bytes).await.is_ok() && open.writing.flush().await.is_ok();
        if written && !message.is_torn {
            self.connections[way as usize] = Some(open);
        } else {
            leave(Some(open)).await;
        }
    }

    async fn open(&self, way: Way) -> Connection {
        // Of one address the daemon takes so many and no more: until it has noticed that the last ones are gone.
        let mut tries = 0;
        let stream = loop {
            match self.connect(way).await {
                Ok(stream) => break stream,
                Err(error) => assert!(tries < 200, "no connection over {way:?}: {error}"),
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let (mut reading, writing) = tokio::io::split(stream);
        let (is_closed, refused) = (Arc::new(AtomicBool::new(false)), self.refused.clone());
        let closed = is_closed.clone();
        tokio::spawn(async move {
            let mut bytes = vec![0; 8_192];
            while let Ok(length @ 1..) = reading.read(&mut bytes).await {
                let said = bytes[..length].windows(11).filter(|word| *word == b"SIP/2.0 400").count();
                refused.fetch_add(said, Ordering::Relaxed);
            }
            closed.store(true, Ordering::Relaxed);
        });
        Connection { writing, is_closed, sent: 0 }
    }

    /// How long a plain question takes; within three tries it must have its answer, each within a second.
    pub async fn ask(&mut self, way: Way) -> Duration {
        for _ in 0..3 {
            self.asked += 1;
            let (began, marker) = (Instant::now(), format!("asked-{}", self.asked));
            let asking = tokio::time::timeout(Duration::from_secs(1), self.question(way, &marker));
            if asking.await.is_ok() {
                return began.elapsed();
            }
        }
        panic!("the daemon does not answer a question over {way:?} within a second");
    }

    async fn question(&self, way: Way, marker: &str) {
        let name = ["UDP", "TCP", "TLS"][way as usize];
        let text = format!(
            "OPTIONS sip:calltaskd@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{name} 127.0.0.2;branch=z9hG4bK{marker};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:who@127.0.0.2>;tag=1\r\nTo: <sip:calltaskd@127.0.0.1>\r\nCall-ID: {marker}\r\n\
             CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        let is_answer = |text: &str| text.contains("SIP/2.0 200") && text.contains(&format!("Call-ID: {marker}\r\n"));
        let mut bytes = vec![0; 65_536];
        if way == Way::Udp {
            self.datagrams.send_to(text.as_bytes(), ("127.0.0.1", self.ports[0])).await.unwrap();
            loop {
                let length = self.datagrams.recv(&mut bytes).await.unwrap();
                if is_answer(&String::from_utf8_lossy(&bytes[..length])) {
                    return;
                }
            }
        }
        let mut stream = self.connect(way).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut heard = String::new();
        while !is_answer(&heard) {
            let length = stream.read(&mut bytes).await.unwrap();
            assert!(length > 0, "closed after {heard:?}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    }
}

/// Closes a connection; one that the daemon has closed already is gone anyway.
async fn leave(connection: Option<Connection>) {
    if let Some(mut connection) = connection {
        drop(connection.writing.shutdown().await);
    }
}
