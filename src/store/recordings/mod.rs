//! Recordings that are fetched: which are wanted, who fetches them, and which must go.
//!
//! What was reported stands in `call_reports`; here is what is done about it. A row outlives its objects, never the
//! other way round, so that nothing is kept that nobody knows of.

mod fetched;
mod removal;
mod runs;

use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::json;

use super::records::CallPlace;
use super::{StoreError, Transaction};
use crate::domain::ids::{CallId, TaskId};
use crate::domain::recording::Source;

pub(super) use fetched::FetchedRow;
pub use removal::Unwanted;
pub use runs::RecordingRun;

/// Under what the objects of a recording are kept: each recording has a group of its own, so that one that takes
/// another's place never meets it.
fn group(task: TaskId, call: CallId, number: i64) -> String {
    format!("{task}/{call}-{number}")
}

impl Transaction {
    /// Takes in where the recording of a call is. Another one that was reported before is discarded; this one is fetched
    /// if `fetch` says so, and again when it failed or expired. The report must be merged, which keeps others out.
    pub async fn want_recording(
        &mut self,
        (place, call): (CallPlace, CallId),
        source: &Source,
        fetch: bool,
    ) -> Result<(), StoreError> {
        let discard = diesel::sql_query(
            "UPDATE recordings SET state = 'DISCARDED', unwanted_since = clock_timestamp()
             WHERE task_no = $1 AND seq = $2 AND attempt = $3 AND state <> 'DISCARDED'
               AND (source <> $4 OR ($5 AND state IN ('FAILED', 'EXPIRED')))",
        );
        let attempt = i32::try_from(place.attempt).unwrap_or(i32::MAX);
        discard
            .bind::<BigInt, _>(place.key.task.0)
            .bind::<BigInt, _>(place.key.seq)
            .bind::<Integer, _>(attempt)
            .bind::<Jsonb, _>(json!(source))
            .bind::<Bool, _>(fetch)
            .execute(&mut self.connection)
            .await?;
        if !fetch {
            return Ok(());
        }
        let want = diesel::sql_query(
            "INSERT INTO recordings (task_no, seq, attempt, source, task_id, call_id)
             SELECT $1, $2, $3, $4, $5, $6
             WHERE NOT EXISTS (SELECT FROM recordings
                               WHERE task_no = $1 AND seq = $2 AND attempt = $3 AND state <> 'DISCARDED')",
        );
        want.bind::<BigInt, _>(place.key.task.0)
            .bind::<BigInt, _>(place.key.seq)
            .bind::<Integer, _>(attempt)
            .bind::<Jsonb, _>(json!(source))
            .bind::<SqlUuid, _>(place.task.0)
            .bind::<SqlUuid, _>(call.0)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}
