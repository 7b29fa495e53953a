//! A socket that loses one datagram in ten, each way.
//!
//! Whether a datagram is lost follows from the seed and from what it is: whose call, which message, and for how many times it
//! goes that way. So the same seed loses the same, whatever the machine is doing and in which order calls go on.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::net::UdpSocket;

use crate::message::Message;

const LOSS: f64 = 0.1;

/// How many datagrams went one way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traffic {
    pub datagrams: u32,
    pub lost: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    In,
    Out,
}

/// The network at one side of the daemon.
pub struct Network {
    socket: UdpSocket,
    side: &'static str,
    seed: u64,
    times: HashMap<u64, u32>,
    pub incoming: Traffic,
    pub outgoing: Traffic,
}

impl Network {
    pub async fn open(side: &'static str, port: u16, seed: u64) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", port)).await.unwrap();
        let (incoming, outgoing) = Default::default();
        Self { socket, side, seed, times: HashMap::new(), incoming, outgoing }
    }

    fn loses(&mut self, way: Way, message: &Message) -> bool {
        let what = (self.side, way, message.callee(), message.status(), message.header("CSeq"));
        let times = self.times.entry(hash(&what)).or_default();
        *times += 1;
        let is_lost = StdRng::seed_from_u64(hash(&(self.seed, what, *times))).gen_bool(LOSS);
        let traffic = match way {
            Way::In => &mut self.incoming,
            Way::Out => &mut self.outgoing,
        };
        traffic.datagrams += 1;
        traffic.lost += u32::from(is_lost);
        is_lost
    }

    /// False: it was lost.
    pub async fn send(&mut self, text: &str, to: SocketAddr) -> bool {
        let arrives = !self.loses(Way::Out, &Message::read(text.as_bytes()));
        if arrives {
            self.socket.send_to(text.as_bytes(), to).await.unwrap();
        }
        arrives
    }

    /// The next message that was not lost. May be dropped at any time.
    pub async fn receive(&mut self) -> (Message, SocketAddr) {
        let mut datagram = [0; 8_192];
        loop {
            let (length, from) = self.socket.recv_from(&mut datagram).await.unwrap();
            let message = Message::read(&datagram[..length]);
            if !self.loses(Way::In, &message) {
                return (message, from);
            }
        }
    }
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
