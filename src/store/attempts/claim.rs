//! The claim: an append, fenced by the lease's epoch and version.
//!
//! The fence is read `FOR SHARE`: a claim waits for a change that narrows the dialling, finds another version
//! after it, and inserts nothing. Without the version it would insert all the same, because Postgres reads
//! only the locked row again and not the rest of the statement.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use crate::domain::ids::{CallId, CalleeKey, TaskNo};
use crate::domain::redial::Tally;
use crate::safeguards::{Safeguard, is_on};
use crate::store::leases::Fence;
use crate::store::{Store, StoreError};

/// An attempt to be opened.
#[derive(Debug, Clone)]
pub struct NewAttempt {
    pub key: CalleeKey,
    /// From 1.
    pub attempt: u32,
    pub tally: Tally,
    pub caller_number: String,
    pub call: CallId,
}

/// An attempt that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, QueryableByName)]
pub struct ClaimedAttempt {
    #[diesel(sql_type = BigInt)]
    task_no: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
}

impl ClaimedAttempt {
    pub fn key(self) -> CalleeKey {
        CalleeKey { task: TaskNo(self.task_no), seq: self.seq }
    }
}

/// `$1`–`$4` are the fence.
const FENCE: &str = "
    WITH fence AS (
        SELECT service_instance_id, holder FROM leases
        WHERE service_instance_id = $1 AND holder = $2 AND epoch = $3 AND version = $4
          AND expires_at > clock_timestamp()
        FOR SHARE)";

/// Lets everything through: the lease's row is locked, and nothing in it is compared.
const NO_FENCE: &str = "
    WITH fence AS (
        SELECT service_instance_id, $2 AS holder FROM leases
        WHERE service_instance_id = $1 AND $3 + $4 IS NOT NULL
        FOR SHARE)";

/// `$5`–`$11` are the attempts.
const WANTED: &str = ",
    wanted AS (
        SELECT * FROM unnest($5, $6, $7, $8, $9, $10, $11) AS w
        (task_no, seq, attempt, uncounted, counted_attempts, caller_number, call_id))";

const FRESH: &str = "
    INSERT INTO open_attempts (task_no, seq, attempt, uncounted, counted_attempts, service_instance_id, holder,
        caller_number, call_id, claimed_at)
    SELECT w.task_no, w.seq, w.attempt, w.uncounted, w.counted_attempts, f.service_instance_id, f.holder,
        w.caller_number, w.call_id, clock_timestamp()
    FROM fence f, wanted w
    RETURNING task_no, seq";

const WAITING: &str = ",
    gone AS (
        DELETE FROM redials r USING fence f, wanted w
        WHERE r.task_no = w.task_no AND r.seq = w.seq AND r.attempt = w.attempt
        RETURNING r.task_no, r.seq)
    INSERT INTO open_attempts (task_no, seq, attempt, uncounted, counted_attempts, service_instance_id, holder,
        caller_number, call_id, claimed_at)
    SELECT w.task_no, w.seq, w.attempt, w.uncounted, w.counted_attempts, f.service_instance_id, f.holder,
        w.caller_number, w.call_id, clock_timestamp()
    FROM fence f, wanted w JOIN gone g USING (task_no, seq)
    RETURNING task_no, seq";

impl Store {
    /// Opens attempts of callees that were never called. Nothing comes back when the fence has moved.
    pub async fn claim_fresh(&self, fence: &Fence, wanted: &[NewAttempt]) -> Result<Vec<ClaimedAttempt>, StoreError> {
        self.claim(FRESH, fence, wanted).await
    }

    /// Opens attempts of callees that wait for one; those that do not wait any more are left out.
    pub async fn claim_waiting(&self, fence: &Fence, wanted: &[NewAttempt]) -> Result<Vec<ClaimedAttempt>, StoreError> {
        self.claim(WAITING, fence, wanted).await
    }

    async fn claim(
        &self,
        insertion: &str,
        fence: &Fence,
        wanted: &[NewAttempt],
    ) -> Result<Vec<ClaimedAttempt>, StoreError> {
        let comparison = if is_on(Safeguard::Fence) { FENCE } else { NO_FENCE };
        let signed = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let tasks: Vec<i64> = wanted.iter().map(|new| new.key.task.0).collect();
        let seqs: Vec<i64> = wanted.iter().map(|new| new.key.seq).collect();
        let attempts: Vec<i32> = wanted.iter().map(|new| signed(new.attempt)).collect();
        let uncounted: Vec<i32> = wanted.iter().map(|new| signed(new.tally.uncounted)).collect();
        let counted: Vec<i32> = wanted.iter().map(|new| signed(new.tally.counted)).collect();
        let numbers: Vec<&str> = wanted.iter().map(|new| new.caller_number.as_str()).collect();
        Ok(diesel::sql_query(format!("{comparison}{WANTED}{insertion}"))
            .bind::<Text, _>(&fence.service_instance.0)
            .bind::<SqlUuid, _>(fence.holder.0)
            .bind::<BigInt, _>(fence.epoch)
            .bind::<BigInt, _>(fence.version)
            .bind::<Array<BigInt>, _>(tasks)
            .bind::<Array<BigInt>, _>(seqs)
            .bind::<Array<Integer>, _>(attempts)
            .bind::<Array<Integer>, _>(uncounted)
            .bind::<Array<Integer>, _>(counted)
            .bind::<Array<Text>, _>(numbers)
            .bind::<Array<SqlUuid>, _>(wanted.iter().map(|new| new.call.0).collect::<Vec<_>>())
            .load(&mut self.connection().await?)
            .await?)
    }
}
