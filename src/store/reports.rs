//! What the agent platform says about calls, merged into what it said before.

use diesel::sql_types::{BigInt, Integer, Jsonb, Nullable, Text};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};

use super::callees::CalleeRow;
use super::records::CallPlace;
use super::{StoreError, Transaction};
use crate::domain::callee::Callee;

/// What a report adds; what is missing stays as it is.
#[derive(Debug, Clone, Copy)]
pub struct Additions<'r> {
    pub major_intent: Option<&'r str>,
    /// Maps, merged by key.
    pub output_tags: Option<&'r Value>,
    pub variables: Option<&'r Value>,
    /// Replaced as a whole.
    pub conversation: Option<&'r Value>,
    pub recording: Option<&'r Value>,
}

impl Transaction {
    /// Merges a report into the record of its call, ended or not, and tells whose it was.
    pub async fn merge_report(&mut self, place: CallPlace, report: Additions<'_>) -> Result<Callee, StoreError> {
        let query = diesel::sql_query(
            "INSERT INTO call_reports AS p
                 (task_no, seq, attempt, major_intent, output_tags, variables, conversation, recording)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (task_no, seq, attempt) DO UPDATE SET
                 major_intent = coalesce(excluded.major_intent, p.major_intent),
                 output_tags = p.output_tags || excluded.output_tags, variables = p.variables || excluded.variables,
                 conversation = coalesce(excluded.conversation, p.conversation),
                 recording = coalesce(excluded.recording, p.recording)",
        );
        let map = |map: Option<&Value>| map.cloned().unwrap_or_else(|| json!({}));
        query
            .bind::<BigInt, _>(place.key.task.0)
            .bind::<BigInt, _>(place.key.seq)
            .bind::<Integer, _>(i32::try_from(place.attempt).unwrap_or(i32::MAX))
            .bind::<Nullable<Text>, _>(report.major_intent)
            .bind::<Jsonb, _>(map(report.output_tags))
            .bind::<Jsonb, _>(map(report.variables))
            .bind::<Nullable<Jsonb>, _>(report.conversation)
            .bind::<Nullable<Jsonb>, _>(report.recording)
            .execute(&mut self.connection)
            .await?;
        let query = diesel::sql_query(
            "SELECT task_no, seq, called_number, out_id, batch_id, variables FROM callees WHERE task_no = $1 AND seq = $2",
        );
        let query = query.bind::<BigInt, _>(place.key.task.0).bind::<BigInt, _>(place.key.seq);
        query.get_result::<CalleeRow>(&mut self.connection).await?.try_into()
    }
}
