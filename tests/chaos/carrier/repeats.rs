//! What is said again until it is heard (RFC 3261, timers E, F, G and H): a last response until its ACK, a BYE until its response.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVEN_UP: Duration = Duration::from_secs(32);

/// What ends the repeating: the ACK to the INVITE with this number, or the response to the BYE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Heard {
    Ack(u32),
    Bye,
}

#[derive(Debug)]
struct Repeat {
    text: String,
    to: SocketAddr,
    pause: Duration,
    ends: Instant,
}

/// What became of something to be said again.
pub enum Due {
    /// Say this, and look again then.
    Again { text: String, to: SocketAddr, at: Instant },
    /// It was never heard.
    GivenUp,
    /// It was heard meanwhile.
    Nothing,
}

/// Everything that was not heard yet.
#[derive(Debug, Default)]
pub struct Repeats(HashMap<(String, Heard), Repeat>);

impl Repeats {
    /// Gives when to look at it.
    pub fn add(&mut self, call_id: &str, until: Heard, (text, to): (String, SocketAddr)) -> Instant {
        let now = Instant::now();
        self.0.insert((call_id.to_owned(), until), Repeat { text, to, pause: T1, ends: now + GIVEN_UP });
        now + T1
    }

    /// False: it was heard before, or never said.
    pub fn hear(&mut self, call_id: &str, heard: Heard) -> bool {
        self.0.remove(&(call_id.to_owned(), heard)).is_some()
    }

    pub fn look(&mut self, call_id: &str, until: Heard) -> Due {
        let now = Instant::now();
        let key = (call_id.to_owned(), until);
        let Some(repeat) = self.0.get_mut(&key) else { return Due::Nothing };
        if repeat.ends <= now {
            self.0.remove(&key);
            return Due::GivenUp;
        }
        repeat.pause = (repeat.pause * 2).min(T2);
        Due::Again { text: repeat.text.clone(), to: repeat.to, at: now + repeat.pause }
    }
}
