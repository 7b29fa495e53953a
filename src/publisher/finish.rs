//! The end of everything else, which the publisher outlives: what that leaves it time for.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::SessionError;
use crate::bus::BusError;

/// How long the broker may take nothing then.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// The longest pause between two sessions then, and the least that a step gets.
const LAST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Finish {
    told: CancellationToken,
    at: OnceLock<Instant>,
}

impl Finish {
    pub fn when(told: CancellationToken) -> Self {
        Self { told, at: OnceLock::new() }
    }

    /// Whether nobody writes events any more.
    pub fn has_come(&self) -> bool {
        self.told.is_cancelled()
    }

    pub async fn come(&self) -> Instant {
        self.told.cancelled().await;
        *self.at.get_or_init(Instant::now)
    }

    /// Pauses between two sessions.
    pub async fn pause(&self, pause: Duration) {
        let begun = Instant::now();
        tokio::select! {
            _ = self.come() => tokio::time::sleep_until((begun + pause.min(LAST_PAUSE)).into()).await,
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Whether no further session is worth it. `taken_at` is when the broker took something last. For the database the publisher
    /// waits: without it, nobody can say what is left.
    pub fn makes_vain(&self, error: &SessionError, taken_at: Instant) -> bool {
        match error {
            SessionError::Store(_) => false,
            SessionError::InVain(_) => true,
            SessionError::Bus(_) | SessionError::Refused(_) => {
                self.at.get().is_some_and(|at| taken_at.max(*at).elapsed() >= LAST_PATIENCE)
            }
        }
    }

    /// A step of the broker's alone, with no statement in it: it may be dropped. It is when the finish has come and the broker
    /// took nothing for too long.
    pub async fn allows<T>(
        &self,
        taken_at: Instant,
        step: impl Future<Output = Result<T, BusError>>,
    ) -> Result<T, SessionError> {
        let late = async {
            let since = self.come().await.max(taken_at);
            tokio::time::sleep_until((since + LAST_PATIENCE).max(Instant::now() + LAST_PAUSE).into()).await;
        };
        tokio::select! {
            done = step => Ok(done?),
            () = late => Err(SessionError::InVain(LAST_PATIENCE)),
        }
    }
}
