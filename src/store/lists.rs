//! Pages of a task's callees, in the order of their places, however many the task has.
//!
//! A page is looked for in windows of places, with set operations: within a window each table is read once, by index.
//! Joins under a LIMIT would be answered by one look-up for each callee that is passed over, which takes a quarter of a
//! minute for a million. Who is pending among a million final ones is found by where it can be: open, waiting, or
//! beyond the highest place that was ever claimed.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::records::{CALLEE, Row};
use super::{Store, StoreError};
use crate::domain::ids::{TaskId, TaskNo};
use crate::domain::record::{CalleeFilter, CalleeRecord, Tab};
use crate::domain::task::TaskRef;

/// Places that are looked through at first; then more and more.
const FIRST_WINDOW: i64 = 2_000;
const LARGEST_WINDOW: i64 = 64_000;
const GROWTH: i64 = 4;

/// Who comes next that may be pending.
const NEXT_PENDING: &str = "
    SELECT least((SELECT min(seq) FROM open_attempts WHERE task_no = $1 AND seq > $2),
                 (SELECT min(seq) FROM redials WHERE task_no = $1 AND seq > $2),
                 greatest($2, (SELECT max(seq) FROM open_attempts WHERE task_no = $1),
                              (SELECT max(seq) FROM redials WHERE task_no = $1),
                              (SELECT max(seq) FROM attempts WHERE task_no = $1)) + 1) AS seq";

type Statement<'q> = BoxedSqlQuery<'q, Pg, SqlQuery>;

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = Nullable<BigInt>)]
    seq: Option<i64>,
}

impl Store {
    /// Callees of a task, in the order of their import; `None` when there is no such task.
    pub async fn list_callees(
        &self,
        task: &TaskRef,
        filter: &CalleeFilter,
    ) -> Result<Option<(TaskId, Vec<CalleeRecord>)>, StoreError> {
        let mut transaction = self.begin().await?;
        let found = match transaction.task(task).await? {
            None => None,
            Some(task) if filter.out_id.is_some() || filter.called_number.is_some() => {
                Some((task.settings.id, look_up(&mut transaction.connection, task.no, filter).await?))
            }
            Some(task) => Some((task.settings.id, walk(&mut transaction.connection, task.no, filter).await?)),
        };
        transaction.commit().await?;
        Ok(found)
    }
}

fn records(rows: Vec<Row>) -> Result<Vec<CalleeRecord>, StoreError> {
    rows.into_iter().map(CalleeRecord::try_from).collect()
}

/// The few with an `outId` or a number.
async fn look_up(
    connection: &mut AsyncPgConnection,
    task: TaskNo,
    filter: &CalleeFilter,
) -> Result<Vec<CalleeRecord>, StoreError> {
    let query = diesel::sql_query(CALLEE).into_boxed::<Pg>().sql(" AND c.seq > $2").bind::<BigInt, _>(task.0);
    let query = query.bind::<BigInt, _>(filter.after).bind::<BigInt, _>(filter.most);
    let mut query = query.sql(match filter.tab {
        Tab::Pending => " AND r.seq IS NULL",
        Tab::Completed => " AND r.state = 'COMPLETED'",
        Tab::Failed => " AND r.state = 'FAILED'",
    });
    let mut parameter = 3;
    query = of_callee(query, filter, &mut parameter);
    query = of_result(query, filter, &mut parameter);
    records(query.sql(" ORDER BY c.seq LIMIT $3").load(connection).await?)
}

