//! Session descriptions (RFC 8866) and how offers and answers are made of them (RFC 3264), as far as joining two sides needs.
//!
//! Pure. What one side said is passed to the other whole, with an origin of ours, also what is not understood here: the
//! sides know their media, we do not. Reading is tolerant, writing strict. A text can hold no line break, because it
//! was taken from between two of them, so nothing can begin a line of its own.

mod make;
mod media;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub use media::{Clash, Direction, Moved, Payload, Stream};

/// What is longer is no description of a call.
pub const MOST_BYTES: usize = 16 * 1_024;
pub const MOST_MEDIA: usize = 32;

/// Why a text is no session description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the description is longer than {MOST_BYTES} bytes")]
    TooLong,
    #[error("the description has more than {MOST_MEDIA} media")]
    TooManyMedia,
    #[error("the description does not begin with v=0")]
    Version,
    #[error("the description has no sound o= line")]
    Origin,
    #[error("line {0} of the description is no TYPE=VALUE")]
    Line(usize),
    #[error("line {0} of the description is no sound m= line")]
    Media(usize),
}

/// A session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    origin: Origin,
    /// Of the session, in the order of RFC 8866; without v= and o=. There are an s= and a t=.
    lines: Vec<Line>,
    media: Vec<Media>,
}

/// Who made a description, and which of its versions it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    user: String,
    session: String,
    version: String,
    network: String,
    family: String,
    host: String,
}

/// One medium: an m= line and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    kind: String,
    /// 0: refused.
    port: u16,
    ports: Option<u16>,
    profile: String,
    /// Not empty.
    formats: Vec<String>,
    /// In the order of RFC 8866.
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    kind: char,
    value: String,
}

impl Origin {
    /// One of ours. Each side of a call has its own session, and each change raises the version.
    pub fn new(session: u64, version: u64, address: IpAddr) -> Self {
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        Self {
            user: "-".to_owned(),
            session: session.to_string(),
            version: version.to_string(),
            network: "IN".to_owned(),
            family: family.to_owned(),
            host: address.to_string(),
        }
    }

    /// The value of a c= line with its address.
    fn connection(&self) -> String {
        format!("{} {} {}", self.network, self.family, self.host)
    }
}

impl Line {
    fn new(kind: char, value: impl Into<String>) -> Self {
        Self { kind, value: value.into() }
    }

    /// The value of the attribute `name`, empty for a property.
    fn attribute(&self, name: &str) -> Option<&str> {
        let value = Some(self.value.as_str()).filter(|_| self.kind == 'a')?.strip_prefix(name)?;
        if value.is_empty() { Some(value) } else { value.strip_prefix(':') }
    }
}

impl Description {
    /// Whether both are the same version of the same description: whoever sends it again changes nothing.
    pub fn is_same_version(&self, other: &Self) -> bool {
        self.origin == other.origin
    }

    /// Session and version of an origin of ours.
    pub fn origin_numbers(&self) -> Option<(u64, u64)> {
        Some((self.origin.session.parse().ok()?, self.origin.version.parse().ok()?))
    }

    pub fn media(&self) -> &[Media] {
        &self.media
    }
}
