//! Who dials for which service instance.
//!
//! `epoch` rises with each new holder; `version` rises with that and with each change that narrows the
//! dialling. A claim names both and locks the row against change, so a claim that had to wait for such a change
//! inserts nothing. Lease times are the database's, so that all daemons measure with one clock.

use std::time::Duration;

use diesel::prelude::*;
use diesel::query_builder::SqlQuery;
use diesel::sql_types::{Array, BigInt, Bool, Double, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use super::listener::LEASES;
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
    #[diesel(sql_type = Text)]
    trunk: String,
    #[diesel(sql_type = BigInt)]
    pub epoch: i64,
    /// Somebody held it before, so calls of the last second may be in no open row.
    #[diesel(sql_type = Bool)]
    pub inherited: bool,
}

impl HeldLease {
    pub fn service_instance(&self) -> ServiceInstanceId {
        ServiceInstanceId(self.service_instance_id.clone())
    }

    pub fn trunk(&self) -> TrunkName {
        TrunkName(self.trunk.clone())
    }
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = BigInt)]
    version: i64,
}

/// A service instance that nobody dials for, though it has something to do.
#[derive(Debug, QueryableByName)]
pub struct Deserted {
    #[diesel(sql_type = Text)]
    pub service_instance_id: String,
    #[diesel(sql_type = Text)]
    pub trunk: String,
    /// Daemons that have the trunk in their settings, and do not dial all the same.
    #[diesel(sql_type = Array<Text>)]
    pub nodes: Vec<String>,
}

fn names(trunks: &[TrunkName]) -> Vec<&str> {
    trunks.iter().map(|trunk| trunk.0.as_str()).collect()
}

impl Store {
    /// Lengthens this daemon's leases on these trunks and names them. One that another daemon handed on to this one is
    /// among them; one whose service instance went to a trunk that this daemon lacks is not.
    pub async fn renew_leases(&self, trunks: &[TrunkName], length: Duration) -> Result<Vec<HeldLease>, StoreError> {
        let query = diesel::sql_query(
            "UPDATE leases l SET expires_at = clock_timestamp() + $3 * interval '1 second'
             FROM service_instances s
             WHERE l.holder = $1 AND s.service_instance_id = l.service_instance_id AND s.trunk = ANY($2)
             RETURNING l.service_instance_id, s.trunk, epoch, epoch > 1 AS inherited",
        );
        self.held(query, trunks, length).await
    }

    /// Takes every lease on these trunks that nobody holds, or whose holder let it expire.
    pub async fn acquire_leases(&self, trunks: &[TrunkName], length: Duration) -> Result<Vec<HeldLease>, StoreError> {
        let query = diesel::sql_query(
            "UPDATE leases l SET holder = $1, epoch = epoch + 1, version = version + 1,
                    expires_at = clock_timestamp() + $3 * interval '1 second'
             FROM service_instances s
             WHERE s.service_instance_id = l.service_instance_id AND l.service_instance_id IN (
                 SELECT f.service_instance_id FROM leases f JOIN service_instances USING (service_instance_id)
                 WHERE (f.holder IS NULL OR (f.expires_at < clock_timestamp() AND f.holder <> $1)) AND trunk = ANY($2)
                 ORDER BY f.service_instance_id FOR UPDATE OF f SKIP LOCKED)
             RETURNING l.service_instance_id, s.trunk, epoch, epoch > 1 AS inherited",
        );
        self.held(query, trunks, length).await
    }

    async fn held(
        &self,
        query: SqlQuery,
        trunks: &[TrunkName],
        length: Duration,
    ) -> Result<Vec<HeldLease>, StoreError> {
        Ok(query
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Array<Text>, _>(names(trunks))
            .bind::<Double, _>(length.as_secs_f64())
            .load(&mut self.connection().await?)
            .await?)
    }

