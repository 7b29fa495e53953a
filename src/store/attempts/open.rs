//! Reading what is open and what waits: after a takeover, and for redials.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::callee::Callee;
use crate::domain::ids::{CalleeKey, Holder, ServiceInstanceId, TaskId, TaskNo};
use crate::domain::phone_number::PhoneNumber;
use crate::store::agents::from_json;
use crate::store::daemons::SILENCE;
use crate::store::{Store, StoreError};

/// An attempt that has no recorded end.
#[derive(Debug, Clone)]
pub struct OpenAttempt {
    pub callee: Callee,
    pub attempt: u32,
    pub uncounted: u32,
    pub task_id: TaskId,
    pub task_name: String,
    pub caller_number: PhoneNumber,
    pub claimed_at: DateTime<Utc>,
    pub holder: Holder,
    /// Its holder gave a sign of life lately.
    pub holder_alive: bool,
}

/// A callee whose next attempt is due, or will be.
#[derive(Debug, Clone)]
pub struct DueRedial {
    pub callee: Callee,
    pub attempt: u32,
    pub uncounted: u32,
    pub due_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    task_no: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    called_number: String,
    #[diesel(sql_type = Nullable<Text>)]
    out_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    batch_id: Option<String>,
    #[diesel(sql_type = Jsonb)]
    variables: Value,
    #[diesel(sql_type = Integer)]
    attempt: i32,
    #[diesel(sql_type = Integer)]
    uncounted: i32,
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct OpenRow {
    #[diesel(embed)]
    callee: Row,
    #[diesel(sql_type = SqlUuid)]
    task_id: Uuid,
    #[diesel(sql_type = Text)]
    task_name: String,
    #[diesel(sql_type = Text)]
    caller_number: String,
    #[diesel(sql_type = SqlUuid)]
    holder: Uuid,
    #[diesel(sql_type = Bool)]
    holder_alive: bool,
}

impl Row {
    fn callee(self) -> Result<Callee, StoreError> {
        Ok(Callee {
            key: CalleeKey { task: TaskNo(self.task_no), seq: self.seq },
            called_number: PhoneNumber::from_stored(self.called_number),
            out_id: self.out_id,
            batch_id: self.batch_id,
            variables: from_json(self.variables)?,
        })
    }
}

fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

impl Store {
    /// Every open attempt of a service instance, whoever holds it.
    pub async fn open_attempts(&self, id: &ServiceInstanceId) -> Result<Vec<OpenAttempt>, StoreError> {
        let query = diesel::sql_query(
            "SELECT c.task_no, c.seq, c.called_number, c.out_id, c.batch_id, c.variables, o.attempt, o.uncounted,
                    o.claimed_at AS at, t.task_id, t.name AS task_name, o.caller_number, o.holder,
                    -- After the database was away nobody's silence means anything yet.
                    pg_postmaster_start_time() > clock_timestamp() - $2 * interval '1 second'
                    OR EXISTS (SELECT 1 FROM daemons d WHERE d.holder = o.holder
                               AND d.heartbeat_at > clock_timestamp() - $2 * interval '1 second') AS holder_alive
             FROM open_attempts o JOIN tasks t USING (task_no) JOIN callees c USING (task_no, seq)
             WHERE o.service_instance_id = $1",
        );
        let rows: Vec<OpenRow> = query
            .bind::<Text, _>(&id.0)
            .bind::<diesel::sql_types::Double, _>(SILENCE.as_secs_f64())
            .load(&mut self.connection().await?)
            .await?;
        let open = |row: OpenRow| {
            Ok(OpenAttempt {
                attempt: unsigned(row.callee.attempt),
                uncounted: unsigned(row.callee.uncounted),
                claimed_at: row.callee.at,
                callee: row.callee.callee()?,
                task_id: TaskId(row.task_id),
                task_name: row.task_name,
                caller_number: PhoneNumber::from_stored(row.caller_number),
                holder: Holder(row.holder),
                holder_alive: row.holder_alive,
            })
        };
        rows.into_iter().map(open).collect()
    }

    /// The redials of a task that are due next.
    pub async fn redials(&self, task: TaskNo, most: i64) -> Result<Vec<DueRedial>, StoreError> {
        let query = diesel::sql_query(
            "SELECT c.task_no, c.seq, c.called_number, c.out_id, c.batch_id, c.variables, r.attempt, r.uncounted,
                    r.due_at AS at
             FROM redials r JOIN callees c USING (task_no, seq)
             WHERE r.task_no = $1 ORDER BY r.due_at LIMIT $2",
        );
        let rows: Vec<Row> =
            query.bind::<BigInt, _>(task.0).bind::<BigInt, _>(most).load(&mut self.connection().await?).await?;
        let redial = |row: Row| {
            Ok(DueRedial {
                attempt: unsigned(row.attempt),
                uncounted: unsigned(row.uncounted),
                due_at: row.at,
                callee: row.callee()?,
            })
        };
        rows.into_iter().map(redial).collect()
    }

    /// Which of these callees have an open attempt.
    pub async fn are_open(&self, keys: &[CalleeKey]) -> Result<Vec<CalleeKey>, StoreError> {
        #[derive(QueryableByName)]
        struct Key {
            #[diesel(sql_type = BigInt)]
            task_no: i64,
            #[diesel(sql_type = BigInt)]
            seq: i64,
        }
        let query = diesel::sql_query(
            "SELECT o.task_no, o.seq FROM open_attempts o JOIN unnest($1, $2) AS w (task_no, seq) USING (task_no, seq)",
        );
        let keys: Vec<Key> = query
            .bind::<Array<BigInt>, _>(keys.iter().map(|key| key.task.0).collect::<Vec<_>>())
            .bind::<Array<BigInt>, _>(keys.iter().map(|key| key.seq).collect::<Vec<_>>())
            .load(&mut self.connection().await?)
            .await?;
        Ok(keys.into_iter().map(|key| CalleeKey { task: TaskNo(key.task_no), seq: key.seq }).collect())
    }
}
