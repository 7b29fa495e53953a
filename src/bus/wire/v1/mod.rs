//! Version 1 of the wire contract: commands and queries in, replies and events out.

pub mod body;
pub mod cancel;
pub mod commands;
pub mod events;
pub mod exports;
pub mod import;
pub mod queries;
pub mod reading;
pub mod records;
pub mod replies;
pub mod report;
mod sip;
pub mod tasks;

#[cfg(test)]
mod any_json_tests;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serializer;

/// An instant as the contract writes it: UTC, with milliseconds.
pub fn instant_text(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn instant<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&instant_text(at))
}

fn optional_instant<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => instant(at, serializer),
        None => serializer.serialize_none(),
    }
}
