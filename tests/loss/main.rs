//! A network that loses one datagram in ten, each way, on both sides of the daemon: every call still is what it should be.
//!
//! The carrier's phones and the agents are made for this test (`phone.rs`), because SIPp gives up a call at the first
//! repeated request. `CALLTASKD_TEST_SEED` says which datagrams are lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../sip/ports.rs"]
mod ports;

mod calls;
mod manners;
mod message;
mod network;
mod phone;
mod witness;
