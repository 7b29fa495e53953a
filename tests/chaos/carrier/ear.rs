//! What a socket hears, and when that came: by the kernel's clock, because a carrier that is read late, on a machine that has much to
//! do, would have calls closer together than they were made. For the same reason nothing may get lost before it is read.

use std::io::IoSliceMut;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt::ReceiveTimestampns};
use nix::sys::time::TimeSpec;

/// As far as the system allows; what it gives by itself is full after a hundred calls.
const RECEIVE_BUFFER: usize = 4 << 20;
const LONGEST: usize = 8_192;

pub struct Datagram {
    pub bytes: Vec<u8>,
    pub from: SocketAddr,
    /// In microseconds since 1970.
    pub at: i64,
}

pub struct Ear(UdpSocket);

impl Ear {
    pub fn of(socket: &UdpSocket) -> Self {
        let socket = socket.try_clone().unwrap();
        socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
        setsockopt(&socket, ReceiveTimestampns, &true).unwrap();
        Self(socket)
    }

    /// Waits for the next datagram. `None`: something else came.
    pub fn hear(&self) -> Option<Datagram> {
        let mut bytes = vec![0; LONGEST];
        let mut space = nix::cmsg_space!(TimeSpec);
        let mut into = [IoSliceMut::new(&mut bytes)];
        let heard = recvmsg::<SockaddrIn>(self.0.as_raw_fd(), &mut into, Some(&mut space), MsgFlags::empty()).ok()?;
        let came = heard.cmsgs().ok()?.find_map(|told| match told {
            ControlMessageOwned::ScmTimestampns(came) => Some(came),
            _ => None,
        })?;
        let (from, length) = (SocketAddr::from(SocketAddrV4::from(heard.address?)), heard.bytes);
        bytes.truncate(length);
        Some(Datagram { bytes, from, at: came.tv_sec() * 1_000_000 + came.tv_nsec() / 1_000 })
    }
}
