//! Who writes an export: one daemon at a time, by a lease on its row.
//!
//! Each claim raises `epoch`, and whatever a run does to the row names its own, so a daemon that was asleep while
//! another took over can neither finish nor fail the export. Times of leases are the database's.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Integer, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::parsed;
use crate::domain::export::{ExportFile, ExportFormat, ExportState, ExportStatus};
use crate::domain::ids::{ExportId, TaskId, TaskNo};
use crate::store::schema::exports;
use crate::store::{Store, StoreError, Transaction};

/// How long a claim holds without being renewed.
const LEASE_SECONDS: f64 = 15.0;

/// The right to write one export, as long as it is renewed.
#[derive(Debug, Clone)]
pub struct ExportRun {
    pub id: ExportId,
    pub epoch: i32,
    /// Which try this is, from 1.
    pub tries: i32,
    pub task: TaskId,
    pub task_no: TaskNo,
    pub name: String,
    pub format: ExportFormat,
    pub status: ExportStatus,
}

#[derive(QueryableByName)]
struct ClaimedRow {
    #[diesel(sql_type = SqlUuid)]
    export_id: Uuid,
    #[diesel(sql_type = Integer)]
    epoch: i32,
    #[diesel(sql_type = Integer)]
    tries: i32,
    #[diesel(sql_type = SqlUuid)]
    task_id: Uuid,
    #[diesel(sql_type = BigInt)]
    task_no: i64,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    format: String,
    #[diesel(sql_type = Text)]
    status: String,
}

impl Store {
    /// Takes the oldest export that nobody writes.
    pub async fn claim_export(&self) -> Result<Option<ExportRun>, StoreError> {
        let query = diesel::sql_query(
            "UPDATE exports SET state = 'RUNNING', holder = $1, epoch = epoch + 1, tries = tries + 1,
                 lease_expires_at = clock_timestamp() + $2 * interval '1 second'
             WHERE export_no = (
                 SELECT export_no FROM exports
                 WHERE state IN ('INITIALIZING', 'RUNNING') AND lease_expires_at < clock_timestamp()
                 ORDER BY export_no LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING export_id, epoch, tries, task_id, task_no, name, format, status",
        );
        let claimed: Option<ClaimedRow> = query
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Double, _>(LEASE_SECONDS)
            .get_result(&mut self.connection().await?)
            .await
            .optional()?;
        let run = |row: ClaimedRow| {
            Ok(ExportRun {
                id: ExportId(row.export_id),
                epoch: row.epoch,
                tries: row.tries,
                task: TaskId(row.task_id),
                task_no: TaskNo(row.task_no),
                name: row.name,
                format: parsed(&row.format)?,
                status: parsed(&row.status)?,
            })
        };
        claimed.map(run).transpose()
    }

    /// Renews the claim; `false`: another run has the export, or it is over.
    pub async fn renew_export(&self, run: &ExportRun) -> Result<bool, StoreError> {
        self.lease_export(run, (Duration::from_secs_f64(LEASE_SECONDS), 0)).await
    }

    /// Lets go of an export after a failed try; the next one begins after `pause`.
    pub async fn retry_export(&self, run: &ExportRun, pause: Duration) -> Result<(), StoreError> {
        self.lease_export(run, (pause, 0)).await.map(drop)
    }

    /// Lets go of an export that this daemon has no time for; the try does not count.
    pub async fn release_export(&self, run: &ExportRun) -> Result<(), StoreError> {
        self.lease_export(run, (Duration::ZERO, 1)).await.map(drop)
    }

    async fn lease_export(&self, run: &ExportRun, (length, given_back): (Duration, i32)) -> Result<bool, StoreError> {
        let query = diesel::sql_query(
            "UPDATE exports SET lease_expires_at = clock_timestamp() + $3 * interval '1 second', tries = tries - $4
             WHERE export_id = $1 AND epoch = $2 AND state = 'RUNNING'",
        );
        let changed = query
            .bind::<SqlUuid, _>(run.id.0)
            .bind::<Integer, _>(run.epoch)
            .bind::<Double, _>(length.as_secs_f64())
            .bind::<Integer, _>(given_back)
            .execute(&mut self.connection().await?)
            .await?;
        Ok(changed == 1)
    }
}

impl Transaction {
    /// Makes an export final, with its file or the reason why there is none; `false`: this run is not the newest.
    pub async fn end_export(
        &mut self,
        run: &ExportRun,
        outcome: Result<&ExportFile, &str>,
        (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<bool, StoreError> {
        let state = if outcome.is_ok() { ExportState::Succeeded } else { ExportState::Failed };
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let file = outcome.ok();
        let running = exports::table
            .filter(exports::export_id.eq(run.id.0))
            .filter(exports::epoch.eq(run.epoch))
            .filter(exports::state.eq(ExportState::Running.as_str()));
        let changed = diesel::update(running)
            .set((
                exports::state.eq(state.as_str()),
                exports::callees.eq(file.map(|file| signed(file.callees))),
                exports::bytes.eq(file.map(|file| signed(file.bytes))),
                exports::sha256.eq(file.map(|file| file.sha256.as_str())),
                exports::location.eq(file.map(|file| file.location.as_str())),
                exports::reason.eq(outcome.err()),
                exports::finished_at.eq(now),
                exports::expires_at.eq(expires_at),
            ))
            .execute(&mut self.connection)
            .await?;
        Ok(changed == 1)
    }
}
