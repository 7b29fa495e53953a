//! Secrets: given in place, or in a file of their own (systemd's `LoadCredential`).
//!
//! No message may hold a secret or a part of it, so an address that cannot be understood is never quoted and
//! the errors of other libraries, which might quote it, are not passed on.

use std::fs;

use secrecy::SecretString;
use serde_json::Value;

use super::reader::Section;
use crate::domain::fields::{self, Parsed};
use crate::domain::problem::{Code, Problem};

/// The settings `url` and `url_file`, of which one may be given; `judge` says what is wrong with an address.
pub(super) fn url(section: &mut Section<'_>, default: &str, judge: fn(&str) -> Result<(), Problem>) -> SecretString {
    let (url, file) = (section.optional("url", Ok), section.optional("url_file", Ok));
    // The environment replaces what the file says, also when it says it the other way.
    let (url, file) = match (section.environment_gives("url"), section.environment_gives("url_file")) {
        (true, false) => (url, None),
        (false, true) => (None, file),
        _ => (url, file),
    };
    if url.is_some() && file.is_some() {
        section.problem(contradiction(section, ["url", "url_file"]));
    }
    let judged = |text: String| match judge(&text) {
        Ok(()) => Ok(SecretString::from(text)),
        Err(problem) => Err(problem.into()),
    };
    let given = url.and_then(|value| {
        let parsed = fields::line(1..=4_096)(value).and_then(judged);
        section.note("url", parsed)
    });
    let kept = file.and_then(|value| section.note("url_file", content(value).and_then(judged)));
    given.or(kept).unwrap_or_else(|| default.into())
}

/// A secret text in place or in a file: two settings of which one may be given, or none.
pub(super) fn text(section: &mut Section<'_>, [key, file_key]: [&'static str; 2]) -> Option<SecretString> {
    let (text, file) = (section.optional(key, Ok), section.optional(file_key, Ok));
    let (text, file) = match (section.environment_gives(key), section.environment_gives(file_key)) {
        (true, false) => (text, None),
        (false, true) => (None, file),
        _ => (text, file),
    };
    if text.is_some() && file.is_some() {
        section.problem(contradiction(section, [key, file_key]));
    }
    let given = text.and_then(|value| section.note(key, fields::line(1..=4_096)(value)));
    let kept = file.and_then(|value| section.note(file_key, content(value)));
    given.or(kept).map(SecretString::from)
}

/// The problem of two settings of which only one may be given.
pub(super) fn contradiction(section: &Section<'_>, [one, other]: [&str; 2]) -> Problem {
    let other = section.path_of(other);
    let message = format!("is given together with {other}, which contradicts it; remove one");
    Problem::of(one, Code::InvalidValue, message)
}

/// What stands in the file that `value` names, without the line's end.
pub(super) fn content(value: &Value) -> Parsed<String> {
    let path = fields::line(1..=4_096)(value)?;
    let content = fs::read_to_string(&path).map_err(|error| {
        let message = format!("cannot read {path}: {error}; name a file that the daemon may read");
        Problem::new(Code::Unreadable, message)
    })?;
    let content = content.trim_end_matches(['\n', '\r']);
    if content.is_empty() {
        let message = format!("there is nothing in {path}; write the secret into it");
        return Err(Problem::new(Code::InvalidValue, message).into());
    }
    if content.contains(char::is_control) {
        let message = format!("{path} has more than one line; only the secret may stand in it");
        return Err(Problem::new(Code::InvalidValue, message).into());
    }
    Ok(content.to_owned())
}

pub(super) fn postgres_url(url: &str) -> Result<(), Problem> {
    if ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(());
    }
    let message = "must be a Postgres URL: postgres://user:password@host:5432/database";
    Err(Problem::new(Code::InvalidValue, message))
}

pub(super) fn amqp_url(url: &str) -> Result<(), Problem> {
    let message = "must be an AMQP URL: amqp://user:password@host:5672/%2f, or amqps:// for TLS";
    let wrong = |_| Problem::new(Code::InvalidValue, message);
    let uri = url.parse::<lapin::uri::AMQPUri>().map_err(wrong)?;
    // The library panics at a name that AMQP cannot carry.
    if uri.vhost.len() > 255 {
        return Err(Problem::new(Code::TooLong, "has a virtual host of more than 255 bytes; name a shorter one"));
    }
    Ok(())
}
