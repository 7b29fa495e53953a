//! What of an agent becomes part of SIP messages: its URI and its headers.
//!
//! Must not take what no call could be made to: each callee would have to find that out, one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::reading::text_map;
use crate::domain::agent::{OWN_HEADERS, is_signalling};
use crate::domain::fields::{Parsed, line, steering};
use crate::domain::problem::{Code, Problem, Problems};

const EXAMPLE: &str = "must be a SIP URI, like sip:agent@voice.example:5060";
const USER: &str =
    "has more than one @, or nothing before it; write an @ of the user as %40, like sip:agent@voice.example";
const PLACE: &str = "must have a host, which is an IPv4 address, an IPv6 address in brackets or a domain name, and perhaps a port \
    (1 to 65535), like sip:agent@voice.example:5060";

/// A SIP or SIPS URI (RFC 3261, section 19.1), as far as it must be right to stand in a request line.
pub(super) fn sip_uri(value: &Value) -> Parsed<String> {
    let uri = line(1..=512)(value)?;
    match wrong_with(&uri) {
        Some(message) => Err(Problem::new(Code::InvalidValue, message).into()),
        None => Ok(uri),
    }
}

fn wrong_with(uri: &str) -> Option<&'static str> {
    let fits = |c: char| c.is_ascii_graphic() && !"<>\"#".contains(c);
    let rest = uri.strip_prefix("sip:").or_else(|| uri.strip_prefix("sips:"));
    let Some(rest) = rest.filter(|_| uri.chars().all(fits)) else { return Some(EXAMPLE) };
    if rest.contains('?') {
        return Some("has headers (?...); leave them out, sipHeaders is for them");
    }
    let (user, place) = rest.split_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
    if user.is_some_and(str::is_empty) || place.contains('@') {
        return Some(USER);
    }
    let (place, parameters) = place.split_once(';').unwrap_or((place, ""));
    // The colons of an IPv6 address are within brackets.
    let (host, port) = match place.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => (host, Some(port)),
        None => (place, None),
    };
    if !is_host(host) || !port.is_none_or(is_port) {
        return Some(PLACE);
    }
    let transport = |parameter: &str| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("transport").then(|| value.to_ascii_lowercase())
    };
    let spoken = |value: String| ["udp", "tcp", "tls"].contains(&value.as_str());
    let other = "names a transport that is not spoken here; write udp, tcp or tls, or leave it out";
    (!parameters.split(';').filter_map(transport).all(spoken)).then_some(other)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// An address, or a hostname of RFC 3261, section 25.1: its last label begins with a letter, so that no wrong address is one.
/// A `_` is none of its letters, but there are hosts with one in their name, which are found.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let ends = |end: Option<u8>| end.is_some_and(|end| end.is_ascii_alphanumeric());
        ends(label.bytes().next())
            && ends(label.bytes().last())
            && label.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_".contains(&letter))
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_name = name.split('.').all(is_label) && last.starts_with(|letter: char| letter.is_ascii_alphabetic());
    is_name || host.parse::<Ipv4Addr>().is_ok()
}

/// Names are tokens of RFC 3261, section 25.1, equal whatever their case; values are single lines, so that nothing can be
/// smuggled in.
pub(super) fn sip_headers(value: &Value) -> Parsed<BTreeMap<String, String>> {
    let is_token_char = |c: char| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c);
    let is_token = |name: &str| (1..=64).contains(&name.len()) && name.chars().all(is_token_char);
    let headers = text_map(50, is_token, 1_024)(value)?;
    let (mut problems, mut names) = (Problems::none(), BTreeSet::new());
    for (name, text) in &headers {
        let mut wrong = |message| problems.add(Problem::of(name, Code::InvalidValue, message));
        if is_signalling(name) || name.to_ascii_lowercase().starts_with(OWN_HEADERS) {
            wrong("is a header that calltaskd sets itself; leave it out, or name it otherwise");
        }
        if !names.insert(name.to_ascii_lowercase()) {
            wrong("is there in another case, which is the same header to SIP; give it once");
        }
        if let Some(message) = steering(text) {
            wrong(message);
        }
    }
    problems.unless_any(headers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_uri_leads_to_a_host_that_there_can_be() {
        for host in [
            "h",
            "voice_agent",
            "a.b-c.d2",
            "voice.example.",
            "xn--bcher-kva.example",
            "4.example",
            "127.0.0.1",
            "[2001:db8::1]",
        ] {
            for uri in
                [format!("sip:a@{host}"), format!("sips:{host}:5061;transport=TLS"), format!("sip:a:b;c@{host};lr")]
            {
                assert_eq!(sip_uri(&json!(uri)), Ok(uri));
            }
        }
        for host in [
            "",
            "[",
            "[]",
            "[::1",
            "::1",
            "[127.0.0.1]",
            "..",
            ".",
            "a..b",
            ".a",
            "-a",
            "a-",
            "a.4",
            "1.2.3.999",
            "1.2.3",
            "127.0.0.1.",
            "a_",
            "a,b",
            "a/b",
            "a%20b",
            "b#x",
            "b,sip:c@d",
            "b:",
            "b:0",
            "b:+1",
            "b:65536",
        ] {
            let uri = format!("sip:a@{host}");
            let problems = sip_uri(&json!(uri)).unwrap_err();
            let problem = problems.iter().next().unwrap();
            let remedy = problem.message.contains("like sip:agent@voice.example");
            assert_eq!((problem.code, remedy), (Code::InvalidValue, true), "{uri}: {problem}");
        }
        for uri in ["sip:@h", "sip:a@b@c", "sip:a#b@c", "sip:a b@c", "sip:", "tel:1"] {
            assert!(sip_uri(&json!(uri)).is_err(), "{uri}");
        }
    }

    #[test]
    fn a_header_has_one_name_whatever_its_case() {
        let problems = sip_headers(&json!({"X-A": "1", "x-a": "2", "X-B": "3"})).unwrap_err();
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["x-a: INVALID_VALUE: is there in another case, which is the same header to SIP; give it once"]
        );
        assert!(sip_headers(&json!({"X-A": "a\u{202e}b"})).is_err());
        assert!(sip_headers(&json!({"X-A": "1", "X-B": "Zoë"})).is_ok());
    }
}
