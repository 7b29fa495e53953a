//! A service instance: caller numbers, limits and the trunk they belong to.

use serde::{Deserialize, Serialize};

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
}

/// A caller number as the store keeps it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredCallerNumber {
    number: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_concurrent: Option<u32>,
}

impl From<&CallerNumber> for StoredCallerNumber {
    fn from(caller: &CallerNumber) -> Self {
        Self { number: caller.number.e164().to_owned(), max_concurrent: caller.max_concurrent }
    }
}

impl From<StoredCallerNumber> for CallerNumber {
    fn from(stored: StoredCallerNumber) -> Self {
        Self { number: PhoneNumber::from_stored(stored.number), max_concurrent: stored.max_concurrent }
    }
}

/// What a trunk can carry in all; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrunkCapacity {
    pub max_channels: Option<u32>,
    pub max_cps: Option<u32>,
}

/// The sum of the shares on one trunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrunkLoad {
    pub max_concurrent: u64,
    pub max_cps: u64,
}

impl TrunkCapacity {
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
