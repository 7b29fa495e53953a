//! Makes offers and answers, under origins of ours.
//!
//! Must not leave out or reorder media: an answer has those of its offer, one by one (RFC 3264, section 6).

use std::net::SocketAddr;

use super::media::{self, Direction};
use super::{Description, Line, Media, Origin};
use crate::settings::Codec;

/// Payload types of the placeholder. Those of static types are what RFC 3551 says.
const OPUS: &str = "111";
const EVENTS: &str = "101";
/// Events next to a codec of 48 kHz have its clock (RFC 4733, section 2.1).
const WIDE_EVENTS: &str = "110";

impl Description {
    /// An offer of our own: whatever is sent goes to `sink`, until the other side's address is there.
    pub fn placeholder(origin: Origin, sink: SocketAddr, codecs: &[Codec]) -> Self {
        let mut payloads: Vec<(&str, &str)> = codecs.iter().map(|codec| payload(*codec)).collect();
        payloads.push((EVENTS, "telephone-event/8000"));
        if codecs.contains(&Codec::Opus) {
            payloads.push((WIDE_EVENTS, "telephone-event/48000"));
        }
        let maps = payloads.iter().map(|(number, codec)| format!("rtpmap:{number} {codec}"));
        let events = payloads.iter().filter(|(_, codec)| codec.starts_with("telephone-event"));
        let events = events.map(|(number, _)| format!("fmtp:{number} 0-15"));
        let rest = ["ptime:20", "sendrecv"].map(str::to_owned);
        let lines = maps.chain(events).chain(rest).map(|value| Line::new('a', value)).collect();
        let audio = Media {
            kind: "audio".to_owned(),
            port: sink.port(),
            ports: None,
            profile: "RTP/AVP".to_owned(),
            formats: payloads.iter().map(|(number, _)| (*number).to_owned()).collect(),
            lines,
        };
        let connection = Origin::new(0, 0, sink.ip()).connection();
        Self { lines: head(connection), media: vec![audio], origin }
    }

    /// What one side said, to be said to the other as it is: an offer in the middle of a call, or its answer.
    #[must_use]
    pub fn under(&self, origin: Origin) -> Self {
        Self { origin, ..self.clone() }
    }

    /// What one side said, as the offer that joins the other to it. Which way media flow was agreed on with us, who have
    /// none; both are free to send.
    #[must_use]
    pub fn joining(&self, origin: Origin) -> Self {
        let mut offer = self.under(origin);
        let undirected = |line: &Line| Direction::of(line).is_none();
        offer.lines.retain(undirected);
        offer.media.iter_mut().for_each(|medium| medium.lines.retain(undirected));
        offer
    }

    /// The answer to this offer that takes nothing of it.
    #[must_use]
    pub fn refusal(&self, origin: Origin) -> Self {
        let media = self.media.iter().map(Media::refused).collect();
        Self { lines: head(origin.connection()), media, origin }
    }

    /// What one side said, as an answer to `offer` of the other: its media one by one, refused where there is no counterpart,
    /// with none but the codecs and directions that were offered.
    #[must_use]
    pub fn answering(&self, offer: &Self, origin: Origin) -> Self {
        let mut left: Vec<&Media> = self.media.iter().collect();
        let has_connection = self.lines.iter().any(|line| line.kind == 'c');
        let answer = |offered: &Media| {
            let counterpart = left.iter().position(|medium| medium.kind == offered.kind);
            let taken = counterpart.map(|index| left.remove(index)).filter(|_| !offered.is_refused());
            let taken = taken.filter(|medium| !medium.is_refused());
            let within = taken.map(|medium| self.direction(medium).within(offer.direction(offered)));
            let answer = taken.zip(within).and_then(|(medium, within)| {
                let turned = within != self.direction(medium);
                medium.narrowed(offered, turned.then_some(within))
            });
            answer.unwrap_or_else(|| {
                let mut refused = offered.refused();
                refused.lines.extend((!has_connection).then(|| Line::new('c', origin.connection())));
                refused
            })
        };
        let media = offer.media.iter().map(answer).collect();
        Self { lines: self.lines.clone(), media, origin: origin.clone() }
    }
}

/// The lines of a session of ours.
fn head(connection: String) -> Vec<Line> {
    vec![Line::new('s', "-"), Line::new('c', connection), Line::new('t', "0 0")]
}

fn payload(codec: Codec) -> (&'static str, &'static str) {
    match codec {
        Codec::Pcma => ("8", "PCMA/8000"),
        Codec::Pcmu => ("0", "PCMU/8000"),
        Codec::G722 => ("9", "G722/8000"),
        Codec::Opus => (OPUS, "opus/48000/2"),
    }
}

impl Media {
    fn refused(&self) -> Self {
        Self { port: 0, ports: None, lines: Vec::new(), ..self.clone() }
    }

    /// This medium as an answer to `offered`; `None` when they have nothing in common.
    fn narrowed(&self, offered: &Self, turned: Option<Direction>) -> Option<Self> {
        if !media::go_together(&self.profile, &offered.profile) {
            return None;
        }
        let mut answer = Self { profile: offered.profile.clone(), ..self.clone() };
        if self.profile.contains("RTP/") {
            let theirs = offered.payloads();
            let ours = self.payloads();
            let kept = ours.iter().filter(|payload| theirs.iter().any(|other| other.codec == payload.codec));
            answer.formats = kept.map(|payload| payload.number.to_owned()).collect();
            let gone = |line: &Line| {
                let described = ["rtpmap", "fmtp", "rtcp-fb"].iter().find_map(|name| line.attribute(name));
                let number = described.and_then(|value| value.split_whitespace().next());
                number.is_some_and(|number| number != "*" && !answer.formats.iter().any(|kept| kept == number))
            };
            answer.lines.retain(|line| !gone(line));
        }
        if let Some(direction) = turned {
            answer.lines.retain(|line| Direction::of(line).is_none());
            answer.lines.push(Line::new('a', direction.to_string()));
        }
        (!answer.formats.is_empty()).then_some(answer)
    }
}
