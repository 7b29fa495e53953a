//! On which days and at which times calls may begin: of a task, and of a caller number.
//!
//! A window is a set of instants: those whose *local* time lies on one of its days and in one of its ranges. So an
//! hour that a zone repeats in autumn is open twice, and one that it skips in spring is open not at all, without a
//! rule of its own for either. Nothing here looks at a clock, and nothing rounds: the ends are exact to the second.

mod meeting;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Minutes of a whole day; the end `24:00`.
pub const DAY_MINUTES: u16 = 24 * 60;

/// The days of the week as the wire spells them, in the order of ISO 8601.
pub const DAYS: [&str; 7] = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];

/// How many stretches are looked through for an opening: more than a year of days. A window opens within a week or
/// two; only one whose hour the zone's change of the clocks leaves out again and again takes longer.
const MOST_STRETCHES: usize = 400;

/// No call begins so shortly before a window closes: between the last look at the clock and the carrier's own there
/// is a moment that nobody can check.
const LAST_MOMENT: TimeDelta = TimeDelta::milliseconds(50);

/// A half-open range of a day in minutes after midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DailyRange {
    pub start: u16,
    pub end: u16,
}

impl DailyRange {
    pub const WHOLE_DAY: Self = Self { start: 0, end: DAY_MINUTES };

    /// What is left of rising ranges without those in `taken`; both may be empty.
    pub fn without(ranges: &[Self], taken: &[Self]) -> Vec<Self> {
        let mut left = ranges.to_vec();
        for gap in taken {
            let parts = left.iter().flat_map(|range| {
                let before = Self { start: range.start, end: range.end.min(gap.start) };
                let after = Self { start: range.start.max(gap.end), end: range.end };
                [before, after]
            });
            left = parts.filter(|part| part.start < part.end).collect();
        }
        left
    }
}

/// A set of days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<&'static str>")]
pub struct CallingDays(u8);

impl CallingDays {
    pub const ALL: Self = Self(0b0111_1111);

    fn contains(self, day: Weekday) -> bool {
        self.0 >> day.num_days_from_monday() & 1 == 1
    }

    fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// As the wire spells them, in the order of the week.
    pub fn names(self) -> Vec<&'static str> {
        (0..7).filter(|day| self.0 >> day & 1 == 1).map(|day: usize| DAYS[day]).collect()
    }
}

impl<'n> FromIterator<&'n str> for CallingDays {
    /// Names that are no day are passed over: who reads them from outside has judged them.
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        let places = names.into_iter().filter_map(|name| DAYS.iter().position(|day| *day == name));
        Self(places.fold(0, |days, place| days | 1 << place))
    }
}

impl TryFrom<Vec<String>> for CallingDays {
    type Error = String;
    fn try_from(names: Vec<String>) -> Result<Self, String> {
        let unknown = names.iter().find(|name| !DAYS.contains(&name.as_str()));
        unknown.map_or_else(|| Ok(names.iter().map(String::as_str).collect()), |name| Err(format!("no day: {name}")))
    }
}

impl From<CallingDays> for Vec<&'static str> {
    fn from(days: CallingDays) -> Self {
        days.names()
    }
}

/// A time zone of the IANA database, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(Tz);

impl Zone {
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    fn local(self, at: i64) -> NaiveDateTime {
        let utc = DateTime::from_timestamp(at, 0).unwrap_or_default();
        utc.with_timezone(&self.0).naive_local()
    }

    /// Seconds that local time is ahead of UTC.
    fn offset(self, at: i64) -> i64 {
        let utc = DateTime::from_timestamp(at, 0).unwrap_or_default().naive_utc();
        self.0.offset_from_utc_datetime(&utc).fix().local_minus_utc().into()
    }

    /// The stretch that begins at `start`: it ends with the local day, or before that where the zone changes its
    /// offset, so that within it local time runs on like any clock.
    fn stretch(self, start: i64) -> Stretch {
        let (local, offset) = (self.local(start), self.offset(start));
        let midnight = local.date().and_time(NaiveTime::MIN).and_utc().timestamp() - offset;
        let (mut same, mut end) = (start, midnight + i64::from(DAY_MINUTES) * 60);
        if self.offset(end) != offset {
            // No zone changes its offset twice within a day.
            while end - same > 1 {
                let middle = same + (end - same) / 2;
                if self.offset(middle) == offset { same = middle } else { end = middle }
            }
        }
        Stretch { start, end, midnight, day: local.weekday() }
    }
}

