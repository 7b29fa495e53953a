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
    pub datagrams: Datagrams,
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
        self.datagrams.0.push((address, SipConnection::Udp(connection)));
        Ok(address)
    }
}

/// The sockets that datagrams are sent from; the library itself would take the first for all.
#[derive(Default)]
pub(super) struct Datagrams(Vec<(SocketAddr, SipConnection)>);

impl Datagrams {
    /// All of them, for the library to listen on.
    pub fn connections(&self) -> impl Iterator<Item = SipConnection> + '_ {
        self.0.iter().map(|(_, connection)| connection.clone())
    }

    /// The one to reach an address from.
    pub fn to(&self, address: SocketAddr) -> Option<SipConnection> {
        let only = self.0.len() == 1;
        let route = if only { None } else { local_address(address) };
        let bound: Vec<SocketAddr> = self.0.iter().map(|(bound, _)| *bound).collect();
        let index = sender(&bound, address, route)?;
        self.0.get(index).map(|(_, connection)| connection.clone())
    }
}

/// Which of the addresses that are bound to send from: the one that the system's route begins at, else one that stands for
/// all of its family, else any of its family.
fn sender(bound: &[SocketAddr], to: SocketAddr, route: Option<IpAddr>) -> Option<usize> {
    let family = |bound: &SocketAddr| bound.is_ipv4() == to.is_ipv4();
    let on_route = bound.iter().position(|bound| Some(bound.ip()) == route);
    let for_all = || bound.iter().position(|bound| family(bound) && bound.ip().is_unspecified());
    on_route.or_else(for_all).or_else(|| bound.iter().position(family))
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

/// Whether this machine has the address: only then can a socket be bound to it.
pub(super) fn is_own(address: IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_leave_by_the_address_that_their_route_begins_at() {
        let addresses =
            |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let bound = addresses(&["[::1]:5060", "192.0.2.1:5060", "10.0.0.1:5060", "0.0.0.0:5070"]);
        let to = |text: &str, route: Option<&str>| {
            sender(&bound, text.parse().unwrap(), route.map(|route| route.parse().unwrap()))
        };
        assert_eq!(to("10.0.0.9:5060", Some("10.0.0.1")), Some(2));
        assert_eq!(to("198.51.100.1:5060", Some("192.0.2.1")), Some(1));
        assert_eq!(to("127.0.0.1:5060", Some("127.0.0.1")), Some(3), "one that stands for all");
        assert_eq!(to("[2001:db8::1]:5060", None), Some(0), "whatever is of its family");
        assert_eq!(sender(&addresses(&["10.0.0.1:5060"]), "[::1]:5060".parse().unwrap(), None), None);
        assert_eq!(local_address("127.0.0.1:9".parse().unwrap()), Some("127.0.0.1".parse().unwrap()));
    }
}
