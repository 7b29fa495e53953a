//! Certificates and keys: read from their files with the settings, so that a missing one is told at once.
//!
//! Must not judge certificates; who uses them does. No message may hold a part of a key.

use std::fs;

use secrecy::SecretString;
use serde_json::Value;

use super::reader::Section;
use super::sip::Certificate;
use crate::domain::fields::{self, Parsed};
use crate::domain::problem::{Code, Problem};

/// The settings `certificate_file` and `key_file`, which go together.
pub(super) fn certificate(section: &mut Section<'_>) -> Option<Certificate> {
    let named = ["certificate_file", "key_file"].map(|key| (key, section.optional(key, Ok)));
    for (one, other) in [(0, 1), (1, 0)] {
        if named[one].1.is_some() && named[other].1.is_none() {
            let message = format!("goes together with {}; give both or neither", named[one].0);
            section.problem(Problem::of(named[other].0, Code::Required, message));
        }
    }
    let [chain, key] = named.map(|(key, value)| value.and_then(|value| section.note(key, content(value))));
    Some(Certificate { chain: chain?, key: SecretString::from(key?) })
}

/// What stands in the PEM file that `value` names.
pub(super) fn content(value: &Value) -> Parsed<String> {
    let path = fields::line(1..=4_096)(value)?;
    let content = fs::read_to_string(&path).map_err(|error| {
        let message = format!("cannot read {path}: {error}; name a PEM file that the daemon may read");
        Problem::new(Code::Unreadable, message)
    })?;
    if !content.contains("-----BEGIN ") {
        let message = format!("{path} is no PEM file: there is no line with -----BEGIN in it");
        return Err(Problem::new(Code::InvalidValue, message).into());
    }
    Ok(content)
}
