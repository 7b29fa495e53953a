//! Reading what is open and what waits: after a takeover, and for redials.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::callee::Callee;
use crate::domain::ids::{CallId, Holder, ServiceInstanceId, TaskId, TaskNo};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::redial::{RedialTerms, Tally};
use crate::store::agents::from_json;
use crate::store::callees::CalleeRow;
use crate::store::daemons::SILENCE;
use crate::store::{Store, StoreError};

/// An attempt that has no recorded end.
#[derive(Debug, Clone)]
pub struct OpenAttempt {
    pub callee: Callee,
    pub attempt: u32,
    pub tally: Tally,
    pub task_id: TaskId,
    pub task_name: String,
    pub terms: RedialTerms,
    pub caller_number: PhoneNumber,
    pub claimed_at: DateTime<Utc>,
    /// Since the claim, by the database's clock.
    pub age: Duration,
    /// The limits of the task's calls.
    pub ring_timeout: Duration,
    pub max_talk: Duration,
    pub holder: Holder,
    /// Its holder gave a sign of life lately.
    pub holder_alive: bool,
    /// It was answered, and another run of the daemon can go on with it.
    pub is_live: bool,
}

impl OpenAttempt {
    pub fn call_id(&self) -> CallId {
        CallId::of(self.task_id, self.callee.key.seq, self.attempt)
    }
}

/// A callee whose next attempt is due, or will be.
#[derive(Debug, Clone)]
pub struct DueRedial {
    pub callee: Callee,
    pub attempt: u32,
    pub tally: Tally,
    /// The number that it was called from.
    pub caller_number: Option<PhoneNumber>,
    pub due_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    callee: CalleeRow,
    #[diesel(sql_type = Integer)]
    attempt: i32,
    #[diesel(sql_type = Integer)]
    uncounted: i32,
    #[diesel(sql_type = Integer)]
    counted_attempts: i32,
    #[diesel(sql_type = Nullable<Text>)]
    caller_number: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
}

impl Row {
    fn tally(&self) -> Tally {
        Tally { counted: unsigned(self.counted_attempts), uncounted: unsigned(self.uncounted) }
    }
}

#[derive(QueryableByName)]
struct OpenRow {
    #[diesel(embed)]
    claimed: Row,
    #[diesel(sql_type = SqlUuid)]
    task_id: Uuid,
    #[diesel(sql_type = Text)]
    task_name: String,
    #[diesel(sql_type = Jsonb)]
    calling_window: Value,
    #[diesel(sql_type = Nullable<Jsonb>)]
    redial: Option<Value>,
    #[diesel(sql_type = Double)]
    age_seconds: f64,
    #[diesel(sql_type = Integer)]
    ring_timeout_seconds: i32,
    #[diesel(sql_type = Integer)]
    max_talk_seconds: i32,
    #[diesel(sql_type = SqlUuid)]
    holder: Uuid,
    #[diesel(sql_type = Bool)]
    holder_alive: bool,
    #[diesel(sql_type = Bool)]
    is_live: bool,
}

fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn seconds(number: i32) -> Duration {
    Duration::from_secs(unsigned(number).into())
}

/// `$1` is what they are chosen by, `$2` the silence that means a daemon's death, in seconds.
const OPEN: &str = "
    SELECT c.task_no, c.seq, c.called_number, c.out_id, c.batch_id, c.variables, o.attempt, o.uncounted,
           o.counted_attempts, o.caller_number, o.claimed_at AS at, t.task_id, t.name AS task_name,
           t.calling_window, t.redial, o.holder,
           extract(epoch FROM clock_timestamp() - o.claimed_at)::double precision AS age_seconds,
           t.ring_timeout_seconds, t.max_talk_seconds,
           -- After the database was away nobody's silence means anything yet.
           pg_postmaster_start_time() > clock_timestamp() - $2 * interval '1 second'
           OR EXISTS (SELECT 1 FROM daemons d WHERE d.holder = o.holder
                      AND d.heartbeat_at > clock_timestamp() - $2 * interval '1 second') AS holder_alive,
           o.dialogs IS NOT NULL AS is_live
    FROM open_attempts o JOIN tasks t USING (task_no) JOIN callees c USING (task_no, seq)
    WHERE ";

impl TryFrom<OpenRow> for OpenAttempt {
    type Error = StoreError;

    fn try_from(row: OpenRow) -> Result<Self, StoreError> {
        Ok(Self {
            attempt: unsigned(row.claimed.attempt),
            tally: row.claimed.tally(),
            claimed_at: row.claimed.at,
            age: Duration::try_from_secs_f64(row.age_seconds).unwrap_or_default(),
            ring_timeout: seconds(row.ring_timeout_seconds),
            max_talk: seconds(row.max_talk_seconds),
            caller_number: PhoneNumber::from_stored(row.claimed.caller_number.unwrap_or_default()),
            callee: row.claimed.callee.try_into()?,
            task_id: TaskId(row.task_id),
            task_name: row.task_name,
            terms: RedialTerms { rule: row.redial.map(from_json).transpose()?, window: from_json(row.calling_window)? },
            holder: Holder(row.holder),
            holder_alive: row.holder_alive,
            is_live: row.is_live,
        })
    }
}

impl Store {
    /// Every open attempt of a service instance, whoever holds it.
    pub async fn open_attempts(&self, id: &ServiceInstanceId) -> Result<Vec<OpenAttempt>, StoreError> {
        let rows: Vec<OpenRow> = diesel::sql_query(format!("{OPEN} o.service_instance_id = $1"))
            .bind::<Text, _>(&id.0)
            .bind::<Double, _>(SILENCE.as_secs_f64())
            .load(&mut self.connection().await?)
            .await?;
        rows.into_iter().map(OpenAttempt::try_from).collect()
    }

    /// The open attempts of these calls.
    pub async fn open_attempts_of(&self, calls: &[CallId]) -> Result<Vec<OpenAttempt>, StoreError> {
        let rows: Vec<OpenRow> = diesel::sql_query(format!("{OPEN} o.call_id = ANY ($1)"))
            .bind::<Array<SqlUuid>, _>(calls.iter().map(|call| call.0).collect::<Vec<_>>())
            .bind::<Double, _>(SILENCE.as_secs_f64())
            .load(&mut self.connection().await?)
            .await?;
        rows.into_iter().map(OpenAttempt::try_from).collect()
    }

    /// The redials of a task that are due next.
    pub async fn redials(&self, task: TaskNo, most: i64) -> Result<Vec<DueRedial>, StoreError> {
        let query = diesel::sql_query(
            "SELECT c.task_no, c.seq, c.called_number, c.out_id, c.batch_id, c.variables, r.attempt, r.uncounted,
                    r.counted_attempts, r.caller_number, r.due_at AS at
             FROM redials r JOIN callees c USING (task_no, seq)
             WHERE r.task_no = $1 ORDER BY r.due_at LIMIT $2",
        );
        let rows: Vec<Row> =
            query.bind::<BigInt, _>(task.0).bind::<BigInt, _>(most).load(&mut self.connection().await?).await?;
        let redial = |row: Row| {
            Ok(DueRedial {
                attempt: unsigned(row.attempt),
                tally: row.tally(),
                due_at: row.at,
                caller_number: row.caller_number.map(PhoneNumber::from_stored),
                callee: row.callee.try_into()?,
            })
        };
        rows.into_iter().map(redial).collect()
    }
}
