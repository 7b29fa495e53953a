//! What we say about media to one side of a call: descriptions of the other side, under an origin of our own whose
//! version rises with each change (RFC 3264, section 8).

use std::net::{IpAddr, SocketAddr};

use super::sdp::{Description, Origin};
use crate::settings::Codec;

/// Our voice towards one side.
#[derive(Debug)]
pub struct Voice {
    address: IpAddr,
    session: u64,
    version: u64,
    said: Description,
}

impl Voice {
    /// It begins by offering to send everything to `sink`, where nobody listens.
    pub fn new(sink: SocketAddr, codecs: &[Codec]) -> Self {
        // Far below what a signed 64-bit number holds, which is what some peers read it into.
        let session = u64::try_from(uuid::Uuid::new_v4().as_u128() >> 80).unwrap_or_default();
        let said = Description::placeholder(Origin::new(session, 1, sink.ip()), sink, codecs);
        Self { address: sink.ip(), session, version: 1, said }
    }

    /// Goes on with what was said last, by an earlier run of the daemon.
    pub fn resume(said: &str, sink: SocketAddr) -> Option<Self> {
        let said = heard(Some(said))?;
        let (session, version) = said.origin_numbers()?;
        Some(Self { address: sink.ip(), session, version, said })
    }

    /// What was said last.
    pub fn said(&self) -> &Description {
        &self.said
    }

    /// The other side's description, as the offer that joins this side to it.
    pub fn join(&mut self, other: &Description) -> String {
        let origin = self.next_origin();
        self.say(other.joining(origin))
    }

    /// The other side's description as it is: an offer in the middle of a call.
    pub fn pass(&mut self, other: &Description) -> String {
        let origin = self.next_origin();
        self.say(other.under(origin))
    }

    /// The other side's answer, as an answer to this side's offer.
    pub fn answer(&mut self, other: &Description, offer: &Description) -> String {
        let origin = self.next_origin();
        self.say(other.answering(offer, origin))
    }

    fn next_origin(&mut self) -> Origin {
        self.version += 1;
        Origin::new(self.session, self.version, self.address)
    }

    fn say(&mut self, description: Description) -> String {
        self.said = description;
        self.said.to_string()
    }
}

/// What a text says, if it is a description.
pub fn heard(text: Option<&str>) -> Option<Description> {
    let read = text?.parse::<Description>();
    read.inspect_err(|error| tracing::warn!(%error, "what a peer says about media cannot be read")).ok()
}

/// The answer to an offer that is taken by nobody.
pub fn refusal(offer: &str, address: IpAddr) -> Option<String> {
    Some(heard(Some(offer))?.refusal(Origin::new(1, 1, address)).to_string())
}
