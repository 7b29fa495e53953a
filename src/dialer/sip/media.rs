//! What a bridge asks of session descriptions (RFC 4566, RFC 3264): it passes them on whole, under an origin of its own.
//!
//! Must not know calls. A description is kept as the text that it came as: what is not understood is passed on.

use std::net::SocketAddr;

use crate::settings::Codec;

/// An offer to send audio to `sink`, with these codecs, the preferred first.
pub fn placeholder(origin: &str, sink: SocketAddr, codecs: &[Codec]) -> String {
    let family = if sink.is_ipv4() { "IP4" } else { "IP6" };
    let payloads: Vec<(&str, String)> = codecs.iter().map(|codec| payload(*codec)).collect();
    let numbers: Vec<&str> = payloads.iter().map(|(number, _)| *number).collect();
    let mut lines = vec![
        "v=0".to_owned(),
        format!("o={origin}"),
        "s=-".to_owned(),
        format!("c=IN {family} {}", sink.ip()),
        "t=0 0".to_owned(),
        format!("m=audio {} RTP/AVP {} 101", sink.port(), numbers.join(" ")),
    ];
    lines.extend(payloads.iter().map(|(number, name)| format!("a=rtpmap:{number} {name}")));
    lines.extend(["a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=sendrecv"].map(str::to_owned));
    joined(lines.into_iter())
}

/// Number and name of a codec's payload type (RFC 3551; opus has a number that is free).
fn payload(codec: Codec) -> (&'static str, String) {
    let (number, parameters) = match codec {
        Codec::Pcmu => ("0", "/8000"),
        Codec::Pcma => ("8", "/8000"),
        Codec::G722 => ("9", "/8000"),
        Codec::Opus => ("96", "/48000/2"),
    };
    (number, format!("{}{parameters}", codec.as_str()))
}

/// The same description under another origin.
pub fn under(origin: &str, description: &str) -> String {
    let ours = |line: &str| if line.starts_with("o=") { format!("o={origin}") } else { line.to_owned() };
    joined(lines(description).map(ours))
}

/// The same description, that says nothing of who sends: it is to be both.
pub fn without_direction(description: &str) -> String {
    const DIRECTIONS: [&str; 4] = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
    joined(lines(description).filter(|line| !DIRECTIONS.contains(line)).map(str::to_owned))
}

/// The answer that takes none of what is offered.
pub fn refuse(offer: &str) -> String {
    let refused = |line: &str| match line.strip_prefix("m=").and_then(|media| media.split_once(' ')) {
        Some((kind, rest)) => format!("m={kind} 0 {}", rest.split_once(' ').map_or("", |(_, rest)| rest)),
        None => line.to_owned(),
    };
    joined(lines(offer).filter(|line| !line.starts_with("a=")).map(refused))
}

/// Whether there is audio in it that can be sent somewhere.
pub fn is_usable(description: &str) -> bool {
    media(description).any(|media| media.first() == Some(&"audio") && media.get(1).is_some_and(|port| *port != "0"))
}

/// Whether all that is not refused goes by the same profile: one in clear and one encrypted cannot be joined by signalling.
pub fn same_profiles(offer: &str, answer: &str) -> bool {
    let refused = |media: &Vec<&str>| media.get(1) == Some(&"0");
    media(offer).zip(media(answer)).all(|(offer, answer)| refused(&answer) || offer.get(2) == answer.get(2))
}

/// Whether both name the same addresses, ports and codecs.
pub fn same_media(one: &str, other: &str) -> bool {
    let told = |line: &&str| line.starts_with("c=") || line.starts_with("m=");
    lines(one).filter(told).eq(lines(other).filter(told))
}

/// Whether it is the same version of the same description: nothing changed.
pub fn same_origin(one: &str, other: &str) -> bool {
    let origin = |line: &&str| line.starts_with("o=");
    lines(one).find(origin) == lines(other).find(origin)
}

fn lines(description: &str) -> impl Iterator<Item = &str> {
    description.lines().map(str::trim_end).filter(|line| !line.is_empty())
}

/// The parts of each `m=` line: kind, port, profile, payload types.
fn media(description: &str) -> impl Iterator<Item = Vec<&str>> {
    lines(description).filter_map(|line| line.strip_prefix("m=")).map(|media| media.split(' ').collect())
}

fn joined(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\r\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                         m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=recvonly\r\nm=video 4002 RTP/AVP 96\r\n";

    #[test]
    fn a_placeholder_offers_what_it_is_told_to() {
        let offer = placeholder("- 7 1 IN IP4 127.0.0.1", "127.0.0.1:9".parse().unwrap(), &[Codec::Pcma, Codec::Opus]);
        assert!(offer.contains("m=audio 9 RTP/AVP 8 96 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:96 opus/48000/2\r\n"));
        assert!(offer.ends_with("a=sendrecv\r\n") && is_usable(&offer));
    }

    #[test]
    fn a_description_is_passed_on_whole() {
        let passed = without_direction(&under("- 7 2 IN IP4 198.51.100.1", PHONE));
        assert!(passed.contains("o=- 7 2 IN IP4 198.51.100.1\r\n") && !passed.contains("recvonly"));
        assert!(passed.contains("c=IN IP4 192.0.2.1\r\n") && passed.contains("m=video 4002"));
        assert!(same_media(&passed, PHONE) && !same_origin(&passed, PHONE));
    }

    #[test]
    fn a_refusal_has_every_medium_and_no_port() {
        let refusal = refuse(PHONE);
        assert!(refusal.contains("m=audio 0 RTP/AVP 8 101\r\nm=video 0 RTP/AVP 96\r\n") && !is_usable(&refusal));
    }

    #[test]
    fn encrypted_and_clear_media_do_not_fit_together() {
        let encrypted = PHONE.replace("audio 4000 RTP/AVP", "audio 4000 RTP/SAVP");
        assert!(!same_profiles(PHONE, &encrypted) && same_profiles(PHONE, PHONE));
        assert!(same_profiles(PHONE, &refuse(&encrypted)), "what is refused may be anything");
        assert!(!same_media(PHONE, &PHONE.replace("4000", "4004")));
    }
}
