//! Parsers of the values that several commands share.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::commands::complete;
use crate::domain::call::CallResult;
use crate::domain::calling_window::{CallingDays, DAY_MINUTES, DAYS, DailyRange, Zone};
use crate::domain::fields::{Fields, Parsed, count, excerpt, line, list, steering, text, wrong_type};
use crate::domain::ids::{TaskId, TrunkName};
use crate::domain::phone_number::Region;
use crate::domain::problem::{Code, Problem, Problems};
use crate::domain::redial::{REDIAL_REASONS, RedialRule};
use crate::domain::service_instance::TrunkCapacities;

/// What the daemon's settings say about commands.
#[derive(Debug, Clone)]
pub struct Rules {
    pub default_region: Option<Region>,
    pub default_time_zone: Zone,
    pub most_concurrency: u32,
    pub trunks: TrunkCapacities,
    /// Below it lie the recordings that reports name by path.
    pub recordings_root: Option<std::path::PathBuf>,
}

impl Rules {
    /// The same with the trunks of other daemons beside those of these settings: any of them may take the command, and
    /// another one place the calls.
    #[must_use]
    pub fn with_trunks(&self, others: TrunkCapacities) -> Self {
        let mut rules = self.clone();
        for (trunk, capacity) in others {
            let known = rules.trunks.entry(trunk).or_insert(capacity);
            *known = known.tighter(capacity);
        }
        rules
    }
}

/// The longest id that the upstream system may choose.
pub const ID_LENGTH: RangeInclusive<usize> = 1..=64;

/// The id of a task.
pub fn task_id(value: &Value) -> Parsed<TaskId> {
    uuid(value).map(TaskId)
}

/// A UUID.
pub fn uuid(value: &Value) -> Parsed<Uuid> {
    let id = value.as_str().ok_or_else(|| wrong_type("a UUID", value))?;
    let invalid = || Problem::new(Code::InvalidValue, "must be a UUID, like 7f9c24e8-3b1e-4d6a-9f0e-1c2d3e4f5a6b");
    Ok(Uuid::parse_str(id).map_err(|_| invalid())?)
}

/// An instant by RFC 3339, with any offset; one that has no other form in UTC than one with a year of five digits is none.
pub fn instant_of(value: &Value) -> Parsed<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(&line(1..=64)(value)?).map(|at| at.to_utc()).ok();
    let invalid = || Problem::new(Code::InvalidValue, "must be an instant like 2026-11-23T09:00:00+01:00");
    Ok(at.filter(|at| (0..=9_999).contains(&at.year())).ok_or_else(invalid)?)
}

/// An IANA time zone, by its name.
pub fn time_zone(value: &Value) -> Parsed<Zone> {
    let unknown = |_| Problem::new(Code::InvalidValue, "is no IANA time zone; write one like Europe/Berlin");
    Ok(line(1..=64)(value)?.parse().map_err(unknown)?)
}

/// A non-empty set of names, each of them one of `known`.
fn names<'k>(value: &Value, known: &[&'k str]) -> Parsed<Vec<&'k str>> {
    let given = list(1..=known.len(), |item| {
        let name = text(1..=32)(item)?;
        let unknown = || Problem::new(Code::InvalidValue, format!("must be one of {}", known.join(", ")));
        Ok(*known.iter().find(|known| **known == name).ok_or_else(unknown)?)
    })(value)?;
    for (index, name) in given.iter().enumerate() {
        if given[..index].contains(name) {
            return Err(Problem::new(Code::InvalidValue, format!("names {name} twice; name each once")).into());
        }
    }
    Ok(given)
}

/// A non-empty set of days.
pub fn calling_days(value: &Value) -> Parsed<CallingDays> {
    Ok(names(value, &DAYS)?.into_iter().collect())
}

/// A rule for calling again.
pub fn redial_rule(value: &Value) -> Parsed<RedialRule> {
    let mut fields = Fields::of(value)?;
    let reasons = fields.required("reasons", |value| {
        let given = names(value, &REDIAL_REASONS.map(CallResult::as_str))?;
        Ok(given.into_iter().filter_map(|reason| reason.parse().ok()).collect())
    });
    let times = fields.required("times", count(1..=3));
    let interval = fields.required("intervalMinutes", count(1..=720));
    let rule = (|| Some(RedialRule { reasons: reasons?, times: times?, interval_minutes: interval? }))();
    complete(fields.finish(), rule)
}

