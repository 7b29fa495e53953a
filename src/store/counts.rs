//! The exact counts of a task, without counting its callees.
//!
//! Places are claimed in their order, so every callee up to the highest place that was ever claimed is open, waiting or
//! final, and beyond it nobody was called. What is counted row by row is what was cancelled before it was called, and
//! what waits; a task with a million ended calls costs no more than one with ten.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{StoreError, Transaction};
use crate::domain::ids::TaskNo;
use crate::domain::task::Counts;

const COUNTS: &str = "
    WITH cursor AS (
        SELECT greatest((SELECT max(seq) FROM open_attempts WHERE task_no = $1),
                        (SELECT max(seq) FROM redials WHERE task_no = $1),
                        (SELECT max(seq) FROM attempts WHERE task_no = $1), 0) AS seq),
    counted AS (
        SELECT (SELECT count(*) FROM open_attempts WHERE task_no = $1) AS calling,
               (SELECT count(*) FROM redials WHERE task_no = $1) AS waiting,
               (SELECT count(*) FROM callee_results, cursor
                WHERE task_no = $1 AND state = 'FAILED' AND callee_results.seq <= cursor.seq) AS failed_before,
               (SELECT count(*) FROM callee_results WHERE task_no = $1 AND failed_reason <> 'CANCELLED') AS not_callable)
    SELECT c.last_seq, counted.calling, cursor.seq - counted.calling - counted.waiting - counted.failed_before AS completed,
           c.cancelled + counted.not_callable AS failed
    FROM task_counters c, cursor, counted WHERE c.task_no = $1";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    last_seq: i64,
    #[diesel(sql_type = BigInt)]
    calling: i64,
    #[diesel(sql_type = BigInt)]
    completed: i64,
    #[diesel(sql_type = BigInt)]
    failed: i64,
}

/// How many callees of the task are where, by one statement.
pub(super) async fn counts(connection: &mut AsyncPgConnection, task: TaskNo) -> Result<Counts, StoreError> {
    let row: Row = diesel::sql_query(COUNTS).bind::<BigInt, _>(task.0).get_result(connection).await?;
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(Counts {
        pending: unsigned(row.last_seq - row.calling - row.completed - row.failed),
        calling: unsigned(row.calling),
        completed: unsigned(row.completed),
        failed: unsigned(row.failed),
    })
}

impl Transaction {
    /// The counts of a task that does not run.
    pub async fn settled_counts(&mut self, task: TaskNo) -> Result<Counts, StoreError> {
        counts(&mut self.connection, task).await
    }
}
