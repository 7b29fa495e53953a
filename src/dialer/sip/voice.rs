//! What we say about media to one side of a call: descriptions of the other side, under an origin of our own whose
//! version rises with each change (RFC 3264, section 8).

use std::net::SocketAddr;

use super::media;
use crate::settings::Codec;

/// Our voice towards one side.
#[derive(Debug)]
pub struct Voice {
    sink: SocketAddr,
    codecs: Vec<Codec>,
    session: u64,
    version: u64,
    said: String,
}

impl Voice {
    /// Until there is somebody to be heard, it offers the sink.
    pub fn new(sink: SocketAddr, codecs: &[Codec]) -> Self {
        // Far below what a signed 64-bit number holds, which is what some peers read it into.
        let session = u64::try_from(uuid::Uuid::new_v4().as_u128() >> 80).unwrap_or_default();
        Self { sink, codecs: codecs.to_vec(), session, version: 0, said: String::new() }
    }

    /// An offer to send to our sink.
    pub fn placeholder(&mut self) -> String {
        let (sink, codecs) = (self.sink, self.codecs.clone());
        self.speak(|origin| media::placeholder(origin, sink, &codecs))
    }

    /// The other side's description, to begin a session with: its direction is left to the other end.
    pub fn say(&mut self, description: &str) -> String {
        self.speak(|origin| media::under(origin, &media::without_direction(description)))
    }

    /// The other side's description as it is, to change a session with.
    pub fn pass(&mut self, description: &str) -> String {
        self.speak(|origin| media::under(origin, description))
    }

    fn speak(&mut self, say: impl FnOnce(&str) -> String) -> String {
        self.version += 1;
        let family = if self.sink.is_ipv4() { "IP4" } else { "IP6" };
        let origin = format!("- {} {} IN {family} {}", self.session, self.version, self.sink.ip());
        self.said = say(&origin);
        self.said.clone()
    }

    /// What was said last.
    pub fn said(&self) -> &str {
        &self.said
    }
}
