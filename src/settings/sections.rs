//! Each section of the settings: its type, its keys, their defaults and limits.
//!
//! A default stands here and, for people, in `config/calltaskd.toml`; a test holds the two equal. Must not
//! look at other sections: what contradicts itself does so within one.

use std::time::Duration;

use chrono_tz::Tz;
use secrecy::SecretString;
use serde_json::Value;

use super::reader::Section;
use super::secret;
use crate::domain::fields::{self, Parsed};
use crate::domain::phone_number::Region;
use crate::domain::problem::{Code, Problem};
use crate::telemetry::{self, LogFormat, Logging};

/// This daemon among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Stands in the source of its events; the host name by default.
    pub name: String,
}

impl Node {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { name: section.optional("name", fields::line(1..=64)).unwrap_or_else(host_name) }
    }
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "calltaskd".to_owned() } else { name }
}

/// The Postgres server and how it is used.
#[derive(Debug, Clone)]
pub struct Database {
    pub url: SecretString,
    pub max_connections: u32,
    pub statement_timeout: Duration,
    pub lock_timeout: Duration,
    pub idle_in_transaction_timeout: Duration,
    pub migrate_on_start: bool,
}

impl Database {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            url: secret::url(section, DATABASE_URL, secret::postgres_url),
            // The stages wait for each other's connections, so one would be too few.
            max_connections: section.number("max_connections", 16, 2..=1_000),
            statement_timeout: section.seconds("statement_timeout_seconds", 30, 1..=3_600),
            lock_timeout: section.seconds("lock_timeout_seconds", 5, 1..=3_600),
            idle_in_transaction_timeout: section.seconds("idle_in_transaction_timeout_seconds", 60, 1..=3_600),
            migrate_on_start: section.flag("migrate_on_start", true),
        }
    }
}

const DATABASE_URL: &str = "postgres://calltaskd@%2Fvar%2Frun%2Fpostgresql/calltaskd";

/// The RabbitMQ server and how it is used.
#[derive(Debug, Clone)]
pub struct Bus {
    pub url: SecretString,
    /// What the names of all exchanges and queues begin with.
    pub prefix: String,
    pub publish_timeout: Duration,
    /// Messages on their way to the broker whose confirm is awaited.
    pub confirm_window: u32,
}

impl Bus {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            url: secret::url(section, BUS_URL, secret::amqp_url),
            prefix: section.optional("prefix", prefix).unwrap_or_else(|| "calltaskd".to_owned()),
            publish_timeout: section.seconds("publish_timeout_seconds", 10, 1..=600),
            confirm_window: section.number("confirm_window", 512, 1..=65_535),
        }
    }
}

const BUS_URL: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";

fn prefix(value: &Value) -> Parsed<String> {
    let prefix = fields::line(1..=64)(value)?;
    // AMQP names hold at most 255 bytes, and ours add a word to the prefix.
    if prefix.len() > 200 {
        let message = "has more than 200 bytes; write a shorter one";
        return Err(Problem::new(Code::TooLong, message).into());
    }
    if prefix.starts_with("amq.") {
        let message = "must not begin with amq., which brokers keep for themselves";
        return Err(Problem::new(Code::InvalidValue, message).into());
    }
    Ok(prefix)
}

/// What tasks may ask for, and how often a failure is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The highest concurrency of a task.
    pub task_concurrency: u32,
    /// Failures in a row that are not counted against a callee.
    pub uncounted_attempts: u32,
    /// How soon a callee is tried again after such a failure.
    pub uncounted_retry: Duration,
}

impl Limits {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            task_concurrency: section.number("task_concurrency", 500, 1..=100_000),
            uncounted_attempts: section.number("uncounted_attempts", 5, 1..=1_000),
            uncounted_retry: section.seconds("uncounted_retry_seconds", 5, 1..=3_600),
        }
    }
}

/// Defaults of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tasks {
    /// The time zone of a task that names none.
    pub time_zone: Tz,
}

impl Tasks {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let invalid = "must be an IANA time zone, like Europe/Berlin";
        let zone = |text: &str| text.parse().ok();
        Self { time_zone: section.optional("time_zone", named(invalid, zone)).unwrap_or(Tz::UTC) }
    }
}

/// How phone numbers are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// The country whose national format rows may use.
    pub default_region: Option<Region>,
}

impl Numbers {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let invalid = "must be a country's two letters (ISO 3166-1), like DE";
        let region = |text: &str| text.parse().ok();
        Self { default_region: section.optional("default_region", named(invalid, region)) }
    }
}

/// The memory of handled commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbox {
    /// How long a command that comes again gets its old reply.
    pub keep_days: u32,
}

impl Inbox {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { keep_days: section.number("keep_days", 30, 1..=3_650) }
    }
}

/// Events that wait to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// How long an event waits for a queue to be bound for it.
    pub unroutable_keep: Duration,
    /// The number of unpublished events beyond which no call is started.
    pub high_water: u64,
}

impl Events {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let hours = section.number("unroutable_keep_hours", 72, 1..=8_760);
        let high_water = section.number("high_water", 100_000, 1..=100_000_000);
        if section.flag("progress", false) {
            let message = "progress events are not supported yet; set it to false or leave it out";
            section.problem(Problem::of("progress", Code::NotYetSupported, message));
        }
        Self { unroutable_keep: Duration::from_secs(u64::from(hours) * 3_600), high_water: high_water.into() }
    }
}

/// How the daemon stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// How long calls may go on after a stop was asked for.
    pub grace: Duration,
}

impl Shutdown {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { grace: section.seconds("grace_seconds", 30, 0..=86_400) }
    }
}

/// The section `logging`; its type belongs to the log, which must not know the settings.
pub(super) fn logging(section: &mut Section<'_>) -> Logging {
    let invalid = "must be auto, text, json or journald";
    let format = |text: &str| {
        let mut all = LogFormat::ALL.into_iter();
        all.find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, format)| format)
    };
    Logging {
        level: section.optional("level", level).unwrap_or_else(|| "info".to_owned()),
        format: section.optional("format", named(invalid, format)).unwrap_or(LogFormat::Auto),
    }
}

fn level(value: &Value) -> Parsed<String> {
    let level = fields::line(1..=1_024)(value)?;
    match telemetry::filter(&level) {
        Ok(_) => Ok(level),
        Err(error) => Err(Problem::new(Code::InvalidValue, error.to_string()).into()),
    }
}

/// A text that `find` knows.
fn named<T>(invalid: &'static str, find: impl Fn(&str) -> Option<T>) -> impl Fn(&Value) -> Parsed<T> {
    move |value| {
        let text = fields::line(1..=64)(value)?;
        find(&text).ok_or_else(|| Problem::new(Code::InvalidValue, invalid).into())
    }
}
