//! What a description says about its audio, and what two of them have in common.
//!
//! Whether media can flow straight between two sides is decided here, before anybody is connected to silence.

use std::fmt;
use std::net::IpAddr;

use super::{Description, Line, Media};

/// The audio of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream<'d> {
    pub address: &'d str,
    pub port: u16,
    pub profile: &'d str,
    pub direction: Direction,
    /// In the order of preference.
    pub payloads: Vec<Payload<'d>>,
}

/// A payload type and what it means, like 8 and `PCMA/8000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload<'d> {
    pub number: &'d str,
    pub codec: String,
}

/// Which way media flow, seen from whoever says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direction {
    pub sends: bool,
    pub receives: bool,
}

/// Why two sides cannot be joined by signalling alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    #[error("one side has no audio")]
    NoAudio,
    #[error("one side speaks {0} and the other {1}, which cannot be joined without a gateway; set both to the same")]
    Profile(String, String),
    #[error("the sides have no codec in common: one has {0}, the other {1}; allow one of them on both")]
    Codec(String, String),
    #[error("the answer does not have the media of its offer, in their order")]
    Shape,
}

/// What differs from what the other side was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    Gone,
    Address,
    Port,
    Codec,
}

/// Payload types that need no rtpmap (RFC 3551).
const STATIC: [(&str, &str); 8] = [
    ("0", "PCMU/8000"),
    ("3", "GSM/8000"),
    ("4", "G723/8000"),
    ("8", "PCMA/8000"),
    ("9", "G722/8000"),
    ("13", "CN/8000"),
    ("15", "G728/8000"),
    ("18", "G729/8000"),
];

/// What goes along with a codec and is none.
const NO_SPEECH: [&str; 3] = ["TELEPHONE-EVENT/", "CN/", "RED/"];

impl Direction {
    const NAMED: [(&'static str, Self); 4] = [
        ("sendrecv", Self { sends: true, receives: true }),
        ("sendonly", Self { sends: true, receives: false }),
        ("recvonly", Self { sends: false, receives: true }),
        ("inactive", Self { sends: false, receives: false }),
    ];

    pub(super) const BOTH: Self = Self { sends: true, receives: true };

    pub(super) fn of(line: &Line) -> Option<Self> {
        let is_named = |(name, _): &&(&str, Self)| line.kind == 'a' && line.value.trim() == *name;
        Self::NAMED.iter().find(is_named).map(|(_, direction)| *direction)
    }

    /// What may be answered to an offer with the direction `offered` (RFC 3264, section 6.1).
    #[must_use]
    pub fn within(self, offered: Self) -> Self {
        Self { sends: self.sends && offered.receives, receives: self.receives && offered.sends }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMED.iter().find(|(_, direction)| direction == self);
        f.write_str(named.map_or("sendrecv", |(name, _)| name))
    }
}

/// Plain media, or how their key is agreed on. Feedback (the F of AVPF) keeps nobody from listening.
fn security(profile: &str) -> &str {
    match profile.trim_end_matches('F') {
        "RTP/AVP" => "plain",
        "RTP/SAVP" => "key in the description",
        "UDP/TLS/RTP/SAVP" | "TCP/TLS/RTP/SAVP" | "TCP/DTLS/RTP/SAVP" => "DTLS",
        _ => profile,
    }
}

/// Whether media of the two profiles can be joined.
pub(super) fn go_together(one: &str, other: &str) -> bool {
    security(one) == security(other)
}

impl Media {
    pub fn is_refused(&self) -> bool {
        self.port == 0
    }

    /// What its payload types mean.
    pub(super) fn payloads(&self) -> Vec<Payload<'_>> {
        let codec = |number: &str| {
            let maps = self.lines.iter().filter_map(|line| line.attribute("rtpmap"));
            let mapped = maps.filter_map(|map| map.trim().split_once(' ')).find(|(mapped, _)| *mapped == number);
            let known = || STATIC.iter().find(|(known, _)| *known == number).map(|(_, codec)| *codec);
            let codec = mapped.map(|(_, codec)| codec.trim()).or_else(known).unwrap_or(number).to_ascii_uppercase();
            // One channel goes without saying.
            codec.strip_suffix("/1").filter(|codec| codec.contains('/')).map(str::to_owned).unwrap_or(codec)
        };
        self.formats.iter().map(|number| Payload { number, codec: codec(number) }).collect()
    }
}

