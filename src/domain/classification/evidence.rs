//! What a last response says: its status, and what its headers say about the cause.
//!
//! Must not judge it. Headers are read with tolerance: what cannot be understood is left out, because a call has ended
//! in any case.

use std::time::Duration;

/// A last response to the callee's INVITE.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FinalResponse {
    pub status: u16,
    /// The reason phrase, as it was sent.
    pub reason: String,
    /// Causes by Q.850, in the order of the `Reason` headers.
    pub causes: Vec<Cause>,
    /// The texts of `Reason` and `Warning` headers.
    pub texts: Vec<String>,
    /// The value of a `Retry-After` header.
    pub retry_after: Option<Duration>,
}

/// A cause by ITU-T Q.850, as a `Reason` header gives it (RFC 3326, RFC 8606).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    pub code: u16,
    /// The callee itself gave it (`location=U`).
    pub by_user: bool,
}

impl Cause {
    pub fn new(code: u16) -> Self {
        Self { code, by_user: false }
    }
}

impl FinalResponse {
    pub fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), ..Self::default() }
    }

    /// Takes in a `Reason` header, which may hold several: `SIP;cause=486, Q.850;cause=17;text="User busy"`.
    #[must_use]
    pub fn with_reason(mut self, header: &str) -> Self {
        for value in split(header, ',') {
            let mut parts = split(value, ';').into_iter().map(str::trim);
            let protocol = parts.next().unwrap_or_default();
            let (mut code, mut by_user) = (None, false);
            for part in parts {
                let Some((name, value)) = part.split_once('=') else { continue };
                let value = value.trim();
                match name.trim().to_ascii_lowercase().as_str() {
                    "cause" => code = unquoted(value).trim().parse().ok(),
                    "location" => by_user = unquoted(value).eq_ignore_ascii_case("U"),
                    "text" => self.texts.push(unquoted(value)),
                    _ => {}
                }
            }
            if let Some(code) = code.filter(|_| protocol.eq_ignore_ascii_case("Q.850")) {
                self.causes.push(Cause { code, by_user });
            }
        }
        self
    }

    /// Takes in a `Warning` header: `399 host "CPS limit exceeded"`.
    #[must_use]
    pub fn with_warning(mut self, header: &str) -> Self {
        self.texts.push(header.trim().to_owned());
        self
    }

    /// Takes in a `Retry-After` header: seconds, perhaps with a comment or parameters (RFC 3261, section 20.33).
    #[must_use]
    pub fn with_retry_after(mut self, header: &str) -> Self {
        let header = header.trim();
        let digits = header.find(|c: char| !c.is_ascii_digit()).map_or(header, |end| &header[..end]);
        // More digits than a number holds are a very long time, not none.
        let seconds = digits.parse::<u32>().ok().or((!digits.is_empty()).then_some(u32::MAX));
        self.retry_after = seconds.map(|seconds| Duration::from_secs(seconds.into()));
        self
    }

    /// Whether the reason phrase or a text of a header has `part` in it; case does not count.
    pub(super) fn says(&self, part: &str) -> bool {
        let part = part.to_lowercase();
        let mut all = std::iter::once(&self.reason).chain(&self.texts);
        all.any(|text| text.to_lowercase().contains(&part))
    }
}

/// The parts of `text` between separators that stand outside quotation marks.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let literal = std::mem::take(&mut escaped);
        match c {
            '\\' if quoted && !literal => escaped = true,
            '"' if !literal => quoted = !quoted,
            _ => {}
        }
        c == separator && !quoted
    })
    .collect()
}

/// The content of a quoted string, or a token as it is.
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut escaped = false;
    let kept = |c: &char| {
        escaped = *c == '\\' && !escaped;
        !escaped
    };
    inner.chars().filter(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_with_their_quotes_and_locations() {
        let header = r#"SIP ;cause=603;text="a, b; Q.850;cause=1", q.850; Cause = 21 ;location=u;text="Say \"no\"""#;
        let response = FinalResponse::new(603, "Decline").with_reason(header);
        assert_eq!(response.causes, [Cause { code: 21, by_user: true }]);
        assert_eq!(response.texts, ["a, b; Q.850;cause=1", "Say \"no\""]);
        let two = FinalResponse::new(486, "").with_reason("Q.850;cause=17").with_reason("Q.850;cause=16;location=LN");
        assert_eq!(two.causes, [Cause::new(17), Cause::new(16)]);
        for nothing in ["", ";", "Q.850", "Q.850;cause", "Q.850;cause=x", "Q.850;cause=99999", "SIP;cause=486", "\""] {
            assert_eq!(FinalResponse::new(486, "").with_reason(nothing).causes, [], "{nothing}");
        }
    }

    #[test]
    fn retry_after_is_seconds_whatever_stands_behind_them() {
        let read = |header| FinalResponse::default().with_retry_after(header).retry_after.map(|time| time.as_secs());
        assert_eq!(read("18000;duration=3600"), Some(18_000));
        assert_eq!(read(" 120 (I'm in a meeting)"), Some(120));
        assert_eq!(read("99999999999999"), Some(u32::MAX.into()));
        assert_eq!(read("Mon, 01 Jan 2035 00:00:00 GMT"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn texts_are_found_in_any_case() {
        let response = FinalResponse::new(403, "Forbidden").with_warning("399 host \"Channel LIMIT reached\"");
        assert!(response.says("channel limit") && response.says("FORBID") && !response.says("credit"));
    }
}
