//! A recording of a call: where the agent platform says that it is, and what became of fetching it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::wire_enum;

wire_enum!(
    /// How far the fetching of a recording is.
    RecordingState {
        /// It is to be fetched, or some daemon is at it.
        Pending = "PENDING",
        Stored = "STORED",
        Failed = "FAILED",
        /// It was stored, and kept for as long as the settings say.
        Expired = "EXPIRED",
        /// Another recording took its place, or its task is deleted. Never shown outside.
        Discarded = "DISCARDED",
    }
);

/// Where a recording was reported to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    Url(String),
    /// Absolute.
    Path(String),
}

impl Source {
    /// As a report has it, `{url | path, seconds?}`.
    pub fn of(recording: &Value) -> Option<Self> {
        let text = |key| recording.get(key).and_then(Value::as_str).map(str::to_owned);
        text("url").map(Self::Url).or_else(|| text("path").map(Self::Path))
    }

    /// What the name of its file ends with, when that is plain; without what follows a URL's path.
    pub fn extension(&self) -> Option<String> {
        let path = match self {
            Self::Path(path) => path.as_str(),
            Self::Url(url) => {
                let whole = url.split(['?', '#']).next().unwrap_or_default();
                whole.split_once("://").map_or(whole, |(_, rest)| rest).split_once('/')?.1
            }
        };
        let (stem, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
        let plain = (1..=8).contains(&extension.len()) && extension.chars().all(|c| c.is_ascii_alphanumeric());
        (plain && !stem.is_empty()).then(|| extension.to_ascii_lowercase())
    }
}

/// What a file of this media type is usually called.
pub fn extension_of(media_type: &str) -> Option<&'static str> {
    let kind = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Some(match kind.as_str() {
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/ogg" | "application/ogg" => "ogg",
        "audio/opus" => "opus",
        "audio/flac" | "audio/x-flac" => "flac",
        "audio/mp4" | "audio/x-m4a" => "m4a",
        "audio/aac" => "aac",
        "audio/webm" => "webm",
        _ => return None,
    })
}

/// A recording that is to be fetched, was, or could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedRecording {
    pub state: RecordingState,
    pub file: Option<RecordingFile>,
    /// Why it failed.
    pub reason: Option<String>,
}

/// What was stored of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingFile {
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
    pub location: String,
}

/// Hosts that recordings may be fetched from: `HOST`, `HOST:PORT`, `*.DOMAIN`, or `*` for all. Without a port, that of
/// the scheme alone: what else listens on the host is not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    /// In lower case.
    host: String,
    port: Option<u16>,
}

impl HostRule {
    /// Whether a URL of this host and port may be fetched; `is_default`: the port is that of its scheme.
    pub fn allows(&self, host: &str, (port, is_default): (u16, bool)) -> bool {
        let host = host.to_ascii_lowercase();
        let named = match self.host.strip_prefix('*') {
            Some("") => return true,
            Some(domain) => host.len() > domain.len() && host.ends_with(domain),
            None => host == self.host,
        };
        named && self.port.map_or(is_default, |own| own == port)
    }
}

impl FromStr for HostRule {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().map_err(|_| ())?)),
            _ => (text, None),
        };
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_sound = match (literal, host.strip_prefix("*.")) {
            (Some(address), _) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            (None, Some(domain)) => is_name(domain),
            (None, None) => (host == "*" && port.is_none()) || is_name(host),
        };
        if is_sound { Ok(Self { host: host.to_ascii_lowercase(), port }) } else { Err(()) }
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    name.split('.').all(|label| !label.is_empty() && label.chars().all(fits))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_host_is_allowed_with_its_port_and_no_other() {
        let allows =
            |rule: &str, host: &str, port: u16| rule.parse::<HostRule>().unwrap().allows(host, (port, port == 443));
        assert!(allows("Voice.Example", "voice.example", 443));
        assert!(!allows("voice.example", "voice.example", 8443));
        assert!(allows("voice.example:8443", "VOICE.example", 8443));
        assert!(!allows("voice.example:8443", "voice.example", 443));
        assert!(!allows("voice.example", "a.voice.example", 443));
        assert!(allows("*.voice.example", "a.b.voice.example", 443));
        for other in ["voice.example", "notvoice.example", ".voice.example"] {
            assert!(!allows("*.voice.example", other, 443), "{other}");
        }
        assert!(allows("*", "169.254.169.254", 80));
        assert!(allows("[::1]:80", "[::1]", 80) && allows("127.0.0.1:9", "127.0.0.1", 9));
        for wrong in ["", "http://a", "a/b", "a:b", "*:80", "a..b", "*.", "::1", "a b", "[x]"] {
            assert!(wrong.parse::<HostRule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_extension_is_plain_or_none() {
        let url = |url: &str| Source::Url(url.to_owned()).extension();
        assert_eq!(url("https://a.example/1/x.WAV?token=a.b").as_deref(), Some("wav"));
        for none in ["https://a.example", "https://a.example/x", "https://a/.wav", "https://a/x.", "https://a/x.a%2fb"]
        {
            assert_eq!(url(none), None, "{none}");
        }
        assert_eq!(Source::Path("/var/a.b/c.mp3".to_owned()).extension().as_deref(), Some("mp3"));
        assert_eq!(Source::Path("/var/a.b/c".to_owned()).extension(), None);
        assert_eq!(extension_of("Audio/MPEG; rate=8000"), Some("mp3"));
    }

    #[test]
    fn a_source_is_what_was_reported_without_its_length() {
        let source = Source::of(&json!({"url": "/etc/passwd", "seconds": 3}));
        assert_eq!(source, Some(Source::Url("/etc/passwd".to_owned())));
        assert_eq!(json!(source), json!({"url": "/etc/passwd"}));
        assert_eq!(json!(Source::of(&json!({"path": "/a"}))), json!({"path": "/a"}));
    }
}
