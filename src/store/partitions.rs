//! Room for the tasks to come: partitions of the big tables, made ahead of need.
//!
//! Making one locks its parent against everybody for a moment, so it is tried with a short lock timeout and
//! tried again, and never in the transaction of a command.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::{Store, StoreError};

/// Tasks for one partition.
pub(super) const SPAN: i64 = 1_000;
pub(super) const TABLES: [&str; 4] = ["callees", "callee_results", "attempts", "call_reports"];

#[derive(QueryableByName)]
struct Newest {
    #[diesel(sql_type = BigInt)]
    task_no: i64,
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    exists: bool,
}

impl Store {
    /// Makes sure that the newest task and the thousand after it have their partitions.
    pub async fn ensure_partitions(&self) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        let query = diesel::sql_query("SELECT coalesce(max(task_no), 0) AS task_no FROM tasks");
        let newest: Newest = query.get_result(&mut connection).await?;
        let index = newest.task_no / SPAN;
        for from in [index * SPAN, (index + 1) * SPAN] {
            ensure(&mut connection, from).await?;
        }
        Ok(())
    }
}

async fn ensure(connection: &mut AsyncPgConnection, from: i64) -> Result<(), StoreError> {
    let query = diesel::sql_query("SELECT to_regclass($1) IS NOT NULL AS exists");
    // The last of them is made last: where it is, all are.
    let made: Exists = query.bind::<Text, _>(format!("{}_{from}", TABLES[3])).get_result(connection).await?;
    if made.exists {
        return Ok(());
    }
    let to = from + SPAN;
    let partition = |table: &&str| {
        format!("CREATE TABLE IF NOT EXISTS {table}_{from} PARTITION OF {table} FOR VALUES FROM ({from}) TO ({to});")
    };
    let statements: String = TABLES.iter().map(partition).collect();
    let batch = format!("BEGIN; SET LOCAL lock_timeout = '2s'; {statements} COMMIT");
    let outcome = connection.batch_execute(&batch).await;
    if outcome.is_err() {
        connection.batch_execute("ROLLBACK").await?;
    }
    Ok(outcome?)
}
