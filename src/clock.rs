//! Where the time comes from: the only place that reads the system's clocks.
//!
//! Wall time goes through a [`Clock`], so that a test can hand the daemon another one: calling windows, redials,
//! scheduled starts and what is written down follow it. A lease is trusted by [`BootInstant`] (CLOCK_BOOTTIME), because
//! `std::time::Instant` stands still while a virtual machine is suspended, and a lease does not.

use std::fmt::Debug;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// The longest sleep before the machine's clock is read again: it may be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Tells the time of day.
pub trait Clock: Send + Sync + Debug {
    /// This moment, by this clock.
    fn now(&self) -> DateTime<Utc>;

    /// Waits until this clock shows `at`. May be dropped at any time.
    fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'_, ()>;

    /// This moment by the machine's clock, which is what can be compared with that of another machine.
    fn machine_time(&self) -> DateTime<Utc> {
        SystemClock.now()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'_, ()> {
        async move {
            while let Some(left) = (at - self.now()).to_std().ok().filter(|left| !left.is_zero()) {
                tokio::time::sleep(left.min(LOOK_AGAIN)).await;
            }
        }
        .boxed()
    }
}

/// A clock that stands still until somebody sets it: for tests that cannot wait for next Monday.
#[derive(Debug)]
pub struct ManualClock(watch::Sender<DateTime<Utc>>);

impl ManualClock {
    pub fn at(start: DateTime<Utc>) -> Self {
        Self(watch::Sender::new(start))
    }

    /// Sets it forward; whoever sleeps until then or earlier wakes.
    pub fn set(&self, to: DateTime<Utc>) {
        self.0.send_if_modified(|now| {
            let later = to > *now;
            *now = to.max(*now);
            later
        });
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.borrow()
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'_, ()> {
        let mut hand = self.0.subscribe();
        async move {
            // It cannot be closed: the sender is `self`.
            drop(hand.wait_for(|now| *now >= at).await);
        }
        .boxed()
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

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_is_set_so_far() {
        let start = DateTime::from_timestamp(1_000, 0).unwrap();
        let clock = ManualClock::at(start);
        clock.sleep_until(start).await;
        let mut sleep = clock.sleep_until(start + TimeDelta::seconds(10));
        clock.set(start + TimeDelta::seconds(9));
        assert!((&mut sleep).now_or_never().is_none());
        clock.set(start + TimeDelta::seconds(10));
        sleep.await;
        clock.set(start);
        assert_eq!(clock.now(), start + TimeDelta::seconds(10), "it never goes back");
    }

    #[tokio::test]
    async fn the_machine_sleeps_no_shorter_than_asked() {
        let at = SystemClock.now() + TimeDelta::milliseconds(20);
        SystemClock.sleep_until(at).await;
        assert!(SystemClock.now() >= at);
        SystemClock.sleep_until(at).await;
    }
}
