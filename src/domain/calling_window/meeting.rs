//! Whether two windows will ever be open at the same instant.
//!
//! Within one zone the week decides. For two zones the time from now on is cut into parts in which both have one day
//! and one offset each; what such a part can hold depends on nothing but the two days, the two times of day and its
//! length, so each kind is looked at once. 28 years are walked through: after so many the days of the week fall on the
//! same dates again, and with them the changes of the clocks, which zones make on such a day of such a month. A single
//! year would not do: Berlin and Cairo change within days of each other, and not always in the same order.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::{CallingWindow, DailyRange};

/// 28 years, and a week for what has begun.
const CYCLE_SECONDS: i64 = (28 * 365 + 7 + 7) * 86_400;

impl CallingWindow {
    /// Whether there will ever be an instant at which both are open.
    pub fn ever_meets(&self, other: &Self, now: DateTime<Utc>) -> bool {
        if self.time_zone == other.time_zone {
            return self.days.intersects(other.days) && self.overlaps(other, 0, (0, i64::MAX));
        }
        let mut seen = HashSet::new();
        let mut start = now.timestamp();
        let end = start + CYCLE_SECONDS;
        while start < end {
            let (ours, theirs) = (self.time_zone.stretch(start), other.time_zone.stretch(start));
            let part = (start - ours.midnight, ours.end.min(theirs.end) - ours.midnight);
            let ahead = theirs.midnight - ours.midnight;
            if self.days.contains(ours.day)
                && other.days.contains(theirs.day)
                && seen.insert((ours.day, theirs.day, part, ahead))
                && self.overlaps(other, ahead, part)
            {
                return true;
            }
            start = ours.end.min(theirs.end);
        }
        false
    }

    /// Whether ranges of both lie over each other within `part`, in seconds of our day; theirs begins `ahead` of it.
    fn overlaps(&self, other: &Self, ahead: i64, part: (i64, i64)) -> bool {
        let seconds = |range: &DailyRange| (i64::from(range.start) * 60, i64::from(range.end) * 60);
        self.times.iter().map(seconds).any(|ours| {
            other.times.iter().map(seconds).any(|theirs| {
                let start = ours.0.max(theirs.0 + ahead).max(part.0);
                start < ours.1.min(theirs.1 + ahead).min(part.1)
            })
        })
    }
}
