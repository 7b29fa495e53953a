//! What is to be done when, in the order of time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::repeats::Heard;

/// What is to be done at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// What the lot says, after the ringing.
    Decide,
    RingOut,
    HangUp,
    Repeat(Heard),
    Forget,
}

/// Ordered by time alone.
struct Timer(Instant, u64, String, Deed);

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Timer {}
impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

#[derive(Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<Timer>>,
    set: u64,
}

impl Timers {
    pub fn set(&mut self, at: Instant, call_id: &str, deed: Deed) {
        self.set += 1;
        self.heap.push(Reverse(Timer(at, self.set, call_id.to_owned(), deed)));
    }

    /// How long until the next is due.
    pub fn wait(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse(timer)| timer.0.saturating_duration_since(Instant::now()))
    }

    /// The next that is due.
    pub fn next(&mut self) -> Option<(String, Deed)> {
        let is_due = self.heap.peek().is_some_and(|Reverse(timer)| timer.0 <= Instant::now());
        let Reverse(Timer(_, _, call_id, deed)) = if is_due { self.heap.pop()? } else { return None };
        Some((call_id, deed))
    }
}
