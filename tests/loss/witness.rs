//! What a phone saw of its calls, to be compared with what the daemon tells.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, Utc};

use crate::network::Traffic;

/// One call, by its Call-ID.
#[derive(Debug, Clone, Default)]
pub struct Call {
    pub callee: String,
    /// Of the INVITEs that would begin a call.
    pub branches: BTreeSet<String>,
    /// The bodies of further offers.
    pub offers: BTreeSet<String>,
    /// When what the phone said reached the daemon first: "200 INVITE", "BYE".
    pub said: HashMap<String, DateTime<Utc>>,
    pub is_over: bool,
}

/// Everything that one phone saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub calls: HashMap<String, Call>,
    /// What must not be, whatever is lost.
    pub faults: Vec<String>,
    /// Messages that are repeated until they are heard.
    pub unheard: usize,
    pub incoming: Traffic,
    pub outgoing: Traffic,
    pub repeated_requests: u32,
}

/// Shared by a phone and the test.
#[derive(Debug, Clone, Default)]
pub struct Witness(Arc<Mutex<Seen>>);

impl Witness {
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap()
    }

    /// Whether nothing more is to come.
    pub fn is_quiet(&self) -> bool {
        let seen = self.seen();
        seen.unheard == 0 && seen.calls.values().all(|call| call.is_over)
    }
}

#[allow(clippy::disallowed_methods, reason = "a witness has the true time")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
