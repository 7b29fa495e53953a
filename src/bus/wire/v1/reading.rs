//! Parsers of the values that several commands share.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use chrono_tz::Tz;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::calling_window::{DAY_MINUTES, DAYS, DailyRange};
use crate::domain::fields::{Fields, Parsed, excerpt, line, list, text, wrong_type};
use crate::domain::ids::{TaskId, TrunkName};
use crate::domain::phone_number::Region;
use crate::domain::problem::{Code, Problem, Problems};
use crate::domain::service_instance::TrunkCapacity;

/// What the daemon's settings say about commands.
#[derive(Debug, Clone)]
pub struct Rules {
    pub default_region: Option<Region>,
    pub default_time_zone: Tz,
    pub most_concurrency: u32,
    pub trunks: BTreeMap<TrunkName, TrunkCapacity>,
}

/// The longest id that the upstream system may choose.
pub const ID_LENGTH: RangeInclusive<usize> = 1..=64;

/// A UUID.
pub fn task_id(value: &Value) -> Parsed<TaskId> {
    let id = value.as_str().ok_or_else(|| wrong_type("a UUID", value))?;
    let invalid = || Problem::new(Code::InvalidValue, "must be a UUID, like 7f9c24e8-3b1e-4d6a-9f0e-1c2d3e4f5a6b");
    Ok(TaskId(Uuid::parse_str(id).map_err(|_| invalid())?))
}

/// An IANA time zone, by its name.
pub fn time_zone(value: &Value) -> Parsed<String> {
    let name = line(1..=64)(value)?;
    let known = name.parse::<Tz>().is_ok();
    let unknown = || Problem::new(Code::InvalidValue, "is no IANA time zone; write one like Europe/Berlin");
    if known { Ok(name) } else { Err(unknown().into()) }
}

/// A non-empty set of days; in the order of the week whatever order they come in.
pub fn calling_days(value: &Value) -> Parsed<Vec<String>> {
    let given = list(1..=7, |item| {
        let day = text(1..=16)(item)?;
        let known = DAYS.contains(&day.as_str());
        let unknown = || Problem::new(Code::InvalidValue, format!("must be one of {}", DAYS.join(", ")));
        if known { Ok(day) } else { Err(unknown().into()) }
    })(value)?;
    let days: Vec<String> =
        DAYS.iter().filter(|day| given.iter().any(|g| g == *day)).map(ToString::to_string).collect();
    if days.len() < given.len() {
        return Err(Problem::new(Code::InvalidValue, "names a day twice; name each once").into());
    }
    Ok(days)
}

/// Ranges of a day: half-open, not empty, not overlapping; in the order of the day whatever order they come in.
pub fn daily_ranges(value: &Value) -> Parsed<Vec<DailyRange>> {
    let mut ranges = list(1..=48, |item| {
        let mut fields = Fields::of(item)?;
        let start = fields.required("start", |value| minute_of_day(value, DAY_MINUTES - 1));
        let end = fields.required("end", |value| minute_of_day(value, DAY_MINUTES));
        if let (Some(start), Some(end)) = (start, end)
            && start >= end
        {
            let message = "must be after start; write a range over midnight as two";
            fields.problem(Problem::of("end", Code::InvalidValue, message));
        }
        let range = DailyRange { start: start.unwrap_or(0), end: end.unwrap_or(0) };
        fields.finish().unless_any(range)
    })(value)?;
    ranges.sort_unstable();
    if ranges.windows(2).any(|pair| pair[1].start < pair[0].end) {
        return Err(Problem::new(Code::InvalidValue, "has ranges that overlap; join them").into());
    }
    Ok(ranges)
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

/// A key of a variable or tag: up to 64 characters, none of them a control character.
pub fn is_key(key: &str) -> bool {
    (1..=64).contains(&key.chars().count()) && !key.chars().any(char::is_control)
}

/// A trunk of the settings, in any case.
pub fn trunk(value: &Value, rules: &Rules) -> Parsed<TrunkName> {
    let name = TrunkName::new(&line(ID_LENGTH)(value)?);
    if rules.trunks.contains_key(&name) {
        return Ok(name);
    }
    let known: Vec<&str> = rules.trunks.keys().map(|name| name.0.as_str()).collect();
    let message = format!("the settings have no such trunk; they have {}", known.join(", "));
    Err(Problem::new(Code::TrunkUnknown, message).into())
}

/// What the contract describes and this version cannot do yet.
pub fn not_yet(field: &str, what: &str) -> Problem {
    Problem::of(field, Code::NotYetSupported, format!("{what} not supported yet by this version of calltaskd"))
}
