//! A service instance: caller numbers, limits and the trunk they belong to.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::calling_window::{CallingDays, CallingWindow, DailyRange, Zone};
use super::ids::{ServiceInstanceId, TrunkName};
use super::phone_number::PhoneNumber;

/// The whole record of a service instance; a put replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceInstance {
    pub id: ServiceInstanceId,
    pub name: String,
    pub trunk: TrunkName,
    pub share: Share,
    pub caller_numbers: Vec<CallerNumber>,
}

/// What a service instance may use of its trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Slots; 0 retires the service instance.
    pub max_concurrent: u32,
    /// Calls placed in any second.
    pub max_cps: u32,
}

/// A number that calls are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerNumber {
    pub number: PhoneNumber,
    pub max_concurrent: Option<u32>,
    pub hours: Option<NumberHours>,
}

/// When the carrier lets a caller number be used; it narrows the window of the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberHours {
    pub time_zone: Zone,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calling_days: Option<CallingDays>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calling_times: Option<Vec<DailyRange>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_call_times: Option<Vec<DailyRange>>,
}

impl NumberHours {
    /// The window that is left, which may be none at all.
    pub fn window(&self) -> CallingWindow {
        let allowed = self.calling_times.as_deref().unwrap_or(&[DailyRange::WHOLE_DAY]);
        let times = DailyRange::without(allowed, self.no_call_times.as_deref().unwrap_or_default());
        CallingWindow { time_zone: self.time_zone, days: self.calling_days.unwrap_or(CallingDays::ALL), times }
    }
}

/// A caller number as the store keeps it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredCallerNumber {
    number: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_concurrent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hours: Option<NumberHours>,
}

impl From<&CallerNumber> for StoredCallerNumber {
    fn from(caller: &CallerNumber) -> Self {
        let CallerNumber { number, max_concurrent, hours } = caller;
        Self { number: number.e164().to_owned(), max_concurrent: *max_concurrent, hours: hours.clone() }
    }
}

impl From<StoredCallerNumber> for CallerNumber {
    fn from(stored: StoredCallerNumber) -> Self {
        let StoredCallerNumber { number, max_concurrent, hours } = stored;
        Self { number: PhoneNumber::from_stored(number), max_concurrent, hours }
    }
}

impl ServiceInstance {
    /// Whether there will ever be an instant at which a call within `window` can be made from one of its numbers.
    pub fn ever_calls_within(&self, window: &CallingWindow, now: DateTime<Utc>) -> bool {
        let mut looked_at: Vec<CallingWindow> = Vec::new();
        for caller in &self.caller_numbers {
            let Some(hours) = caller.hours.as_ref().map(NumberHours::window) else { return true };
            // Numbers of one carrier mostly have the same hours.
            if !looked_at.contains(&hours) {
                if window.ever_meets(&hours, now) {
                    return true;
                }
                looked_at.push(hours);
            }
        }
        false
    }
}

/// What a trunk can carry in all; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrunkCapacity {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_channels: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cps: Option<u32>,
}

/// What the trunks of the settings can carry, by name.
pub type TrunkCapacities = BTreeMap<TrunkName, TrunkCapacity>;

/// The sum of the shares on one trunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrunkLoad {
    pub max_concurrent: u64,
    pub max_cps: u64,
}

impl TrunkCapacity {
    /// What is left where two daemons' settings differ about a trunk: the tighter limit of each kind.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        let tighter = |one: Option<u32>, other: Option<u32>| one.into_iter().chain(other).min();
        Self {
            max_channels: tighter(self.max_channels, other.max_channels),
            max_cps: tighter(self.max_cps, other.max_cps),
        }
    }

    /// True when shares that add up to `load` fit the trunk.
    pub fn carries(self, load: TrunkLoad) -> bool {
        let fits = |limit: Option<u32>, sum: u64| limit.is_none_or(|limit| sum <= u64::from(limit));
        fits(self.max_channels, load.max_concurrent) && fits(self.max_cps, load.max_cps)
    }

    /// The part of `share` that is left when the settings shrank below the shares (`load`): in proportion, rounded
    /// down, so that all owners together stay within the trunk without asking each other.
    #[must_use]
    pub fn scale(self, share: Share, load: TrunkLoad) -> Share {
        let scaled = |part: u32, limit: Option<u32>, sum: u64| match limit {
            Some(limit) if sum > u64::from(limit) => {
                u32::try_from(u64::from(part) * u64::from(limit) / sum).unwrap_or(part)
            }
            _ => part,
        };
        Share {
            max_concurrent: scaled(share.max_concurrent, self.max_channels, load.max_concurrent),
            max_cps: scaled(share.max_cps, self.max_cps, load.max_cps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_whose_hours_meet_the_window_is_enough() {
        let hours = |start, end, no_call_times| {
            let calling_times = Some(vec![DailyRange { start, end }]);
            NumberHours { time_zone: "UTC".parse().unwrap(), calling_days: None, calling_times, no_call_times }
        };
        let instance = |hours: &[Option<NumberHours>]| ServiceInstance {
            id: ServiceInstanceId("line".into()),
            name: "Line".into(),
            trunk: TrunkName::new("simulated"),
            share: Share { max_concurrent: 1, max_cps: 1 },
            caller_numbers: (hours.iter().cloned())
                .map(|hours| CallerNumber {
                    number: PhoneNumber::from_stored("+49301".into()),
                    max_concurrent: None,
                    hours,
                })
                .collect(),
        };
        let morning = hours(540, 720, None);
        let (evening, nothing) = (hours(1_020, 1_200, None), hours(540, 720, Some(vec![DailyRange::WHOLE_DAY])));
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let calls = |numbers: &[Option<NumberHours>]| instance(numbers).ever_calls_within(&morning.window(), now);
        assert!(calls(&[Some(evening.clone()), Some(morning.clone())]));
        assert!(calls(&[Some(evening.clone()), None]));
        assert!(!calls(&[Some(evening), Some(nothing)]));
    }

    #[test]
    fn of_two_settings_of_a_trunk_the_tighter_limits_hold() {
        let one = TrunkCapacity { max_channels: Some(100), max_cps: None };
        let other = TrunkCapacity { max_channels: Some(50), max_cps: Some(5) };
        assert_eq!(one.tighter(other), other);
        assert_eq!(one.tighter(TrunkCapacity::default()), one);
    }

    #[test]
    fn shares_above_the_trunk_shrink_in_proportion() {
        let trunk = TrunkCapacity { max_channels: Some(100), max_cps: None };
        let load = TrunkLoad { max_concurrent: 150, max_cps: 30 };
        assert!(!trunk.carries(load));
        let scale = |max_concurrent| trunk.scale(Share { max_concurrent, max_cps: 10 }, load);
        assert_eq!(scale(100), Share { max_concurrent: 66, max_cps: 10 });
        assert_eq!(scale(50), Share { max_concurrent: 33, max_cps: 10 });
        let enough = TrunkLoad { max_concurrent: 100, max_cps: 30 };
        assert!(trunk.carries(enough));
        assert_eq!(trunk.scale(Share { max_concurrent: 100, max_cps: 30 }, enough).max_concurrent, 100);
    }
}
