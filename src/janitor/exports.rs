//! Exports whose time is over: the file goes first, then the record, so that nothing is left that nobody knows of.

use chrono::TimeDelta;

use super::Context;
use crate::store::StoreError;

/// Exports of one round.
const SLICE: i64 = 100;
/// Where daemons do not share a folder, another one may have the file; its record is left to that one for so long.
const OTHERS_TIME: TimeDelta = TimeDelta::days(1);

/// Removes what has expired; says how many went.
pub(super) async fn forget_expired(context: &Context) -> Result<usize, StoreError> {
    let now = context.clock.now();
    let mut forgotten = 0;
    for export in context.store.expired_exports(now, SLICE).await? {
        let removed = match context.shelf.remove_group(&export.id.to_string()).await {
            Ok(removed) => removed,
            Err(error) => {
                tracing::warn!(export = %export.id, %error, "an expired export cannot be removed; trying again later");
                continue;
            }
        };
        let has_none = export.file.is_none();
        let nobody_came = export.expires_at.is_some_and(|at| at + OTHERS_TIME < now);
        if removed || has_none || nobody_came {
            context.store.forget_export(export.id).await?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}
