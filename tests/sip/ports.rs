//! Ports for peers: below those that the system hands out by itself, so that nobody takes one between its choice and its
//! use.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

const LOWEST: u16 = 10_000;
const HIGHEST: u16 = 32_000;

/// SIPp takes the ports next to the one for audio as well.
const STRIDE: u16 = 8;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// The first of some ports of the loopback that nobody has.
pub fn free() -> u16 {
    let blocks = (HIGHEST - LOWEST) / STRIDE;
    // Test binaries that run side by side begin at different places.
    let begin = u16::try_from(std::process::id() % u32::from(blocks)).unwrap();
    loop {
        let block = (begin + TAKEN.fetch_add(1, Ordering::Relaxed)) % blocks;
        let first = LOWEST + block * STRIDE;
        let is_free =
            |port| UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (first..first + STRIDE).all(is_free) {
            return first;
        }
    }
}

/// An address of the loopback where nobody has this port.
#[allow(dead_code, reason = "each test binary uses its own part")]
pub fn address_with(port: u16) -> Ipv4Addr {
    let begin = std::process::id().to_be_bytes();
    let addresses = (1..=u8::MAX).map(|last| Ipv4Addr::new(127, 1 + begin[2] % 200, begin[3], last));
    let mut free = addresses.skip_while(|address| UdpSocket::bind((*address, port)).is_err());
    let taken = usize::from(TAKEN.fetch_add(1, Ordering::Relaxed) % 100);
    free.nth(taken).unwrap()
}
