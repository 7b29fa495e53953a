//! How far a task is: exactly, by counting, where nothing moves; and as its owner last saved it while calls
//! are made, because counting a million rows is no way to answer a question that is asked every second.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Jsonb, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};

use super::agents::from_json;
use super::counts;
use super::{Store, StoreError, Transaction};
use crate::domain::ids::TaskNo;
use crate::domain::progress::Progress;
use crate::domain::task::{Counts, Task, TaskRef, TaskState};

/// An owner whose daemon was silent for so long saves nothing: it beats every three seconds.
const OWNER_SILENT: Duration = Duration::from_secs(5);

/// A full count of one task.
#[derive(Debug, Clone, Default)]
pub struct Census {
    pub imported: i64,
    pub open: i64,
    pub waiting: i64,
    /// The highest place that was ever claimed.
    pub cursor: i64,
    pub progress: Progress,
}

impl Census {
    /// The exact counts.
    pub fn counts(&self) -> Counts {
        self.progress.counts(self.imported)
    }
}

#[derive(QueryableByName)]
struct Rows {
    #[diesel(sql_type = BigInt)]
    imported: i64,
    #[diesel(sql_type = BigInt)]
    open: i64,
    #[diesel(sql_type = BigInt)]
    waiting: i64,
    #[diesel(sql_type = BigInt)]
    cursor: i64,
}

#[derive(QueryableByName)]
struct Group {
    #[diesel(sql_type = Nullable<Text>)]
    result: Option<String>,
    #[diesel(sql_type = BigInt)]
    callees: i64,
    #[diesel(sql_type = BigInt)]
    cancelled: i64,
}

#[derive(QueryableByName)]
struct Saved {
    #[diesel(sql_type = BigInt)]
    last_seq: i64,
    #[diesel(sql_type = BigInt)]
    cancelled: i64,
    #[diesel(sql_type = BigInt)]
    open: i64,
    #[diesel(sql_type = Bool)]
    has_owner: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    calling: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    completed: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    failed: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    saved_cancelled: Option<i64>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    results: Option<Value>,
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

async fn census(connection: &mut AsyncPgConnection, task: TaskNo) -> Result<Census, StoreError> {
    let query = diesel::sql_query(
        "SELECT (SELECT last_seq FROM task_counters WHERE task_no = $1) AS imported,
                (SELECT count(*) FROM open_attempts WHERE task_no = $1) AS open,
                (SELECT count(*) FROM redials WHERE task_no = $1) AS waiting,
                greatest((SELECT max(seq) FROM open_attempts WHERE task_no = $1),
                         (SELECT max(seq) FROM redials WHERE task_no = $1),
                         (SELECT max(seq) FROM callee_results WHERE task_no = $1 AND state = 'COMPLETED'),
                         (SELECT max(seq) FROM attempts WHERE task_no = $1), 0) AS cursor",
    );
    let rows: Rows = query.bind::<BigInt, _>(task.0).get_result(connection).await?;
    // Both counts of the cancelled by one statement, or one of them could be newer than the other.
    let query = diesel::sql_query(
        "SELECT result, count(*) AS callees, (SELECT cancelled FROM task_counters WHERE task_no = $1) AS cancelled
         FROM callee_results WHERE task_no = $1 GROUP BY result",
    );
    let groups: Vec<Group> = query.bind::<BigInt, _>(task.0).load(connection).await?;
    let mut progress = Progress { calling: unsigned(rows.open), ..Progress::default() };
    for Group { result, callees, cancelled } in groups {
        progress.cancelled = unsigned(cancelled);
        match result {
            Some(result) => {
                progress.completed += unsigned(callees);
                progress.results.insert(result, unsigned(callees));
            }
            None => progress.failed += unsigned(callees),
        }
    }
    Ok(Census { imported: rows.imported, open: rows.open, waiting: rows.waiting, cursor: rows.cursor, progress })
}

async fn progress(connection: &mut AsyncPgConnection, task: &Task) -> Result<(Counts, Progress), StoreError> {
    let query = diesel::sql_query(
        "SELECT c.last_seq, c.cancelled, (SELECT count(*) FROM open_attempts o WHERE o.task_no = c.task_no) AS open,
                EXISTS (SELECT 1 FROM leases l JOIN daemons d USING (holder)
                        WHERE l.service_instance_id = $2
                          AND d.heartbeat_at > clock_timestamp() - $3 * interval '1 second') AS has_owner,
                p.calling, p.completed, p.failed, p.cancelled AS saved_cancelled, p.results
         FROM task_counters c LEFT JOIN task_progress p USING (task_no) WHERE c.task_no = $1",
    );
    let query = query.bind::<BigInt, _>(task.no.0).bind::<Text, _>(&task.settings.service_instance.0);
    let saved: Saved = query.bind::<Double, _>(OWNER_SILENT.as_secs_f64()).get_result(connection).await?;
    let mut progress = Progress {
        calling: unsigned(saved.calling.unwrap_or(0)),
        completed: unsigned(saved.completed.unwrap_or(0)),
        failed: unsigned(saved.failed.unwrap_or(0)),
        cancelled: unsigned(saved.saved_cancelled.unwrap_or(0)),
        results: saved.results.map(from_json).transpose()?.unwrap_or_default(),
    };
    progress.cancelled_so_far(unsigned(saved.cancelled));
    let is_settled = !saved.has_owner || (task.state != TaskState::Running && saved.open == 0);
    // A million results are counted one by one only if those that were saved are not all there are.
    if is_settled && progress.counts(saved.last_seq) != counts::counts(connection, task.no).await? {
        let census = census(connection, task.no).await?;
        return Ok((census.counts(), census.progress));
    }
    Ok((progress.counts(saved.last_seq), progress))
}

impl Transaction {
    /// Counts everything. With the counter locked and nothing open, the counts cannot change any more.
    pub async fn census(&mut self, task: TaskNo) -> Result<Census, StoreError> {
        census(&mut self.connection, task).await
    }