impl From<Tz> for Zone {
    fn from(zone: Tz) -> Self {
        Self(zone)
    }
}

impl FromStr for Zone {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        name.parse().map(Self).map_err(|error: chrono_tz::ParseError| error.to_string())
    }
}

impl TryFrom<String> for Zone {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().to_owned()
    }
}

/// A part of one local day in which local time runs on without a jump; instants in seconds.
struct Stretch {
    start: i64,
    end: i64,
    /// When the day began, had the offset been the same since.
    midnight: i64,
    day: Weekday,
}

/// The days and times at which calls may begin, in a time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallingWindow {
    pub time_zone: Zone,
    pub days: CallingDays,
    /// Rising and not overlapping. Those of a caller number may be none at all; then it is never open.
    pub times: Vec<DailyRange>,
}

impl CallingWindow {
    /// True when every instant lies inside.
    fn is_unrestricted(&self) -> bool {
        let covered =
            self.times.iter().fold(0, |covered, range| if range.start == covered { range.end } else { covered });
        covered == DAY_MINUTES && self.days == CallingDays::ALL
    }

    /// True when a call may begin at this instant.
    pub fn is_open(&self, at: DateTime<Utc>) -> bool {
        let local = self.time_zone.local(at.timestamp());
        let minute = local.hour() * 60 + local.minute();
        let holds = |range: &DailyRange| (u32::from(range.start)..u32::from(range.end)).contains(&minute);
        self.days.contains(local.weekday()) && self.times.iter().any(holds)
    }

    /// The first instant from `now` on at which a call may begin: `now` itself when it may. `None` for a window that
    /// does not open within a year.
    pub fn next_opening(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.is_open(now) {
            return Some(now);
        }
        let mut start = now.timestamp();
        for _ in 0..MOST_STRETCHES {
            let stretch = self.time_zone.stretch(start);
            if let Some(opening) = self.opening_within(&stretch) {
                return DateTime::from_timestamp(opening, 0);
            }
            start = stretch.end;
        }
        None
    }

    /// The first instant from `at` on at which a call may be planned: none in the last moment before a closing.
    pub fn next_chance(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let closing = self.is_open(at) && !self.is_open(at + LAST_MOMENT * 2);
        self.next_opening(if closing { at + LAST_MOMENT * 2 } else { at })
    }

    fn opening_within(&self, stretch: &Stretch) -> Option<i64> {
        let instant = |minute: u16| stretch.midnight + i64::from(minute) * 60;
        let overlaps = |range: &&DailyRange| instant(range.start) < stretch.end && instant(range.end) > stretch.start;
        let first = self.times.iter().filter(|_| self.days.contains(stretch.day)).find(overlaps)?;
        Some(instant(first.start).max(stretch.start))
    }
}

/// A window for whoever asks again and again: while it is closed it remembers until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    window: CallingWindow,
    /// No calendar need be asked.
    always_open: bool,
    closed_until: Option<DateTime<Utc>>,
}

impl Gate {
    pub fn new(window: CallingWindow) -> Self {
        Self { always_open: window.is_unrestricted(), window, closed_until: None }
    }

    pub fn window(&self) -> &CallingWindow {
        &self.window
    }

    /// True when a call may begin now, or a moment later.
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.always_open || (self.closed_until.is_none_or(|until| until <= now) && self.is_open_for(now, LAST_MOMENT))
    }

    /// The same for a call that is only prepared now, and placed within the blink of an eye.
    pub fn stays_open(&self, now: DateTime<Utc>) -> bool {
        self.is_open(now) && (self.always_open || self.is_open_for(now, LAST_MOMENT * 2))
    }

    fn is_open_for(&self, now: DateTime<Utc>, moment: TimeDelta) -> bool {
        self.window.is_open(now) && self.window.is_open(now + moment)
    }

    /// When it opens next, if calls must wait for that.
    pub fn next_opening(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.stays_open(now) {
            return None;
        }
        if self.closed_until.is_none_or(|until| until <= now) {
            // One that never opens is asked again tomorrow.
            self.closed_until = self.window.next_chance(now).or(Some(now + TimeDelta::days(1)));
        }
        self.closed_until
    }
}
