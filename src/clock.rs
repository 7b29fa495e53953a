//! Where the time comes from: the only place that reads the system's clocks.
//!
//! Wall time goes through a [`Clock`], so that a test can hand the daemon another one. A lease is trusted by
//! [`BootInstant`] (CLOCK_BOOTTIME), because `std::time::Instant` stands still while a virtual machine is
//! suspended, and a lease does not.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rustix::time::{ClockId, clock_gettime};

/// Tells the time of day.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// This moment, by this clock.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A moment since boot, time asleep included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootInstant(Duration);

impl BootInstant {
    /// A moment that lies before every other.
    pub const PAST: Self = Self(Duration::ZERO);

    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Self(Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0)))
    }
}

impl std::ops::Add<Duration> for BootInstant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}
