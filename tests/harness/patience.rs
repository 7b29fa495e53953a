//! Waiting: for a named condition, up to a deadline. The name stands in the failure message, because "timed out"
//! alone tells nobody what did not happen.

use std::time::{Duration, Instant};

/// For a reply, a start, an event: long on purpose, since a machine may be busy and a wait ends early anyway.
pub const SOON: Duration = Duration::from_secs(30);

/// For a run of calls.
pub const LATER: Duration = Duration::from_secs(180);

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Looks again and again until `look` finds something.
pub async fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {within:?} in vain for: {what}");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Waits for `future`, which waits for `what`.
pub async fn within<T>(what: &str, within: Duration, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(within, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {within:?} in vain for: {what}"),
    }
}