/// Window after window until the page is full.
async fn walk(
    connection: &mut AsyncPgConnection,
    task: TaskNo,
    filter: &CalleeFilter,
) -> Result<Vec<CalleeRecord>, StoreError> {
    let of_results = filter.result.is_some() || filter.ended_from.is_some() || filter.ended_to.is_some();
    if filter.tab == Tab::Pending && of_results {
        return Ok(Vec::new());
    }
    let query = diesel::sql_query("SELECT max(last_seq) AS seq FROM task_counters WHERE task_no = $1");
    let last: Place = query.bind::<BigInt, _>(task.0).get_result(connection).await?;
    let last = last.seq.unwrap_or(0);
    let (mut found, mut after, mut window) = (Vec::new(), filter.after, FIRST_WINDOW);
    loop {
        if filter.tab == Tab::Pending {
            let query = diesel::sql_query(NEXT_PENDING).bind::<BigInt, _>(task.0).bind::<BigInt, _>(after);
            let next: Place = query.get_result(connection).await?;
            after = next.seq.map_or(after, |next| next - 1);
        }
        let missing = filter.most - i64::try_from(found.len()).unwrap_or(filter.most);
        if after >= last || missing <= 0 {
            return records(found);
        }
        let rows: Vec<Row> = page(task, filter, (after, after + window, missing)).load(connection).await?;
        found.extend(rows);
        after += window;
        window = (window * GROWTH).min(LARGEST_WINDOW);
    }
}

/// The callees of a window that are looked for, at most `most`.
fn page(task: TaskNo, filter: &CalleeFilter, (after, up_to, most): (i64, i64, i64)) -> Statement<'_> {
    const CALLEES: &str = "SELECT c.seq FROM callees c WHERE c.task_no = $1 AND c.seq > $2 AND c.seq <= $3";
    const RESULTS: &str = "SELECT r.seq FROM callee_results r WHERE r.task_no = $1 AND r.seq > $2 AND r.seq <= $3";
    let query = diesel::sql_query("WITH page AS MATERIALIZED (").into_boxed::<Pg>();
    let query = query.bind::<BigInt, _>(task.0).bind::<BigInt, _>(after).bind::<BigInt, _>(up_to);
    let mut query = query.bind::<BigInt, _>(most);
    let mut parameter = 4;
    if filter.tab == Tab::Pending {
        query = of_callee(query.sql(CALLEES), filter, &mut parameter);
        query = query.sql(" EXCEPT ").sql(RESULTS);
    } else {
        // In the text and no parameter, so that the plan can always use the index on the failed.
        let state = if filter.tab == Tab::Completed { "COMPLETED" } else { "FAILED" };
        query = of_result(query.sql(RESULTS).sql(format!(" AND r.state = '{state}'")), filter, &mut parameter);
        if filter.batch_id.is_some() {
            query = of_callee(query.sql(" INTERSECT ").sql(CALLEES), filter, &mut parameter);
        }
    }
    query
        .sql(" ORDER BY seq LIMIT $4)")
        .sql(CALLEE)
        .sql(" AND c.seq = ANY (ARRAY(SELECT seq FROM page)) ORDER BY c.seq")
}

/// A condition for each filter that is set; those that are not would spoil the plan.
fn of_callee<'q>(mut query: Statement<'q>, filter: &'q CalleeFilter, parameter: &mut usize) -> Statement<'q> {
    let texts = [
        ("c.batch_id", filter.batch_id.as_deref()),
        ("c.out_id", filter.out_id.as_deref()),
        ("c.called_number", filter.called_number.as_ref().map(|number| number.e164())),
    ];
    for (column, value) in texts {
        if let Some(value) = value {
            query = query.sql(condition(column, "=", parameter)).bind::<Text, _>(value);
        }
    }
    query
}

fn of_result<'q>(mut query: Statement<'q>, filter: &'q CalleeFilter, parameter: &mut usize) -> Statement<'q> {
    if let Some(result) = filter.result {
        query = query.sql(condition("r.result", "=", parameter)).bind::<Text, _>(result.as_str());
    }
    for (operator, value) in [(">=", filter.ended_from), ("<", filter.ended_to)] {
        if let Some(value) = value {
            query = query.sql(condition("r.ended_at", operator, parameter)).bind::<Timestamptz, _>(value);
        }
    }
    query
}

fn condition(column: &str, operator: &str, parameter: &mut usize) -> String {
    *parameter += 1;
    format!(" AND {column} {operator} ${parameter}")
}
