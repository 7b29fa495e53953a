//! Which runs of the daemon are alive, and what each of them could dial for.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Jsonb, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use uuid::Uuid;

use super::agents::from_json;
use super::{Store, StoreError, Transaction};
use crate::domain::balance::Sibling;
use crate::domain::ids::{Holder, TrunkName};
use crate::domain::service_instance::TrunkCapacities;

/// A daemon that was silent for so long is dead: a lease's length. It beats before it renews, so whoever can take an
/// expired lease finds its last holder dead.
pub const SILENCE: Duration = Duration::from_secs(12);

#[derive(QueryableByName)]
struct Beat {
    #[diesel(sql_type = Timestamptz)]
    heartbeat_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Capacities {
    #[diesel(sql_type = Jsonb)]
    capacities: Value,
}

#[derive(QueryableByName)]
struct SiblingRow {
    #[diesel(sql_type = SqlUuid)]
    holder: Uuid,
    #[diesel(sql_type = Array<Text>)]
    trunks: Vec<String>,
    #[diesel(sql_type = BigInt)]
    leases: i64,
}

impl From<SiblingRow> for Sibling {
    fn from(row: SiblingRow) -> Self {
        Self {
            holder: Holder(row.holder),
            trunks: row.trunks.into_iter().map(TrunkName).collect(),
            leases: usize::try_from(row.leases).unwrap_or(0),
        }
    }
}

/// What a daemon says of itself when it gives a sign of life.
#[derive(Debug, Clone, Copy)]
pub struct SignOfLife<'d> {
    pub node: &'d str,
    /// Those that it can be given leases for: none while it drains.
    pub trunks: &'d [TrunkName],
    /// Those of its settings, whatever it does.
    pub capacities: &'d TrunkCapacities,
}

impl Store {
    /// Says that this daemon lives. Tells the database's time.
    pub async fn beat(&self, sign: SignOfLife<'_>) -> Result<DateTime<Utc>, StoreError> {
        let query = diesel::sql_query(
            "INSERT INTO daemons (holder, node, trunks, capacities, heartbeat_at)
             VALUES ($1, $2, $3, $4, clock_timestamp())
             ON CONFLICT (holder) DO UPDATE SET trunks = excluded.trunks, capacities = excluded.capacities,
                 heartbeat_at = clock_timestamp()
             RETURNING heartbeat_at",
        );
        let trunks: Vec<&str> = sign.trunks.iter().map(|trunk| trunk.0.as_str()).collect();
        let beat: Beat = query
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Text, _>(sign.node)
            .bind::<Array<Text>, _>(trunks)
            .bind::<Jsonb, _>(json!(sign.capacities))
            .get_result(&mut self.connection().await?)
            .await?;
        Ok(beat.heartbeat_at)
    }

    /// The other daemons that can be given leases and gave a sign of life within `lately`.
    pub async fn siblings(&self, lately: Duration) -> Result<Vec<Sibling>, StoreError> {
        let query = diesel::sql_query(
            "SELECT d.holder, d.trunks,
                    (SELECT count(*) FROM leases l
                     WHERE l.holder = d.holder AND l.expires_at > clock_timestamp()) AS leases
             FROM daemons d
             WHERE d.holder <> $1 AND d.trunks <> '{}'
               AND d.heartbeat_at > clock_timestamp() - $2 * interval '1 second'",
        );
        let rows: Vec<SiblingRow> = query
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Double, _>(lately.as_secs_f64())
            .load(&mut self.connection().await?)
            .await?;
        Ok(rows.into_iter().map(Sibling::from).collect())
    }

    /// Says that this daemon is gone, so that nobody waits for its silence, and since when it looks after none of the calls
    /// that it left up.
    pub async fn sign_off(&self) -> Result<(), StoreError> {
        let query = diesel::sql_query(
            "WITH gone AS (DELETE FROM daemons WHERE holder = $1)
             UPDATE open_attempts SET left_at = clock_timestamp() WHERE holder = $1 AND dialogs IS NOT NULL",
        );
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

impl Transaction {
    /// What the trunks can carry of every daemon that gave a sign of life within `lately`, this one among them. Where
    /// their settings differ, the tighter limit holds.
    pub async fn trunk_capacities(&mut self, lately: Duration) -> Result<TrunkCapacities, StoreError> {
        let query = diesel::sql_query(
            "SELECT capacities FROM daemons WHERE heartbeat_at > clock_timestamp() - $1 * interval '1 second'",
        );
        let rows: Vec<Capacities> = query.bind::<Double, _>(lately.as_secs_f64()).load(&mut self.connection).await?;
        let mut all = TrunkCapacities::new();
        for row in rows {
            for (trunk, capacity) in from_json::<TrunkCapacities>(row.capacities)? {
                let known = all.entry(trunk).or_insert(capacity);
                *known = known.tighter(capacity);
            }
        }
        Ok(all)
    }
}
