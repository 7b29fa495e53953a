//! Callees: imported in bulk, read ahead in order, never changed.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, Text};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::agents::from_json;
use super::{Store, StoreError, Transaction};
use crate::domain::callee::{Callee, NewCallee};
use crate::domain::ids::{CalleeKey, TaskNo};
use crate::domain::phone_number::PhoneNumber;

/// What a task has already, of the numbers and ids that were asked for.
#[derive(Debug, Default)]
pub struct Present {
    pub numbers: HashSet<String>,
    pub out_ids: HashSet<String>,
}

#[derive(QueryableByName)]
pub(in crate::store) struct CalleeRow {
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
}

impl TryFrom<CalleeRow> for Callee {
    type Error = StoreError;
    fn try_from(row: CalleeRow) -> Result<Self, StoreError> {
        Ok(Self {
            key: CalleeKey { task: TaskNo(row.task_no), seq: row.seq },
            called_number: PhoneNumber::from_stored(row.called_number),
            out_id: row.out_id,
            batch_id: row.batch_id,
            variables: from_json(row.variables)?,
        })
    }
}

#[derive(QueryableByName)]
struct Seq {
    #[diesel(sql_type = BigInt)]
    last_seq: i64,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Nullable<Text>)]
    number: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    out_id: Option<String>,
}

impl Transaction {
    /// Locks the task's counter, which orders imports and completions, and tells the highest place given so far.
    pub async fn lock_counter(&mut self, task: TaskNo) -> Result<i64, StoreError> {
        let query = diesel::sql_query("SELECT last_seq FROM task_counters WHERE task_no = $1 FOR UPDATE");
        let row: Seq = query.bind::<BigInt, _>(task.0).get_result(&mut self.connection).await?;
        Ok(row.last_seq)
    }

    /// Which of these numbers and ids the task has already. The counter must be locked.
    pub async fn present(&mut self, task: TaskNo, numbers: &[&str], out_ids: &[&str]) -> Result<Present, StoreError> {
        let query = diesel::sql_query(
            "SELECT called_number AS number, NULL::text AS out_id FROM callees
             WHERE task_no = $1 AND called_number = ANY($2)
             UNION ALL
             SELECT NULL, out_id FROM callees WHERE task_no = $1 AND out_id = ANY($3)",
        );
        let found: Vec<Found> = query
            .bind::<BigInt, _>(task.0)
            .bind::<Array<Text>, _>(numbers)
            .bind::<Array<Text>, _>(out_ids)
            .load(&mut self.connection)
            .await?;
        let mut present = Present::default();
        for row in found {
            present.numbers.extend(row.number);
            present.out_ids.extend(row.out_id);
        }
        Ok(present)
    }

    /// Appends callees after place `last_seq`. The counter must be locked.
    pub async fn append_callees(
        &mut self,
        task: TaskNo,
        batch_id: Option<&str>,
        callees: &[NewCallee],
    ) -> Result<(), StoreError> {
        let numbers: Vec<&str> = callees.iter().map(|callee| callee.called_number.e164()).collect();
        let out_ids: Vec<Option<&str>> = callees.iter().map(|callee| callee.out_id.as_deref()).collect();
        let variables: Vec<Value> = callees.iter().map(|callee| serde_json::json!(callee.variables)).collect();
        // In its own transaction and under the counter's lock: the order of commits is the order of places.
        let query = diesel::sql_query(
            "WITH counter AS (
                 UPDATE task_counters SET last_seq = last_seq + cardinality($3) WHERE task_no = $1
                 RETURNING last_seq - cardinality($3) AS before)
             INSERT INTO callees (task_no, seq, called_number, out_id, batch_id, variables)
             SELECT $1, counter.before + c.place, c.called_number, c.out_id, $2, c.variables
             FROM counter, unnest($3, $4, $5) WITH ORDINALITY AS c (called_number, out_id, variables, place)",
        );
        query
            .bind::<BigInt, _>(task.0)
            .bind::<Nullable<Text>, _>(batch_id)
            .bind::<Array<Text>, _>(numbers)
            .bind::<Array<Nullable<Text>>, _>(out_ids)
            .bind::<Array<Jsonb>, _>(variables)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}

impl Store {
    /// The next callees after place `after`, in order, without those that are final, open or waiting: usually the
    /// last two do not occur beyond the cursor, but a cursor that was set back must pass over them.
    pub async fn read_ahead(&self, task: TaskNo, after: i64, most: i64) -> Result<Vec<Callee>, StoreError> {
        let query = diesel::sql_query(
            "SELECT c.task_no, c.seq, c.called_number, c.out_id, c.batch_id, c.variables FROM callees c
             WHERE c.task_no = $1 AND c.seq > $2
               AND NOT EXISTS (SELECT 1 FROM callee_results r WHERE r.task_no = $1 AND r.seq = c.seq AND r.seq > $2)
               AND NOT EXISTS (SELECT 1 FROM open_attempts o WHERE o.task_no = $1 AND o.seq = c.seq AND o.seq > $2)
               AND NOT EXISTS (SELECT 1 FROM redials w WHERE w.task_no = $1 AND w.seq = c.seq AND w.seq > $2)
             ORDER BY c.seq LIMIT $3",
        );
        let rows: Vec<CalleeRow> = query
            .bind::<BigInt, _>(task.0)
            .bind::<BigInt, _>(after)
            .bind::<BigInt, _>(most)
            .load(&mut self.connection().await?)
            .await?;
        rows.into_iter().map(Callee::try_from).collect()
    }
}
