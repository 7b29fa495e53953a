//! Reading what became of callees and calls, by index; never on the way of a call.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::callees::CalleeRow;
use super::recordings::FetchedRow;
use super::{Store, StoreError, Transaction};
use crate::domain::call::{CallEnd, HangupBy, Scope, SipEvidence};
use crate::domain::ids::{CallId, CalleeKey, TaskNo};
use crate::domain::record::{AttemptRecord, CallRecord, CallRef, CalleeRecord, CalleeStage, StoredReport};
use crate::domain::task::TaskRef;

#[derive(QueryableByName)]
pub(in crate::store) struct Row {
    #[diesel(embed)]
    callee: CalleeRow,
    #[diesel(sql_type = Nullable<Text>)]
    result: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    failed_reason: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Bool)]
    is_open: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    due_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Integer)]
    attempts: i32,
}

impl TryFrom<Row> for CalleeRecord {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self, StoreError> {
        let stage = match (row.ended_at, row.result) {
            (Some(ended_at), Some(result)) => CalleeStage::Completed { result, ended_at },
            (Some(ended_at), None) => CalleeStage::Failed { reason: row.failed_reason.unwrap_or_default(), ended_at },
            (None, _) if row.is_open => CalleeStage::Calling,
            (None, _) => CalleeStage::Pending { due_at: row.due_at },
        };
        let attempts = u32::try_from(row.attempts).unwrap_or(0);
        Ok(Self { callee: row.callee.try_into()?, stage, attempts })
    }
}

#[derive(QueryableByName)]
struct AttemptRow {
    #[diesel(sql_type = Integer)]
    attempt: i32,
    #[diesel(sql_type = Text)]
    caller_number: String,
    #[diesel(sql_type = Nullable<Text>)]
    result: Option<String>,
    #[diesel(sql_type = Nullable<Bool>)]
    counted: Option<bool>,
    #[diesel(sql_type = Nullable<Text>)]
    scope: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    sip_status: Option<i32>,
    #[diesel(sql_type = Nullable<Text>)]
    sip_reason: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    sip_q850: Option<i32>,
    #[diesel(sql_type = Nullable<Text>)]
    sip_rule: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ringing_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    answered_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    hangup_by: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    major_intent: Option<String>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    output_tags: Option<Value>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    variables: Option<Value>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    conversation: Option<Value>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    recording: Option<Value>,
    #[diesel(embed)]
    fetched: FetchedRow,
}

impl AttemptRow {
    fn end(&self) -> Result<Option<CallEnd>, StoreError> {
        let (Some(result), Some(started_at), Some(ended_at)) = (&self.result, self.started_at, self.ended_at) else {
            return Ok(None);
        };
        let unreadable = |()| StoreError::Unreadable(format!("the end of an attempt, {result}"));
        let small = |number: i32| u16::try_from(number).unwrap_or(0);
        let sip = self.sip_status.map(|status| SipEvidence {
            status: small(status),
            reason: self.sip_reason.clone().unwrap_or_default(),
            q850: self.sip_q850.map(small),
            rule: self.sip_rule.clone().unwrap_or_default(),
        });
        Ok(Some(CallEnd {
            result: result.parse().map_err(unreadable)?,
            scope: self.scope.as_deref().unwrap_or_default().parse::<Scope>().map_err(unreadable)?,
            counted: self.counted.unwrap_or(true),
            sip,
            started_at,
            ringing_at: self.ringing_at,
            answered_at: self.answered_at,
            ended_at,
            hangup_by: self.hangup_by.as_deref().map(str::parse::<HangupBy>).transpose().map_err(unreadable)?,
            not_before: None,
        }))
    }
}

impl TryFrom<AttemptRow> for AttemptRecord {
    type Error = StoreError;
    fn try_from(row: AttemptRow) -> Result<Self, StoreError> {
        let end = row.end()?;
        let fetched = row.fetched.recording()?;
        let report = row.output_tags.zip(row.variables).map(|(output_tags, variables)| StoredReport {
            major_intent: row.major_intent,
            output_tags,
            variables,
            conversation: row.conversation,
            recording: row.recording,
            fetched,
        });
        let attempt = u32::try_from(row.attempt).unwrap_or(0);
        Ok(Self { attempt, caller_number: row.caller_number, end, report })
    }
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = SqlUuid)]
    task_id: uuid::Uuid,
    #[diesel(sql_type = BigInt)]
    task_no: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Integer)]
    attempt: i32,
}

/// A callee of a task that is not deleted, and which attempt the call was.
#[derive(Debug, Clone, Copy)]
pub struct CallPlace {
    pub task: crate::domain::ids::TaskId,
    pub key: CalleeKey,
    pub attempt: u32,
}

