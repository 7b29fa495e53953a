//! Cancelling callees that are pending, and how far the cancel of a whole batch has come.
//!
//! All of it stands on the fence: the lease was narrowed and the counter locked in earlier statements of the
//! transaction, so that who is pending here can be claimed by nobody before the commit, nor after it: a fresh callee
//! has a result then, which reading ahead leaves out, and a waiting one waits no more.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::callees::CalleeRow;
use super::{StoreError, Transaction};
use crate::domain::callee::{Callee, FailedReason};
use crate::domain::ids::{CalleeKey, TaskNo};

/// Which callees are to be cancelled.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    Places(&'a [i64]),
    OutIds(&'a [&'a str]),
    Numbers(&'a [&'a str]),
    /// The next callees of a batch after a place, in order.
    Batch {
        id: &'a str,
        after: i64,
        most: i64,
    },
}

/// A callee that a cancel found.
#[derive(Debug, Clone)]
pub struct Found {
    pub callee: Callee,
    pub stage: Stage,
}

/// Where the callee stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// `attempts` calls were made, and none is up.
    Pending {
        attempts: u32,
    },
    /// An attempt is open.
    Calling,
    Final,
}

/// How far the cancel of a batch has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, QueryableByName)]
pub struct Headway {
    #[diesel(sql_type = BigInt)]
    pub after_seq: i64,
    #[diesel(sql_type = BigInt)]
    pub cancelled: i64,
    #[diesel(sql_type = BigInt)]
    pub not_pending: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    callee: CalleeRow,
    #[diesel(sql_type = Bool)]
    is_final: bool,
    #[diesel(sql_type = Bool)]
    is_open: bool,
    #[diesel(sql_type = Integer)]
    attempts: i32,
}

#[derive(QueryableByName)]
struct Sum {
    #[diesel(sql_type = BigInt)]
    task_no: i64,
    #[diesel(sql_type = BigInt)]
    cancelled: i64,
}

impl TryFrom<Row> for Found {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self, StoreError> {
        let stage = match (row.is_final, row.is_open) {
            (true, _) => Stage::Final,
            (false, true) => Stage::Calling,
            (false, false) => Stage::Pending { attempts: u32::try_from(row.attempts).unwrap_or(0) },
        };
        Ok(Self { callee: row.callee.try_into()?, stage })
    }
}

/// How many callees of these tasks were cancelled so far.
pub(super) async fn cancelled_so_far(
    connection: &mut AsyncPgConnection,
    tasks: &[i64],
) -> Result<BTreeMap<TaskNo, u64>, StoreError> {
    let query = diesel::sql_query("SELECT task_no, cancelled FROM task_counters WHERE task_no = ANY($1)");
    let rows: Vec<Sum> = query.bind::<Array<BigInt>, _>(tasks).load(connection).await?;
    Ok(rows.into_iter().map(|row| (TaskNo(row.task_no), u64::try_from(row.cancelled).unwrap_or(0))).collect())
}

/// Each callee with where it stands; what is wanted is `$2` and so on.
fn statement(wanted: &str) -> String {
    format!(
        "SELECT c.task_no, c.seq, c.called_number, c.out_id, c.batch_id, c.variables, r.seq IS NOT NULL AS is_final,
                o.seq IS NOT NULL AS is_open, coalesce(w.attempt - 1, 0) AS attempts
         FROM callees c LEFT JOIN callee_results r ON r.task_no = $1 AND r.seq = c.seq
              LEFT JOIN open_attempts o ON o.task_no = $1 AND o.seq = c.seq
              LEFT JOIN redials w ON w.task_no = $1 AND w.seq = c.seq
         WHERE c.task_no = $1 AND {wanted}"
    )
}

impl Transaction {
    /// Who of the wanted callees is there, and where each stands.
    pub async fn find_wanted(&mut self, task: TaskNo, wanted: Wanted<'_>) -> Result<Vec<Found>, StoreError> {
        let query = |wanted| diesel::sql_query(statement(wanted)).bind::<BigInt, _>(task.0);
        let connection = &mut self.connection;
        let rows: Vec<Row> = match wanted {
            Wanted::Places(places) => {
                query("c.seq = ANY($2)").bind::<Array<BigInt>, _>(places).load(connection).await?
            }
            Wanted::OutIds(ids) => query("c.out_id = ANY($2)").bind::<Array<Text>, _>(ids).load(connection).await?,
            Wanted::Numbers(numbers) => {
                query("c.called_number = ANY($2)").bind::<Array<Text>, _>(numbers).load(connection).await?
            }
            Wanted::Batch { id, after, most } => {
                query("c.batch_id = $2 AND c.seq > $3 ORDER BY c.seq LIMIT $4")
                    .bind::<Text, _>(id)
                    .bind::<BigInt, _>(after)
                    .bind::<BigInt, _>(most)
                    .load(connection)
                    .await?
            }
        };
        rows.into_iter().map(Found::try_from).collect()
    }

    /// Makes pending callees final, with how many calls each of them had. Their events are the caller's part.
    pub async fn cancel(
        &mut self,
        task: TaskNo,
        pending: &[(CalleeKey, u32)],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let seqs: Vec<i64> = pending.iter().map(|(key, _)| key.seq).collect();
        let attempts: Vec<i32> = pending.iter().map(|(_, n)| i32::try_from(*n).unwrap_or(i32::MAX)).collect();
        let query = diesel::sql_query(
            "WITH gone AS (DELETE FROM redials WHERE task_no = $1 AND seq = ANY($2)),
             counted AS (UPDATE task_counters SET cancelled = cancelled + cardinality($2) WHERE task_no = $1)
             INSERT INTO callee_results (task_no, seq, state, failed_reason, attempts, ended_at)
             SELECT $1, c.seq, 'FAILED', $4, c.attempts, $5 FROM unnest($2, $3) AS c (seq, attempts)",
        );
        query
            .bind::<BigInt, _>(task.0)
            .bind::<Array<BigInt>, _>(seqs)
            .bind::<Array<Integer>, _>(attempts)
            .bind::<Text, _>(FailedReason::Cancelled.as_str())
            .bind::<Timestamptz, _>(now)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// How far a command has come in earlier slices.
    pub async fn headway(&mut self, command: &str) -> Result<Headway, StoreError> {
        let query = diesel::sql_query("SELECT after_seq, cancelled, not_pending FROM cancellations WHERE command = $1");
        let found: Option<Headway> =
            query.bind::<Text, _>(command).get_result(&mut self.connection).await.optional()?;
        Ok(found.unwrap_or_default())
    }

    /// Keeps how far a command has come.
    pub async fn keep_headway(&mut self, command: &str, task: TaskNo, headway: Headway) -> Result<(), StoreError> {
        let query = diesel::sql_query(
            "INSERT INTO cancellations (command, task_no, after_seq, cancelled, not_pending) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (command) DO UPDATE SET after_seq = excluded.after_seq, cancelled = excluded.cancelled,
                 not_pending = excluded.not_pending",
        );
        query
            .bind::<Text, _>(command)
            .bind::<BigInt, _>(task.0)
            .bind::<BigInt, _>(headway.after_seq)
            .bind::<BigInt, _>(headway.cancelled)
            .bind::<BigInt, _>(headway.not_pending)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// Forgets a command that has come to its end.
    pub async fn forget_headway(&mut self, command: &str) -> Result<(), StoreError> {
        let query = diesel::sql_query("DELETE FROM cancellations WHERE command = $1");
        query.bind::<Text, _>(command).execute(&mut self.connection).await?;
        Ok(())
    }
}