/// Ranges of a day: half-open, not empty, not overlapping; in the order of the day whatever order they come in.
pub fn daily_ranges(value: &Value) -> Parsed<Vec<DailyRange>> {
    let given = list(1..=48, |item| Ok(item.clone()))(value)?;
    let mut problems = Problems::none();
    let mut ranges = Vec::new();
    for (index, item) in given.iter().enumerate() {
        match daily_range(item) {
            Ok(range) => ranges.push(range),
            Err(found) => problems.append(found.under(&format!("[{index}]"))),
        }
    }
    ranges.sort_unstable();
    // Also beside others that are wrong in themselves, so that one reply tells everything.
    if ranges.windows(2).any(|pair| pair[1].start < pair[0].end) {
        problems.add(Problem::new(Code::InvalidValue, "has ranges that overlap; join them"));
    }
    problems.unless_any(ranges)
}

fn daily_range(value: &Value) -> Parsed<DailyRange> {
    let mut fields = Fields::of(value)?;
    let start = fields.required("start", |value| minute_of_day(value, DAY_MINUTES - 1));
    let end = fields.required("end", |value| minute_of_day(value, DAY_MINUTES));
    if let (Some(start), Some(end)) = (start, end)
        && start >= end
    {
        let message = "must be after start; write a range over midnight as two";
        fields.problem(Problem::of("end", Code::InvalidValue, message));
    }
    complete(fields.finish(), start.zip(end).map(|(start, end)| DailyRange { start, end }))
}

fn minute_of_day(value: &Value, latest: u16) -> Parsed<u16> {
    let time = text(1..=16)(value)?;
    let minutes = match time.as_bytes() {
        [h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit()) => {
            let number = |tens: u8, ones: u8| u16::from(tens - b'0') * 10 + u16::from(ones - b'0');
            let (hours, minutes) = (number(*h1, *h2), number(*m1, *m2));
            (minutes < 60).then_some(hours * 60 + minutes).filter(|at| *at <= latest)
        }
        _ => None,
    };
    minutes.ok_or_else(|| Problem::new(Code::InvalidValue, "must be a time like 09:00, up to 24:00 as an end").into())
}

/// Minutes of the day as the contract writes them.
pub fn time_of_day(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// A map of texts with limits on keys and values; `key` says what a key may be.
pub fn text_map(
    most: usize,
    key: impl Fn(&str) -> bool,
    value_length: usize,
) -> impl Fn(&Value) -> Parsed<BTreeMap<String, String>> {
    move |value| {
        let map = value.as_object().ok_or_else(|| wrong_type("an object of strings", value))?;
        if map.len() > most {
            return Err(
                Problem::new(Code::OutOfRange, format!("has {} keys; at most {most} are allowed", map.len())).into()
            );
        }
        let mut problems = Problems::none();
        let mut parsed = BTreeMap::new();
        for (name, value) in map {
            let shown = excerpt(name, 64);
            if !key(name) {
                let message = "the name is too long, empty, or has characters that are not allowed";
                problems.add(Problem::of(shown, Code::InvalidValue, message));
                continue;
            }
            match text(0..=value_length)(value) {
                Ok(text) => drop(parsed.insert(name.clone(), text)),
                Err(found) => problems.append(found.under(&shown)),
            }
        }
        problems.unless_any(parsed)
    }
}

/// A key of a variable or tag: a single line of up to 64 characters.
pub fn is_key(key: &str) -> bool {
    (1..=64).contains(&key.chars().count()) && steering(key).is_none()
}

/// A trunk of some daemon's settings, in any case.
pub fn trunk(value: &Value, rules: &Rules) -> Parsed<TrunkName> {
    let name = TrunkName::new(&line(ID_LENGTH)(value)?);
    if rules.trunks.contains_key(&name) {
        return Ok(name);
    }
    let known: Vec<&str> = rules.trunks.keys().map(|name| name.0.as_str()).collect();
    let message = format!("no daemon has such a trunk in its settings; there are {}", known.join(", "));
    Err(Problem::new(Code::TrunkUnknown, message).into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_instant_can_be_written_again_in_utc() {
        let read = |text: &str| instant_of(&json!(text)).map(|at| at.to_rfc3339());
        assert_eq!(read("9999-12-31T23:59:59+00:01").unwrap(), "9999-12-31T23:58:59+00:00");
        assert_eq!(read("0000-01-01T00:00:00Z").unwrap(), "0000-01-01T00:00:00+00:00");
        for over in ["9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01"] {
            assert!(read(over).is_err(), "{over}");
        }
    }
}
