//! The end of attempts: one statement from the open row to the log, the callee's new state and the event.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::domain::call::CallEnd;
use crate::domain::callee::FailedReason;
use crate::domain::event::Event;
use crate::domain::ids::CalleeKey;
use crate::domain::redial::{Next, Tally, Verdict};
use crate::store::{Store, StoreError, StoredEvent};

/// An attempt whose call ended.
#[derive(Debug, Clone)]
pub struct EndedAttempt {
    pub key: CalleeKey,
    pub attempt: u32,
    pub end: CallEnd,
    pub verdict: Verdict,
    pub event: Event,
}

/// A callee that was claimed and could not be called at all.
#[derive(Debug, Clone)]
pub struct FailedCallee {
    pub key: CalleeKey,
    pub attempt: u32,
    pub reason: FailedReason,
    pub failed_at: DateTime<Utc>,
    pub event: Event,
}

const RECORD: &str = "
    WITH ended AS (
        SELECT * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
                             $21, $22) AS e
        (task_no, seq, attempt, result, counted, scope, sip_status, sip_reason, sip_q850, sip_rule, started_at,
         ringing_at, answered_at, ended_at, hangup_by, due_at, uncounted, counted_attempts, event_id, routing_key, body)),
    gone AS (
        DELETE FROM open_attempts o USING ended e
        WHERE o.task_no = e.task_no AND o.seq = e.seq AND o.attempt = e.attempt
        RETURNING o.task_no, o.seq, o.caller_number, o.call_id),
    logged AS (
        INSERT INTO attempts (task_no, seq, attempt, caller_number, result, counted, scope, sip_status, sip_reason,
            sip_q850, sip_rule, started_at, ringing_at, answered_at, ended_at, hangup_by, call_id)
        SELECT task_no, seq, attempt, caller_number, result, counted, scope, sip_status, sip_reason,
            sip_q850, sip_rule, started_at, ringing_at, answered_at, ended_at, hangup_by, call_id
        FROM ended JOIN gone USING (task_no, seq)),
    final AS (
        INSERT INTO callee_results (task_no, seq, state, result, attempts, ended_at)
        SELECT task_no, seq, 'COMPLETED', result, attempt, ended_at
        FROM ended JOIN gone USING (task_no, seq) WHERE due_at IS NULL),
    waiting AS (
        INSERT INTO redials (task_no, seq, attempt, uncounted, counted_attempts, caller_number, due_at)
        SELECT task_no, seq, attempt + 1, uncounted, counted_attempts, caller_number, due_at
        FROM ended JOIN gone USING (task_no, seq) WHERE due_at IS NOT NULL)
    INSERT INTO outbox (event_id, holder, event_type, routing_key, body)
    SELECT event_id, $1, 'call.ended', routing_key, body FROM ended JOIN gone USING (task_no, seq)
    RETURNING id, event_id, event_type, routing_key, body";

const FAIL: &str = "
    WITH failed AS (
        SELECT * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) AS f
        (task_no, seq, attempt, reason, failed_at, event_id, routing_key, body)),
    gone AS (
        DELETE FROM open_attempts o USING failed f
        WHERE o.task_no = f.task_no AND o.seq = f.seq AND o.attempt = f.attempt
        RETURNING o.task_no, o.seq),
    final AS (
        INSERT INTO callee_results (task_no, seq, state, failed_reason, attempts, ended_at)
        SELECT task_no, seq, 'FAILED', reason, attempt - 1, failed_at FROM failed JOIN gone USING (task_no, seq))
    INSERT INTO outbox (event_id, holder, event_type, routing_key, body)
    SELECT event_id, $1, 'callee.failed', routing_key, body FROM failed JOIN gone USING (task_no, seq)
    RETURNING id, event_id, event_type, routing_key, body";

const GIVE_BACK: &str = "
    WITH gone AS (
        DELETE FROM open_attempts o USING unnest($1, $2) AS w (task_no, seq)
        WHERE o.task_no = w.task_no AND o.seq = w.seq AND o.holder = $4
        RETURNING o.task_no, o.seq, o.attempt, o.uncounted, o.counted_attempts, o.caller_number)
    INSERT INTO redials (task_no, seq, attempt, uncounted, counted_attempts, caller_number, due_at)
    SELECT task_no, seq, attempt, uncounted, counted_attempts, CASE WHEN attempt > 1 THEN caller_number END, $3
    FROM gone";

fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl Store {
    /// Records how attempts ended, and hands their events to the publisher. Attempts that are not open any more
    /// are passed over: their end was recorded before.
    pub async fn record_ends(&self, ended: &[&EndedAttempt]) -> Result<(), StoreError> {
        let column = Column(ended);
        let stored: QueryResult<Vec<StoredEvent>> = diesel::sql_query(RECORD)
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Array<BigInt>, _>(column.of(|e| e.key.task.0))
            .bind::<Array<BigInt>, _>(column.of(|e| e.key.seq))
            .bind::<Array<Integer>, _>(column.of(|e| signed(e.attempt)))
            .bind::<Array<Text>, _>(column.of(|e| e.end.result.as_str()))
            .bind::<Array<Bool>, _>(column.of(|e| e.verdict.counted))
            .bind::<Array<Text>, _>(column.of(|e| e.end.scope.as_str()))
            .bind::<Array<Nullable<Integer>>, _>(column.of(|e| Some(i32::from(e.end.sip.as_ref()?.status))))
            .bind::<Array<Nullable<Text>>, _>(column.of(|e| Some(e.end.sip.as_ref()?.reason.as_str())))
            .bind::<Array<Nullable<Integer>>, _>(column.of(|e| e.end.sip.as_ref()?.q850.map(i32::from)))
            .bind::<Array<Nullable<Text>>, _>(column.of(|e| Some(e.end.sip.as_ref()?.rule.as_str())))
            .bind::<Array<Timestamptz>, _>(column.of(|e| e.end.started_at))
            .bind::<Array<Nullable<Timestamptz>>, _>(column.of(|e| e.end.ringing_at))
            .bind::<Array<Nullable<Timestamptz>>, _>(column.of(|e| e.end.answered_at))
            .bind::<Array<Timestamptz>, _>(column.of(|e| e.end.ended_at))
            .bind::<Array<Nullable<Text>>, _>(column.of(|e| Some(e.end.hangup_by?.as_str())))
            .bind::<Array<Nullable<Timestamptz>>, _>(column.of(|e| again(e).map(|(at, _)| at)))
            .bind::<Array<Integer>, _>(column.of(|e| again(e).map_or(0, |(_, tally)| signed(tally.uncounted))))
            .bind::<Array<Integer>, _>(column.of(|e| again(e).map_or(0, |(_, tally)| signed(tally.counted))))
            .bind::<Array<SqlUuid>, _>(column.of(|e| e.event.id.0))
            .bind::<Array<Text>, _>(column.of(|e| e.event.routing_key.as_str()))
            .bind::<Array<Text>, _>(column.of(|e| e.event.body.as_str()))
            .load(&mut self.connection().await?)
            .await;
        self.hand_over(stored, ended.len())
    }

    /// Makes callees final that could not be called, and hands their events to the publisher.
    pub async fn record_failures(&self, failed: &[&FailedCallee]) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = failed.iter().map(|f| f.event.id.0).collect();
        let stored: QueryResult<Vec<StoredEvent>> = diesel::sql_query(FAIL)
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Array<BigInt>, _>(failed.iter().map(|f| f.key.task.0).collect::<Vec<_>>())
            .bind::<Array<BigInt>, _>(failed.iter().map(|f| f.key.seq).collect::<Vec<_>>())
            .bind::<Array<Integer>, _>(failed.iter().map(|f| signed(f.attempt)).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(failed.iter().map(|f| f.reason.as_str()).collect::<Vec<_>>())
            .bind::<Array<Timestamptz>, _>(failed.iter().map(|f| f.failed_at).collect::<Vec<_>>())
            .bind::<Array<SqlUuid>, _>(ids)
            .bind::<Array<Text>, _>(failed.iter().map(|f| f.event.routing_key.as_str()).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(failed.iter().map(|f| f.event.body.as_str()).collect::<Vec<_>>())
            .load(&mut self.connection().await?)
            .await;
        self.hand_over(stored, failed.len())
    }

    fn hand_over(&self, stored: QueryResult<Vec<StoredEvent>>, events: usize) -> Result<(), StoreError> {
        match stored {
            Ok(stored) => self.feed.offer(stored),
            Err(error) => {
                self.feed.missed(events);
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Takes back licences of this daemon that were not used: the same attempts are due again, and nobody hears of it.
    pub async fn give_back(&self, keys: &[CalleeKey], due_at: DateTime<Utc>) -> Result<usize, StoreError> {
        let query = diesel::sql_query(GIVE_BACK);
        Ok(query
            .bind::<Array<BigInt>, _>(keys.iter().map(|key| key.task.0).collect::<Vec<_>>())
            .bind::<Array<BigInt>, _>(keys.iter().map(|key| key.seq).collect::<Vec<_>>())
            .bind::<Timestamptz, _>(due_at)
            .bind::<SqlUuid, _>(self.holder.0)
            .execute(&mut self.connection().await?)
            .await?)
    }
}

fn again(ended: &EndedAttempt) -> Option<(DateTime<Utc>, Tally)> {
    match ended.verdict.next {
        Next::Nothing => None,
        Next::Again { at, tally } => Some((at, tally)),
    }
}

/// One column of the rows, for `unnest`.
struct Column<'e>(&'e [&'e EndedAttempt]);

impl<'e> Column<'e> {
    fn of<T>(&self, pick: impl Fn(&'e EndedAttempt) -> T) -> Vec<T> {
        self.0.iter().copied().map(pick).collect()
    }
}
