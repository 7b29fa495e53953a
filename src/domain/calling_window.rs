//! On which days and at which times a task may call.
//!
//! So far a window is all day, all week; [`CallingWindow::is_unrestricted`] is what the consumer refuses the rest
//! by, and the last check before a call asks [`CallingWindow::is_open`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Minutes of a whole day; the end `24:00`.
pub const DAY_MINUTES: u16 = 24 * 60;

/// The days of the week as the wire spells them, in the order of ISO 8601.
pub const DAYS: [&str; 7] = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];

/// A half-open range of a day in minutes after midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DailyRange {
    pub start: u16,
    pub end: u16,
}

/// A task's calling days and times, in its time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallingWindow {
    /// IANA name.
    pub time_zone: String,
    /// As the wire spells them, in the order of the week.
    pub days: Vec<String>,
    /// Rising and not overlapping.
    pub times: Vec<DailyRange>,
}

impl CallingWindow {
    /// True when every instant lies inside.
    pub fn is_unrestricted(&self) -> bool {
        let mut covered = 0;
        for range in &self.times {
            if range.start != covered {
                return false;
            }
            covered = range.end;
        }
        covered == DAY_MINUTES && self.days.len() == DAYS.len()
    }

    /// True when a call may begin at `now`. A window that this version cannot judge is closed.
    pub fn is_open(&self, _now: DateTime<Utc>) -> bool {
        self.is_unrestricted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_meet_cover_the_day() {
        let window = |times: &[(u16, u16)], days: usize| CallingWindow {
            time_zone: "UTC".into(),
            days: DAYS[..days].iter().map(ToString::to_string).collect(),
            times: times.iter().map(|&(start, end)| DailyRange { start, end }).collect(),
        };
        assert!(window(&[(0, 720), (720, 1440)], 7).is_unrestricted());
        assert!(!window(&[(0, 720), (721, 1440)], 7).is_unrestricted());
        assert!(!window(&[(0, 1439)], 7).is_unrestricted());
        assert!(!window(&[(0, 1440)], 6).is_unrestricted());
        assert!(!window(&[], 7).is_unrestricted());
    }
}
