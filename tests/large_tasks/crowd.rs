//! A task with a great many callees that stand in all ways: written straight into the tables, because calling a
//! million would take hours; and the same in Rust, so that what a query answers can be foretold.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use diesel::sql_query;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use crate::harness::orders::number;
use crate::harness::servers::Place;

/// How a callee stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Fresh,
    Waiting,
    Completed(&'static str),
    Cancelled,
}

/// The crowd of one task, whose places are 1 to `callees`.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    pub callees: i64,
}

impl Crowd {
    /// Four of five were claimed.
    fn claimed(self) -> i64 {
        self.callees * 4 / 5
    }

    /// The only one of its result, far from the first.
    pub fn rare(self) -> i64 {
        self.claimed() * 3 / 4 + 1
    }

    pub fn stage(self, seq: i64) -> Stage {
        match seq {
            _ if seq == self.rare() => Stage::Completed("USER_BUSY"),
            _ if seq > self.claimed() && seq % 100 == 0 => Stage::Cancelled,
            _ if seq > self.claimed() => Stage::Fresh,
            _ if seq % 1_000 == 0 => Stage::Cancelled,
            _ if seq % 997 == 0 => Stage::Waiting,
            _ if seq % 5 == 0 => Stage::Completed("NO_ANSWER"),
            _ => Stage::Completed("ANSWERED"),
        }
    }

    pub fn how_many(self, is_it: impl Fn(Stage) -> bool) -> i64 {
        i64::try_from((1..=self.callees).filter(|seq| is_it(self.stage(*seq))).count()).unwrap()
    }

    /// When a final one was.
    pub fn ended_at(seq: i64) -> DateTime<Utc> {
        "2026-11-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::milliseconds(seq * 100)
    }

    pub fn ended(seq: i64) -> String {
        Self::ended_at(seq).to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    pub fn batch(seq: i64) -> String {
        format!("batch-{}", seq % 10)
    }

    pub fn number(seq: i64) -> String {
        number(usize::try_from(seq).unwrap())
    }

    /// Writes it for a task that has no callee yet, and was stopped after some hours.
    pub async fn write(self, place: &Place, task: &str) {
        let mut connection = AsyncPgConnection::establish(&place.database_url).await.unwrap();
        connection.batch_execute(&self.statements(task)).await.unwrap();
        sql_query("ANALYZE").execute(&mut connection).await.unwrap();
    }

    fn statements(self, task: &str) -> String {
        let (callees, claimed, rare) = (self.callees, self.claimed(), self.rare());
        let no = format!("(SELECT task_no FROM tasks WHERE task_id = '{task}')");
        let result = format!(
            "CASE WHEN seq = {rare} THEN 'USER_BUSY' WHEN seq > {claimed} AND seq % 100 = 0 THEN 'CANCELLED'
                  WHEN seq > {claimed} THEN 'FRESH' WHEN seq % 1000 = 0 THEN 'CANCELLED'
                  WHEN seq % 997 = 0 THEN 'WAITING' WHEN seq % 5 = 0 THEN 'NO_ANSWER' ELSE 'ANSWERED' END"
        );
        let crowd = format!("(SELECT seq, {result} AS result FROM generate_series(1, {callees}) AS seq) AS crowd");
        let called = "result IN ('USER_BUSY', 'NO_ANSWER', 'ANSWERED')";
        format!(
            "INSERT INTO callees (task_no, seq, called_number, out_id, batch_id, variables)
             SELECT {no}, seq, '+49301' || lpad(seq::text, 7, '0'), 'out-' || seq, 'batch-' || seq % 10,
                    jsonb_build_object('name', 'Name ' || seq) FROM generate_series(1, {callees}) AS seq;
             INSERT INTO callee_results (task_no, seq, state, result, failed_reason, attempts, ended_at)
             SELECT {no}, seq, CASE WHEN {called} THEN 'COMPLETED' ELSE 'FAILED' END,
                    CASE WHEN {called} THEN result END, CASE WHEN NOT {called} THEN result END, 1,
                    timestamptz '2026-11-01T00:00:00Z' + seq * interval '0.1 s'
             FROM {crowd} WHERE result NOT IN ('FRESH', 'WAITING');
             INSERT INTO attempts (task_no, seq, attempt, caller_number, result, counted, scope, started_at, ended_at,
                                   hangup_by, call_id)
             SELECT {no}, seq, 1, '+493055500001', CASE WHEN {called} THEN result ELSE 'NO_ANSWER' END, true, 'CALLEE',
                    now(), now(), 'CALLEE', gen_random_uuid()
             FROM {crowd} WHERE seq <= {claimed};
             INSERT INTO redials (task_no, seq, attempt, uncounted, due_at)
             SELECT {no}, seq, 2, 0, now() + interval '1 day' FROM {crowd} WHERE result = 'WAITING';
             UPDATE task_counters SET last_seq = {callees},
                    cancelled = (SELECT count(*) FROM {crowd} WHERE result = 'CANCELLED') WHERE task_no = {no};
             INSERT INTO task_progress (task_no, calling, completed, failed, cancelled, results)
             SELECT {no}, 0, (SELECT count(*) FROM {crowd} WHERE {called}), cancelled, cancelled,
                    (SELECT jsonb_object_agg(result, n) FROM
                        (SELECT result, count(*) AS n FROM {crowd} WHERE {called} GROUP BY result) AS groups)
             FROM task_counters WHERE task_no = {no};
             UPDATE tasks SET state = 'STOPPED', started_at = now() WHERE task_no = {no};"
        )
    }
}
