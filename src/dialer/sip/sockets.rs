//! The sockets that SIP is spoken on, and the addresses that peers know them by.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::FutureExt;
use rsipstack::sip::Transport as Via;
use rsipstack::transport::udp::{UdpConnection, UdpInner};
use rsipstack::transport::{SipAddr, SipConnection};
use tokio_util::sync::CancellationToken;

use super::doorway::Doorway;
use super::peer::Transport;
use crate::settings::{Bind, Certificate, HostPort, Sip};

/// A burst of calls must fit: the system's own default loses some of it.
const RECEIVE_BUFFER: usize = 4 << 20;

/// All of them, open.
#[derive(Default)]
pub(super) struct Sockets {
    /// On these the library listens.
    pub datagrams: Vec<SipConnection>,
    pub doorways: Vec<Doorway>,
    /// The addresses that they have got.
    pub binds: Vec<Bind>,
}

/// Opens them.
pub(super) fn open(settings: &Sip, end: &CancellationToken) -> io::Result<Sockets> {
    let mut sockets = Sockets::default();
    for bind in &settings.bind {
        let address = sockets.listen(bind, settings.certificate.as_ref(), end).map_err(|error| {
            io::Error::new(error.kind(), format!("sip.bind {}:{}: {error}", bind.transport.as_str(), bind.address))
        })?;
        sockets.binds.push(Bind { address, ..*bind });
    }
    Ok(sockets)
}

impl Sockets {
    fn listen(
        &mut self,
        bind: &Bind,
        certificate: Option<&Certificate>,
        end: &CancellationToken,
    ) -> io::Result<SocketAddr> {
        if Transport::from(bind.transport) != Transport::Udp {
            let (doorway, address) = Doorway::open(bind, certificate)?;
            self.doorways.push(doorway);
            return Ok(address);
        }
        let domain = socket2::Domain::for_address(bind.address);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.bind(&bind.address.into())?;
        let socket = tokio::net::UdpSocket::from_std(socket.into())?;
        let address = socket.local_addr()?;
        let inner = UdpInner { addr: SipAddr { r#type: Some(Via::Udp), addr: address.into() }, conn: Arc::new(socket) };
        // The library's constructor is asynchronous, and awaits nothing.
        let connection = UdpConnection::attach(inner, None, Some(end.child_token())).now_or_never();
        let connection = connection.ok_or_else(|| io::Error::other("the socket is not ready"))?;
        self.datagrams.push(SipConnection::Udp(connection));
        Ok(address)
    }
}

/// The address that the sink is offered at: what peers know us by, else what is bound, else what the system would use.
pub(super) fn sink_address(public: Option<&HostPort>, binds: &[Bind]) -> IpAddr {
    let bound = binds.iter().map(|bind| bind.address.ip()).find(|ip| !ip.is_unspecified());
    let anywhere = || local_address(([192, 0, 2, 1], 9).into());
    let public = public.and_then(|public| public.host.parse().ok());
    public.or(bound).or_else(anywhere).unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST))
}

/// The local address that the system would send from: asked of a socket that sends nothing.
pub(super) fn local_address(to: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = std::net::UdpSocket::bind(any).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
