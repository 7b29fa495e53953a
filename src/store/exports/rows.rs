//! The rows of an export, read slice by slice along the places of the task, so that no statement is long and no
//! answer large, however many callees there are.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Jsonb, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::domain::export::{ExportRow, ExportStatus, LastAttempt, Reported};
use crate::domain::ids::TaskNo;
use crate::store::agents::from_json;
use crate::store::{Store, StoreError};

#[derive(QueryableByName)]
struct Seq {
    #[diesel(sql_type = BigInt)]
    last_seq: i64,
}

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = Text)]
    key: String,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Nullable<Text>)]
    out_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    batch_id: Option<String>,
    #[diesel(sql_type = Text)]
    called_number: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Nullable<Text>)]
    result: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    failed_reason: Option<String>,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Jsonb)]
    variables: Value,
    #[diesel(sql_type = Nullable<Integer>)]
    attempt: Option<i32>,
    #[diesel(sql_type = Nullable<Text>)]
    caller_number: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    answered_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    hangup_by: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    major_intent: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    recording: Option<String>,
    #[diesel(sql_type = Jsonb)]
    tags: Value,
}

const ROWS: &str = "
    SELECT c.seq, c.out_id, c.batch_id, c.called_number, c.variables,
           coalesce(r.state, CASE WHEN o.seq IS NULL THEN 'PENDING' ELSE 'CALLING' END) AS state,
           coalesce(r.result, a.result) AS result, r.failed_reason, coalesce(r.attempts, a.attempt, 0) AS attempts,
           a.attempt, a.caller_number, a.started_at, a.answered_at, a.ended_at, a.hangup_by,
           p.major_intent, CASE WHEN p.recording IS NOT NULL THEN
               coalesce((SELECT m.location FROM recordings m WHERE m.task_no = $1 AND m.seq = c.seq
                         AND m.attempt = a.attempt AND m.state = 'STORED'),
                        p.recording ->> 'url', p.recording ->> 'path') END AS recording,
           -- A tag with several values is one cell.
           coalesce((SELECT jsonb_object_agg(key, CASE jsonb_typeof(value)
                         WHEN 'array' THEN (SELECT coalesce(string_agg(item, ', '), '')
                                            FROM jsonb_array_elements_text(value) AS item)
                         ELSE value #>> '{}' END)
                     FROM jsonb_each(p.output_tags)), '{}') AS tags
    FROM callees c
    LEFT JOIN callee_results r ON r.task_no = $1 AND r.seq = c.seq
    LEFT JOIN open_attempts o ON o.task_no = $1 AND o.seq = c.seq
    LEFT JOIN LATERAL (SELECT * FROM attempts WHERE task_no = $1 AND seq = c.seq ORDER BY attempt DESC LIMIT 1) a ON true
    LEFT JOIN call_reports p ON p.task_no = $1 AND p.seq = c.seq AND p.attempt = a.attempt
    WHERE c.task_no = $1 AND c.seq > $2 AND c.seq <= $3 AND ($4 = 'ALL' OR r.state = $4)
    ORDER BY c.seq";

impl Row {
    fn last(&self) -> Option<LastAttempt> {
        Some(LastAttempt {
            attempt: u32::try_from(self.attempt?).unwrap_or(0),
            caller_number: self.caller_number.clone()?,
            started_at: self.started_at?,
            answered_at: self.answered_at,
            ended_at: self.ended_at?,
            hangup_by: self.hangup_by.clone(),
        })
    }
}

impl TryFrom<Row> for ExportRow {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.seq,
            last: row.last(),
            out_id: row.out_id,
            batch_id: row.batch_id,
            called_number: row.called_number,
            state: row.state,
            result: row.result,
            failed_reason: row.failed_reason,
            attempts: u32::try_from(row.attempts).unwrap_or(0),
            reported: Reported { major_intent: row.major_intent, recording: row.recording, tags: from_json(row.tags)? },
            variables: from_json(row.variables)?,
        })
    }
}

impl Store {
    /// The highest place of a task: what is imported later belongs into another export.
    pub async fn last_seq(&self, task: TaskNo) -> Result<i64, StoreError> {
        let query =
            diesel::sql_query("SELECT coalesce(max(last_seq), 0) AS last_seq FROM task_counters WHERE task_no = $1");
        let row: Seq = query.bind::<BigInt, _>(task.0).get_result(&mut self.connection().await?).await?;
        Ok(row.last_seq)
    }

    /// The keys of the variables that the callees at these places have.
    pub async fn variable_keys(&self, task: TaskNo, (after, up_to): (i64, i64)) -> Result<Vec<String>, StoreError> {
        let query = diesel::sql_query(
            "SELECT DISTINCT key FROM callees, jsonb_object_keys(variables) AS key
             WHERE task_no = $1 AND seq > $2 AND seq <= $3",
        );
        let keys: Vec<Key> = query
            .bind::<BigInt, _>(task.0)
            .bind::<BigInt, _>(after)
            .bind::<BigInt, _>(up_to)
            .load(&mut self.connection().await?)
            .await?;
        Ok(keys.into_iter().map(|key| key.key).collect())
    }

    /// The callees at these places that are exported, in order.
    pub async fn export_rows(
        &self,
        task: TaskNo,
        (after, up_to): (i64, i64),
        status: ExportStatus,
    ) -> Result<Vec<ExportRow>, StoreError> {
        let rows: Vec<Row> = diesel::sql_query(ROWS)
            .bind::<BigInt, _>(task.0)
            .bind::<BigInt, _>(after)
            .bind::<BigInt, _>(up_to)
            .bind::<Text, _>(status.as_str())
            .load(&mut self.connection().await?)
            .await?;
        rows.into_iter().map(ExportRow::try_from).collect()
    }
}