    /// The counts for an event of this task: exact when nothing moves, else as last saved.
    pub async fn counts(&mut self, task: &Task) -> Result<Counts, StoreError> {
        Ok(progress(&mut self.connection, task).await?.0)
    }
}

impl Store {
    /// The task with its counts, for an answer.
    pub async fn task_with_progress(&self, task: &TaskRef) -> Result<Option<(Task, Counts, Progress)>, StoreError> {
        let mut transaction = self.begin().await?;
        let found = match transaction.task(task).await? {
            None => None,
            Some(task) => {
                let (counts, progress) = progress(&mut transaction.connection, &task).await?;
                Some((task, counts, progress))
            }
        };
        transaction.commit().await?;
        Ok(found)
    }

    /// Counts everything that a new owner needs to know.
    pub async fn census(&self, task: TaskNo) -> Result<Census, StoreError> {
        census(&mut *self.connection().await?, task).await
    }

    /// Saves what the owner counted.
    pub async fn save_progress(&self, saved: &[(TaskNo, Progress)]) -> Result<(), StoreError> {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let column = |pick: fn(&Progress) -> u64| saved.iter().map(|(_, p)| signed(pick(p))).collect::<Vec<i64>>();
        let tasks: Vec<i64> = saved.iter().map(|(task, _)| task.0).collect();
        let results: Vec<Value> = saved.iter().map(|(_, progress)| json!(progress.results)).collect();
        let query = diesel::sql_query(
            "INSERT INTO task_progress (task_no, calling, completed, failed, cancelled, results)
             SELECT * FROM unnest($1, $2, $3, $4, $5, $6)
             ON CONFLICT (task_no) DO UPDATE SET calling = excluded.calling, completed = excluded.completed,
                 failed = excluded.failed, cancelled = excluded.cancelled, results = excluded.results",
        );
        query
            .bind::<Array<BigInt>, _>(tasks)
            .bind::<Array<BigInt>, _>(column(|progress| progress.calling))
            .bind::<Array<BigInt>, _>(column(|progress| progress.completed))
            .bind::<Array<BigInt>, _>(column(|progress| progress.failed))
            .bind::<Array<BigInt>, _>(column(|progress| progress.cancelled))
            .bind::<Array<Jsonb>, _>(results)
            .execute(&mut self.connection().await?)
            .await?;
        Ok(())
    }
}