/// The callees of the task `$1`; further conditions follow.
pub(in crate::store) const CALLEE: &str = "
    SELECT c.task_no, c.seq, c.called_number, c.out_id, c.batch_id, c.variables, r.result, r.failed_reason,
           r.ended_at, o.seq IS NOT NULL AS is_open, w.due_at, coalesce(r.attempts, o.attempt, w.attempt - 1, 0) AS attempts
    FROM callees c LEFT JOIN callee_results r ON r.task_no = $1 AND r.seq = c.seq
         LEFT JOIN open_attempts o ON o.task_no = $1 AND o.seq = c.seq
         LEFT JOIN redials w ON w.task_no = $1 AND w.seq = c.seq
    WHERE c.task_no = $1";

const ATTEMPTS: &str = "
    WITH made AS (
        SELECT attempt, caller_number, result, counted, scope, sip_status, sip_reason, sip_q850, sip_rule, started_at,
               ringing_at, answered_at, ended_at, hangup_by
        FROM attempts WHERE task_no = $1 AND seq = $2
        UNION ALL
        SELECT attempt, caller_number, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM open_attempts WHERE task_no = $1 AND seq = $2)
    SELECT made.*, p.major_intent, p.output_tags, p.variables, p.conversation, p.recording,
           m.state, m.bytes, m.sha256, m.location, m.reason
    FROM made LEFT JOIN call_reports p ON p.task_no = $1 AND p.seq = $2 AND p.attempt = made.attempt
         LEFT JOIN recordings m ON m.task_no = $1 AND m.seq = $2 AND m.attempt = made.attempt AND m.state <> 'DISCARDED'
    ORDER BY made.attempt";

/// By one statement, so that a call that ends meanwhile is found in one place or the other.
const PLACE: &str = "
    SELECT t.task_id, f.task_no, f.seq, f.attempt
    FROM (SELECT task_no, seq, attempt FROM open_attempts WHERE call_id = $1
          UNION ALL SELECT task_no, seq, attempt FROM attempts WHERE call_id = $1) f
    JOIN tasks t USING (task_no) WHERE t.deleted_at IS NULL";

impl Store {
    /// A callee with all its attempts, by a call of it or by its `outId`.
    pub async fn call_record(&self, wanted: &CallRef) -> Result<Option<CallRecord>, StoreError> {
        let mut transaction = self.begin().await?;
        let found = transaction.call_record(wanted).await?;
        transaction.commit().await?;
        Ok(found)
    }
}

impl Transaction {
    /// Whose call it is; `None` when there is none, or its task is deleted.
    pub async fn call_place(&mut self, call: CallId) -> Result<Option<CallPlace>, StoreError> {
        let query = diesel::sql_query(PLACE).bind::<SqlUuid, _>(call.0);
        let place: Option<Place> = query.get_result(&mut self.connection).await.optional()?;
        Ok(place.map(|place| CallPlace {
            task: crate::domain::ids::TaskId(place.task_id),
            key: CalleeKey { task: TaskNo(place.task_no), seq: place.seq },
            attempt: u32::try_from(place.attempt).unwrap_or(0),
        }))
    }

    async fn call_record(&mut self, wanted: &CallRef) -> Result<Option<CallRecord>, StoreError> {
        let (task, place) = match wanted {
            CallRef::OutId(task, out_id) => (task.clone(), Err(out_id)),
            CallRef::Call(call) => match self.call_place(*call).await? {
                Some(place) => (TaskRef::Id(place.task), Ok(place.key.seq)),
                None => return Ok(None),
            },
        };
        let Some(task) = self.task(&task).await? else { return Ok(None) };
        let query = diesel::sql_query(CALLEE).into_boxed::<Pg>().bind::<BigInt, _>(task.no.0);
        let query = match place {
            Ok(seq) => query.sql(" AND c.seq = $2").bind::<BigInt, _>(seq),
            Err(out_id) => query.sql(" AND c.out_id = $2").bind::<Text, _>(out_id),
        };
        let row: Option<Row> = query.get_result(&mut self.connection).await.optional()?;
        let Some(callee) = row.map(CalleeRecord::try_from).transpose()? else { return Ok(None) };
        let query = diesel::sql_query(ATTEMPTS).bind::<BigInt, _>(task.no.0);
        let query = query.bind::<BigInt, _>(callee.callee.key.seq);
        let rows: Vec<AttemptRow> = query.load(&mut self.connection).await?;
        let attempts: Result<Vec<_>, _> = rows.into_iter().map(AttemptRecord::try_from).collect();
        let (id, name) = (task.settings.id, task.settings.name);
        Ok(Some(CallRecord { task: id, task_name: name, callee, attempts: attempts? }))
    }
}