    /// Lets go of every lease of this daemon that is not on one of these trunks, and tells the others, who take them at
    /// once.
    pub async fn release_leases(&self, keep: &[TrunkName]) -> Result<usize, StoreError> {
        let query = diesel::sql_query(
            "WITH released AS (
                 UPDATE leases l SET holder = NULL, version = version + 1
                 FROM service_instances s
                 WHERE l.holder = $1 AND s.service_instance_id = l.service_instance_id AND NOT s.trunk = ANY($2)
                 RETURNING l.service_instance_id)
             SELECT pg_notify($3, service_instance_id) FROM released",
        );
        Ok(query
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Array<Text>, _>(names(keep))
            .bind::<Text, _>(LEASES)
            .execute(&mut self.connection().await?)
            .await?)
    }

    /// Makes `heir` the holder of one of this daemon's leases, and tells it. It has `length` to renew it, so that one
    /// that has just died costs no more than that.
    pub async fn hand_lease_on(
        &self,
        id: &ServiceInstanceId,
        heir: Holder,
        length: Duration,
    ) -> Result<(), StoreError> {
        let query = diesel::sql_query(
            "WITH handed AS (
                 UPDATE leases SET holder = $3, epoch = epoch + 1, version = version + 1,
                        expires_at = clock_timestamp() + $4 * interval '1 second'
                 WHERE holder = $1 AND service_instance_id = $2 RETURNING service_instance_id)
             SELECT pg_notify($5, service_instance_id) FROM handed",
        );
        query
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Text, _>(&id.0)
            .bind::<SqlUuid, _>(heir.0)
            .bind::<Double, _>(length.as_secs_f64())
            .bind::<Text, _>(LEASES)
            .execute(&mut self.connection().await?)
            .await?;
        Ok(())
    }

    /// Service instances with something to do for which nobody has dialled for `age`. A daemon that was silent for
    /// `silence` is none.
    pub async fn deserted(&self, age: Duration, silence: Duration) -> Result<Vec<Deserted>, StoreError> {
        let query = diesel::sql_query(
            "SELECT l.service_instance_id, s.trunk,
                    ARRAY(SELECT DISTINCT d.node FROM daemons d
                          WHERE d.heartbeat_at > clock_timestamp() - $2 * interval '1 second'
                            AND d.capacities ? s.trunk ORDER BY 1) AS nodes
             FROM leases l JOIN service_instances s USING (service_instance_id)
             WHERE l.expires_at < clock_timestamp() - $1 * interval '1 second'
               AND pg_postmaster_start_time() < clock_timestamp() - $1 * interval '1 second'
               AND (EXISTS (SELECT 1 FROM tasks t WHERE t.service_instance_id = l.service_instance_id
                            AND t.state = 'RUNNING' AND t.deleted_at IS NULL)
                    OR EXISTS (SELECT 1 FROM open_attempts o WHERE o.service_instance_id = l.service_instance_id))
             ORDER BY 1",
        );
        let query = query.bind::<Double, _>(age.as_secs_f64()).bind::<Double, _>(silence.as_secs_f64());
        Ok(query.load(&mut self.connection().await?).await?)
    }

    /// The fence as it is. `None` when the lease is not ours any more.
    pub async fn fence(&self, id: &ServiceInstanceId, epoch: i64) -> Result<Option<Fence>, StoreError> {
        let query = diesel::sql_query(
            "SELECT version FROM leases WHERE service_instance_id = $1 AND holder = $2 AND epoch = $3",
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
             RETURNING version",
        );
        self.read_fence(query, id, epoch).await
    }

    async fn read_fence(
        &self,
        query: SqlQuery,
        id: &ServiceInstanceId,
        epoch: i64,
    ) -> Result<Option<Fence>, StoreError> {
        let found: Option<Version> = query
            .bind::<Text, _>(&id.0)
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<BigInt, _>(epoch)
            .get_result(&mut self.connection().await?)
            .await
            .optional()?;
        let fence = |version| Fence { service_instance: id.clone(), holder: self.holder, epoch, version };
        Ok(found.map(|found| fence(found.version)))
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
