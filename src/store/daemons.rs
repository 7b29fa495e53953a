//! Which runs of the daemon are alive.

use std::time::Duration;

use diesel::sql_types::{Double, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use super::{Store, StoreError};

/// A daemon that was silent for so long is dead: a lease's length. It beats before it renews, so whoever can take an
/// expired lease finds its last holder dead.
pub const SILENCE: Duration = Duration::from_secs(12);

impl Store {
    /// Says that this daemon lives.
    pub async fn beat(&self, node: &str) -> Result<(), StoreError> {
        let query = diesel::sql_query(
            "INSERT INTO daemons (holder, node, heartbeat_at) VALUES ($1, $2, clock_timestamp())
             ON CONFLICT (holder) DO UPDATE SET heartbeat_at = clock_timestamp()",
        );
        query.bind::<SqlUuid, _>(self.holder.0).bind::<Text, _>(node).execute(&mut self.connection().await?).await?;
        Ok(())
    }

    /// Says that this daemon is gone, so that nobody waits for its silence.
    pub async fn sign_off(&self) -> Result<(), StoreError> {
        let query = diesel::sql_query("DELETE FROM daemons WHERE holder = $1");
        query.bind::<SqlUuid, _>(self.holder.0).execute(&mut self.connection().await?).await?;
        Ok(())
    }

    /// Forgets daemons that have been silent for `age`.
    pub async fn forget_daemons(&self, age: Duration) -> Result<usize, StoreError> {
        let query =
            diesel::sql_query("DELETE FROM daemons WHERE heartbeat_at < clock_timestamp() - $1 * interval '1 second'");
        Ok(query.bind::<Double, _>(age.as_secs_f64()).execute(&mut self.connection().await?).await?)
    }
}
