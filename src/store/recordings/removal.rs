//! Recordings that must go: first they are marked, then their objects are removed, then their rows.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::sql_types::{BigInt, Bool, Double, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::group;
use crate::domain::ids::{CallId, TaskId};
use crate::store::{Store, StoreError};

/// Rows of one statement; they are looked for once, whatever the plan is (`ARRAY`).
const SLICE: i64 = 1_000;
/// A report that was under way when its task was deleted is over after so long.
const STRAGGLERS: TimeDelta = TimeDelta::minutes(10);
/// How long a removal belongs to whoever took it up.
const CLAIM_SECONDS: f64 = 30.0;

/// A recording whose objects are to be removed.
#[derive(Debug, Clone)]
pub struct Unwanted {
    number: i64,
    /// Under what its objects are kept.
    pub group: String,
    /// Whether there is an object, as far as the row knows.
    pub is_stored: bool,
    /// For how long it has been unwanted.
    pub since: Duration,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    recording_no: i64,
    #[diesel(sql_type = SqlUuid)]
    task_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    call_id: Uuid,
    #[diesel(sql_type = Bool)]
    is_stored: bool,
    #[diesel(sql_type = Double)]
    seconds: f64,
}

impl Store {
    /// Marks some recordings that were stored before `instant`; says how many.
    pub async fn expire_recordings(&self, instant: DateTime<Utc>) -> Result<usize, StoreError> {
        let query = diesel::sql_query(
            "UPDATE recordings SET state = 'EXPIRED', unwanted_since = clock_timestamp()
             WHERE state = 'STORED' AND recording_no = ANY (ARRAY(
                 SELECT recording_no FROM recordings WHERE state = 'STORED' AND stored_at < $1
                 ORDER BY stored_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        );
        let query = query.bind::<Timestamptz, _>(instant).bind::<BigInt, _>(SLICE);
        Ok(query.execute(&mut self.connection().await?).await?)
    }

    /// Marks some recordings of deleted tasks; says how many. Where none is left, that is noted.
    pub async fn discard_recordings_of_deleted(&self, now: DateTime<Utc>) -> Result<usize, StoreError> {
        let mut connection = self.connection().await?;
        let query = diesel::sql_query(
            "UPDATE recordings SET state = 'DISCARDED', unwanted_since = clock_timestamp()
             WHERE state <> 'DISCARDED' AND recording_no = ANY (ARRAY(
                 SELECT r.recording_no FROM tasks t JOIN recordings r USING (task_no)
                 WHERE t.deleted_at IS NOT NULL AND NOT t.recordings_removed AND r.state <> 'DISCARDED'
                 LIMIT $1 FOR UPDATE OF r SKIP LOCKED))",
        );
        let marked = query.bind::<BigInt, _>(SLICE).execute(&mut connection).await?;
        if marked == 0 {
            let query = diesel::sql_query(
                "UPDATE tasks t SET recordings_removed = true
                 WHERE deleted_at < $1 AND NOT recordings_removed AND NOT EXISTS (
                     SELECT FROM recordings r WHERE r.task_no = t.task_no AND r.state <> 'DISCARDED')",
            );
            query.bind::<Timestamptz, _>(now - STRAGGLERS).execute(&mut connection).await?;
        }
        Ok(marked)
    }

    /// A recording whose objects are to be removed; the caller has it for a while. One that is still being fetched
    /// waits for the end of that run's lease.
    pub async fn unwanted_recording(&self) -> Result<Option<Unwanted>, StoreError> {
        let query = diesel::sql_query(
            "UPDATE recordings SET lease_expires_at = clock_timestamp() + $1 * interval '1 second'
             WHERE recording_no = (
                 SELECT recording_no FROM recordings
                 WHERE unwanted_since IS NOT NULL AND lease_expires_at < clock_timestamp()
                 ORDER BY lease_expires_at LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING recording_no, task_id, call_id, location IS NOT NULL AS is_stored,
                 extract(epoch FROM clock_timestamp() - unwanted_since)::float8 AS seconds",
        );
        let row: Option<Row> =
            query.bind::<Double, _>(CLAIM_SECONDS).get_result(&mut self.connection().await?).await.optional()?;
        Ok(row.map(|row| Unwanted {
            number: row.recording_no,
            group: group(TaskId(row.task_id), CallId(row.call_id), row.recording_no),
            is_stored: row.is_stored,
            since: Duration::try_from_secs_f64(row.seconds).unwrap_or_default(),
        }))
    }

    /// Forgets a recording whose objects are gone; of one that expired it stays known that it did.
    pub async fn recording_removed(&self, unwanted: &Unwanted) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        for statement in [
            "DELETE FROM recordings WHERE recording_no = $1 AND state = $2",
            "UPDATE recordings SET unwanted_since = NULL, location = NULL WHERE recording_no = $1 AND state <> $2",
        ] {
            let query = diesel::sql_query(statement).bind::<BigInt, _>(unwanted.number).bind::<Text, _>("DISCARDED");
            query.execute(&mut connection).await?;
        }
        Ok(())
    }

    /// Leaves a removal to later, and perhaps to another daemon.
    pub async fn remove_recording_later(&self, unwanted: &Unwanted, pause: Duration) -> Result<(), StoreError> {
        let query = diesel::sql_query(
            "UPDATE recordings SET lease_expires_at = clock_timestamp() + $2 * interval '1 second'
             WHERE recording_no = $1",
        );
        let query = query.bind::<BigInt, _>(unwanted.number).bind::<Double, _>(pause.as_secs_f64());
        query.execute(&mut self.connection().await?).await?;
        Ok(())
    }
}
