//! Calls over SIP, through the whole daemon: SIPp is the carrier's phone and the voice agent, and each call ends by its
//! event as it should.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

#[path = "../harness/mod.rs"]
mod harness;

mod absence;
mod adoption;
mod audio;
mod cases;
mod certificate;
mod domain;
mod endings;
mod exchange;
mod kamailio;
mod length;
mod names;
mod namespace;
mod pace;
mod phone;
mod ports;
mod proxy;
mod relay;
mod sipp;
mod stop;
mod survival;
mod tone;
mod tools;
mod trust;
