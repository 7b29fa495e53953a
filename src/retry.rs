//! How long to wait before another try: longer each time, never longer than a limit, never in step with others.
//!
//! The only file that uses the `backoff` crate, which is no longer maintained: replace it here.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// The waits of one series of tries; start a new series after a success.
#[derive(Debug)]
pub struct Delays(ExponentialBackoff);

impl Delays {
    /// From a tenth of a second up to `longest`, without end.
    pub fn up_to(longest: Duration) -> Self {
        Self(ExponentialBackoff {
            current_interval: Duration::from_millis(100),
            initial_interval: Duration::from_millis(100),
            multiplier: 2.0,
            max_interval: longest,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }

    /// Forgets the failures so far.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// The next wait.
    pub fn next_delay(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(self.0.max_interval)
    }
}
