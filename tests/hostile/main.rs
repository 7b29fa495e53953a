//! Strangers: whatever they send over UDP, TCP and TLS, the daemon lives on and the calls that are up go on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

#[path = "../sip/certificate.rs"]
mod certificate;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../sip/ports.rs"]
mod ports;
#[allow(dead_code, reason = "the tests of calls use the rest of it")]
#[path = "../sip/sipp.rs"]
mod sipp;
#[path = "../sip/tools.rs"]
mod tools;

mod attacker;
mod calls;
mod mutation;
mod torture;
mod under_attack;
