//! Who fetches a recording: one daemon at a time, by a lease on its row, as with exports.
//!
//! Each claim raises `epoch`, and whatever a run does to the row names its own. Times of leases are the database's.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use super::group;
use crate::domain::ids::{CallId, TaskId};
use crate::domain::recording::{RecordingFile, Source};
use crate::store::agents::from_json;
use crate::store::{Store, StoreError};

/// How long a claim holds without being renewed.
const LEASE_SECONDS: f64 = 10.0;

/// The right to fetch one recording, as long as it is renewed.
#[derive(Debug, Clone)]
pub struct RecordingRun {
    pub number: i64,
    pub epoch: i32,
    /// Which try this is, from 1.
    pub tries: i32,
    pub call: CallId,
    pub source: Source,
    /// Under what its objects are kept.
    pub group: String,
}

#[derive(QueryableByName)]
struct ClaimedRow {
    #[diesel(sql_type = BigInt)]
    recording_no: i64,
    #[diesel(sql_type = Integer)]
    epoch: i32,
    #[diesel(sql_type = Integer)]
    tries: i32,
    #[diesel(sql_type = SqlUuid)]
    task_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    call_id: Uuid,
    #[diesel(sql_type = Jsonb)]
    source: Value,
}

#[derive(QueryableByName)]
struct Location {
    #[diesel(sql_type = Nullable<Text>)]
    location: Option<String>,
}

impl TryFrom<ClaimedRow> for RecordingRun {
    type Error = StoreError;
    fn try_from(row: ClaimedRow) -> Result<Self, StoreError> {
        let (task, call) = (TaskId(row.task_id), CallId(row.call_id));
        let (number, epoch, tries) = (row.recording_no, row.epoch, row.tries);
        Ok(Self { number, epoch, tries, call, source: from_json(row.source)?, group: group(task, call, number) })
    }
}

impl Store {
    /// Takes the recording that has been due for longest and that nobody fetches.
    pub async fn claim_recording(&self) -> Result<Option<RecordingRun>, StoreError> {
        let query = diesel::sql_query(
            "UPDATE recordings SET holder = $1, epoch = epoch + 1, tries = tries + 1,
                 lease_expires_at = clock_timestamp() + $2 * interval '1 second'
             WHERE recording_no = (
                 SELECT recording_no FROM recordings WHERE state = 'PENDING' AND lease_expires_at < clock_timestamp()
                 ORDER BY lease_expires_at LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING recording_no, epoch, tries, task_id, call_id, source",
        );
        let claimed: Option<ClaimedRow> = query
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Double, _>(LEASE_SECONDS)
            .get_result(&mut self.connection().await?)
            .await
            .optional()?;
        claimed.map(RecordingRun::try_from).transpose()
    }

    /// Renews the claim; `false`: another run has the recording, or nobody wants it any more.
    pub async fn renew_recording(&self, run: &RecordingRun) -> Result<bool, StoreError> {
        self.lease_recording(run, (Duration::from_secs_f64(LEASE_SECONDS), 0)).await
    }

    /// Lets go of a recording after a failed try; the next one begins after `pause`.
    pub async fn retry_recording(&self, run: &RecordingRun, pause: Duration) -> Result<(), StoreError> {
        self.lease_recording(run, (pause, 0)).await.map(drop)
    }

    /// Lets go of a recording that could not be fetched through no fault of its source; the try does not count.
    pub async fn release_recording(&self, run: &RecordingRun, pause: Duration) -> Result<(), StoreError> {
        self.lease_recording(run, (pause, 1)).await.map(drop)
    }

    async fn lease_recording(
        &self,
        run: &RecordingRun,
        (length, given_back): (Duration, i32),
    ) -> Result<bool, StoreError> {
        let query = diesel::sql_query(
            "UPDATE recordings SET lease_expires_at = clock_timestamp() + $3 * interval '1 second', tries = tries - $4
             WHERE recording_no = $1 AND epoch = $2 AND state = 'PENDING'",
        );
        let changed = query
            .bind::<BigInt, _>(run.number)
            .bind::<Integer, _>(run.epoch)
            .bind::<Double, _>(length.as_secs_f64())
            .bind::<Integer, _>(given_back)
            .execute(&mut self.connection().await?)
            .await?;
        Ok(changed == 1)
    }

    /// Says how the fetching ended: with a file, or the reason why there is none; `false`: this run is not the newest,
    /// or nobody wants the recording any more.
    pub async fn end_recording(
        &self,
        run: &RecordingRun,
        outcome: Result<&RecordingFile, &str>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let query = diesel::sql_query(
            "UPDATE recordings SET state = $3, bytes = $4, sha256 = $5, location = $6, reason = $7, stored_at = $8,
                 lease_expires_at = clock_timestamp()
             WHERE recording_no = $1 AND epoch = $2 AND state = 'PENDING'",
        );
        let file = outcome.ok();
        let changed = query
            .bind::<BigInt, _>(run.number)
            .bind::<Integer, _>(run.epoch)
            .bind::<Text, _>(if file.is_some() { "STORED" } else { "FAILED" })
            .bind::<Nullable<BigInt>, _>(file.map(|file| i64::try_from(file.bytes).unwrap_or(i64::MAX)))
            .bind::<Nullable<Text>, _>(file.map(|file| file.sha256.as_str()))
            .bind::<Nullable<Text>, _>(file.map(|file| file.location.as_str()))
            .bind::<Nullable<Text>, _>(outcome.err())
            .bind::<Nullable<Timestamptz>, _>(file.map(|_| now))
            .execute(&mut self.connection().await?)
            .await?;
        Ok(changed == 1)
    }

    /// Where the recording of a run is kept, if anywhere.
    pub async fn recording_location(&self, run: &RecordingRun) -> Result<Option<String>, StoreError> {
        let query = diesel::sql_query("SELECT location FROM recordings WHERE recording_no = $1");
        let found: Option<Location> =
            query.bind::<BigInt, _>(run.number).get_result(&mut self.connection().await?).await.optional()?;
        Ok(found.and_then(|row| row.location))
    }
}