impl Payload<'_> {
    fn is_speech(&self) -> bool {
        !NO_SPEECH.iter().any(|kind| self.codec.starts_with(kind))
    }
}

impl Stream<'_> {
    /// The codec that is preferred.
    pub fn codec(&self) -> Option<&Payload<'_>> {
        self.payloads.iter().find(|payload| payload.is_speech())
    }

    /// The codecs that both sides have.
    pub fn common<'s>(&'s self, other: &'s Stream<'_>) -> impl Iterator<Item = &'s Payload<'s>> {
        let has = |payload: &&Payload<'_>| other.payloads.iter().any(|theirs| theirs.codec == payload.codec);
        self.payloads.iter().filter(|payload| payload.is_speech()).filter(has)
    }

    fn named(&self) -> String {
        let speech = self.payloads.iter().filter(|payload| payload.is_speech());
        speech.map(|payload| payload.codec.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Description {
    /// The first audio that is not refused, if it has an address.
    pub fn audio(&self) -> Option<Stream<'_>> {
        let medium = self.media.iter().find(|medium| medium.kind == "audio" && !medium.is_refused())?;
        let connection = medium.lines.iter().chain(&self.lines).find(|line| line.kind == 'c')?;
        let address = connection.value.split_whitespace().nth(2)?.split('/').next().filter(|host| !host.is_empty())?;
        Some(Stream {
            address,
            port: medium.port,
            profile: &medium.profile,
            direction: self.direction(medium),
            payloads: medium.payloads(),
        })
    }

    pub(super) fn direction(&self, medium: &Media) -> Direction {
        medium.lines.iter().chain(&self.lines).find_map(Direction::of).unwrap_or(Direction::BOTH)
    }

    /// Whether there is audio that something could be connected to.
    pub fn is_usable(&self) -> bool {
        self.audio().is_some()
    }

    /// Whether the other side is to hear nothing from us meanwhile.
    pub fn is_hold(&self) -> bool {
        self.audio().is_some_and(|audio| {
            let nowhere = audio.address.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
            nowhere || !audio.direction.receives
        })
    }

    /// Whether the audio of the two sides can flow between them.
    pub fn joins(&self, other: &Self) -> Result<(), Clash> {
        let (ours, theirs) = self.audio().zip(other.audio()).ok_or(Clash::NoAudio)?;
        if !go_together(ours.profile, theirs.profile) {
            return Err(Clash::Profile(ours.profile.to_owned(), theirs.profile.to_owned()));
        }
        if ours.common(&theirs).next().is_none() {
            return Err(Clash::Codec(ours.named(), theirs.named()));
        }
        Ok(())
    }

    /// Whether this can be the answer to `offer` (RFC 3264, section 6), and has audio.
    pub fn answers(&self, offer: &Self) -> Result<(), Clash> {
        let same = |(ours, offered): (&Media, &Media)| ours.kind == offered.kind;
        if self.media.len() != offer.media.len() || !self.media.iter().zip(&offer.media).all(same) {
            return Err(Clash::Shape);
        }
        self.joins(offer)
    }

    /// What is no more as the other side was told (`told`), when its answer was `agreed`. It would send to the wrong place, or
    /// what is not understood there.
    pub fn moved(&self, told: &Self, agreed: &Self) -> Option<Moved> {
        let before = told.audio()?;
        let Some(now) = self.audio() else { return Some(Moved::Gone) };
        let agreed = agreed.audio();
        let chosen = agreed.as_ref().and_then(Stream::codec);
        match () {
            () if now.address != before.address => Some(Moved::Address),
            () if now.port != before.port => Some(Moved::Port),
            () if chosen.is_some() && now.codec() != chosen => Some(Moved::Codec),
            () => None,
        }
    }
}
