//! Removing the rows of deleted tasks, out of everybody's way.
//!
//! A partition all of whose tasks are deleted is dropped. That takes ACCESS EXCLUSIVE on its parent, and whoever comes
//! meanwhile queues up behind it, so it is tried with a lock timeout that nobody notices, and again in the next round. What
//! shares its partition with tasks that live goes in slices. The task's own row stays: its id is never used again.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::partitions::{SPAN, TABLES};
use super::{Store, StoreError};
use crate::domain::ids::TaskNo;

/// Places for one slice.
const SLICE: i64 = 5_000;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

impl Store {
    /// Where the partitions begin that will get no task any more and have none that lives.
    pub async fn deleted_partitions(&self) -> Result<Vec<i64>, StoreError> {
        let query = diesel::sql_query(
            "WITH deleted AS (
                 SELECT DISTINCT task_no / $1 * $1 AS number FROM tasks WHERE deleted_at IS NOT NULL AND purged_at IS NULL)
             SELECT number FROM deleted
             WHERE number + $1 <= (SELECT max(task_no) FROM tasks)
               AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.task_no >= number AND t.task_no < number + $1
                               AND t.deleted_at IS NULL)",
        );
        let rows: Vec<Number> = query.bind::<BigInt, _>(SPAN).load(&mut self.connection().await?).await?;
        Ok(rows.into_iter().map(|row| row.number).collect())
    }

    /// Drops a partition with all that its tasks left elsewhere; `false` when somebody was in the way.
    pub async fn drop_partition(&self, from: i64) -> Result<bool, StoreError> {
        let to = from + SPAN;
        let drops: String = TABLES.iter().map(|table| format!("DROP TABLE IF EXISTS {table}_{from};")).collect();
        let rest: String = ["redials", "task_progress", "cancellations", "task_counters"]
            .iter()
            .map(|table| format!("DELETE FROM {table} WHERE task_no >= {from} AND task_no < {to};"))
            .collect();
        let done =
            format!("UPDATE tasks SET purged_at = clock_timestamp() WHERE task_no >= {from} AND task_no < {to};");
        // The locks last: what they keep waiting waits for the drop and the commit alone.
        let batch = format!("BEGIN; SET LOCAL lock_timeout = '100ms'; {rest} {done} {drops} COMMIT");
        let mut connection = self.connection().await?;
        let Err(error) = connection.batch_execute(&batch).await else { return Ok(true) };
        connection.batch_execute("ROLLBACK").await?;
        tracing::debug!(%error, from, "a partition was in use; it is dropped another time");
        Ok(false)
    }

    /// Deleted tasks that still have rows and share their partition with others.
    pub async fn tasks_to_purge(&self) -> Result<Vec<TaskNo>, StoreError> {
        let dropped = self.deleted_partitions().await?;
        let query = diesel::sql_query(
            "SELECT task_no AS number FROM tasks
             WHERE deleted_at IS NOT NULL AND purged_at IS NULL AND task_no / $1 * $1 <> ALL($2) ORDER BY task_no",
        );
        let query = query.bind::<BigInt, _>(SPAN).bind::<Array<BigInt>, _>(dropped);
        let rows: Vec<Number> = query.load(&mut self.connection().await?).await?;
        Ok(rows.into_iter().map(|row| TaskNo(row.number)).collect())
    }

    /// Deletes the rows of the next places of a deleted task; `None` when all are gone, which is noted.
    pub async fn purge_slice(&self, task: TaskNo, after: i64) -> Result<Option<i64>, StoreError> {
        let mut connection = self.connection().await?;
        let query = diesel::sql_query("SELECT last_seq AS number FROM task_counters WHERE task_no = $1");
        let last: Option<Number> = query.bind::<BigInt, _>(task.0).get_result(&mut connection).await.optional()?;
        if last.is_some_and(|last| after < last.number) {
            for table in TABLES.iter().chain(&["redials"]) {
                let statement = format!("DELETE FROM {table} WHERE task_no = $1 AND seq > $2 AND seq <= $3");
                let query = diesel::sql_query(statement).bind::<BigInt, _>(task.0).bind::<BigInt, _>(after);
                query.bind::<BigInt, _>(after + SLICE).execute(&mut connection).await?;
            }
            return Ok(Some(after + SLICE));
        }
        // The counter goes last: without it nobody knows how far the rows reach.
        let query = diesel::sql_query(
            "WITH progress AS (DELETE FROM task_progress WHERE task_no = $1),
                  headway AS (DELETE FROM cancellations WHERE task_no = $1),
                  counter AS (DELETE FROM task_counters WHERE task_no = $1)
             UPDATE tasks SET purged_at = clock_timestamp() WHERE task_no = $1",
        );
        query.bind::<BigInt, _>(task.0).execute(&mut connection).await?;
        Ok(None)
    }
}
