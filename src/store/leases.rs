//! Who dials for which service instance.
//!
//! `epoch` rises with each new holder; `version` rises with that and with each change that narrows the
//! dialling. A claim names both and locks the row against change, so a claim that had to wait for such a change
//! inserts nothing. Lease times are the database's, so that all daemons measure with one clock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::query_builder::SqlQuery;
use diesel::sql_types::{Array, BigInt, Bool, Double, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use super::{Store, StoreError, Transaction};
use crate::domain::ids::{Holder, ServiceInstanceId, TrunkName};

/// What a claim must name to be let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    pub service_instance: ServiceInstanceId,
    pub holder: Holder,
    pub epoch: i64,
    pub version: i64,
}

/// A lease that this daemon holds.
#[derive(Debug, Clone, QueryableByName)]
pub struct HeldLease {
    #[diesel(sql_type = Text)]
    service_instance_id: String,
    #[diesel(sql_type = BigInt)]
    pub epoch: i64,
    #[diesel(sql_type = BigInt)]
    pub version: i64,
    /// Somebody held it before, so calls of the last second may be in no open row.
    #[diesel(sql_type = Bool)]
    pub inherited: bool,
    /// The database's clock.
    #[diesel(sql_type = Timestamptz)]
    pub database_time: DateTime<Utc>,
}

impl HeldLease {
    pub fn service_instance(&self) -> ServiceInstanceId {
        ServiceInstanceId(self.service_instance_id.clone())
    }
}

impl Store {
    /// Lengthens every lease of this daemon and names those it still holds.
    pub async fn renew_leases(&self, length: Duration) -> Result<Vec<HeldLease>, StoreError> {
        let query = diesel::sql_query(
            "UPDATE leases SET expires_at = clock_timestamp() + $2 * interval '1 second' WHERE holder = $1
             RETURNING service_instance_id, epoch, version, epoch > 1 AS inherited, clock_timestamp() AS database_time",
        );
        Ok(query
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Double, _>(length.as_secs_f64())
            .load(&mut self.connection().await?)
            .await?)
    }

    /// Takes every lease on these trunks that nobody holds, or whose holder let it expire.
    pub async fn acquire_leases(&self, trunks: &[TrunkName], length: Duration) -> Result<Vec<HeldLease>, StoreError> {
        let query = diesel::sql_query(
            "UPDATE leases SET holder = $1, epoch = epoch + 1, version = version + 1,
                    expires_at = clock_timestamp() + $3 * interval '1 second'
             WHERE service_instance_id IN (
                 SELECT l.service_instance_id FROM leases l JOIN service_instances s USING (service_instance_id)
                 WHERE (l.holder IS NULL OR (l.expires_at < clock_timestamp() AND l.holder <> $1)) AND s.trunk = ANY($2)
                 ORDER BY l.service_instance_id FOR UPDATE OF l SKIP LOCKED)
             RETURNING service_instance_id, epoch, version, epoch > 1 AS inherited, clock_timestamp() AS database_time",
        );
        let trunks: Vec<&str> = trunks.iter().map(|trunk| trunk.0.as_str()).collect();
        Ok(query
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Array<Text>, _>(trunks)
            .bind::<Double, _>(length.as_secs_f64())
            .load(&mut self.connection().await?)
            .await?)
    }

    /// Hands every lease of this daemon over to whoever wants it.
    pub async fn release_leases(&self) -> Result<usize, StoreError> {
        let query = diesel::sql_query("UPDATE leases SET holder = NULL, version = version + 1 WHERE holder = $1");
        Ok(query.bind::<SqlUuid, _>(self.holder.0).execute(&mut self.connection().await?).await?)
    }

    /// The fence as it is. `None` when the lease is not ours any more.
    pub async fn fence(&self, id: &ServiceInstanceId, epoch: i64) -> Result<Option<Fence>, StoreError> {
        let query = diesel::sql_query(
            "SELECT service_instance_id, epoch, version, epoch > 1 AS inherited, clock_timestamp() AS database_time
             FROM leases WHERE service_instance_id = $1 AND holder = $2 AND epoch = $3",
        );
        self.read_fence(query, id, epoch).await
    }

    /// Whether the lease's row still names this daemon, expired or not.
    pub async fn holds_lease(&self, id: &ServiceInstanceId) -> Result<bool, StoreError> {
        let query = diesel::sql_query("SELECT 1 FROM leases WHERE service_instance_id = $1 AND holder = $2");
        let rows = query.bind::<Text, _>(&id.0).bind::<SqlUuid, _>(self.holder.0);
        Ok(rows.execute(&mut self.connection().await?).await? > 0)
    }

    /// Moves the fence, so that no claim sent before can still take effect: it waits for one under way and
    /// outruns one that has not begun. `None` when the lease is not ours any more.
    pub async fn move_fence(&self, id: &ServiceInstanceId, epoch: i64) -> Result<Option<Fence>, StoreError> {
        let query = diesel::sql_query(
            "UPDATE leases SET version = version + 1 WHERE service_instance_id = $1 AND holder = $2 AND epoch = $3
             RETURNING service_instance_id, epoch, version, epoch > 1 AS inherited, clock_timestamp() AS database_time",
        );
        self.read_fence(query, id, epoch).await
    }

    async fn read_fence(
        &self,
        query: SqlQuery,
        id: &ServiceInstanceId,
        epoch: i64,
    ) -> Result<Option<Fence>, StoreError> {
        let held: Option<HeldLease> = query
            .bind::<Text, _>(&id.0)
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<BigInt, _>(epoch)
            .get_result(&mut self.connection().await?)
            .await
            .optional()?;
        Ok(held.map(|held| Fence {
            service_instance: id.clone(),
            holder: self.holder,
            epoch: held.epoch,
            version: held.version,
        }))
    }
}

impl Transaction {
    /// Says that what follows in this transaction narrows the dialling of a service instance. Must come before
    /// the change itself, in a statement of its own; `false` when the service instance is not known yet.
    pub async fn narrow(&mut self, id: &ServiceInstanceId) -> Result<bool, StoreError> {
        let query = diesel::sql_query("UPDATE leases SET version = version + 1 WHERE service_instance_id = $1");
        Ok(query.bind::<Text, _>(&id.0).execute(&mut self.connection).await? > 0)
    }
}
