//! Records how calls ended that an earlier run of the daemon placed and this one goes on with.
//!
//! Whoever has the lease holds their slots and does not watch them; here nothing is known of leases. Must not give up: an
//! end that is not recorded would leave its slot held until the call's limits are past.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Context;
use super::attempt::Attempt;
use super::recorder::Ending;
use crate::dialer::{Outcome, Survivor};
use crate::domain::ids::CallId;
use crate::retry::Delays;
use crate::store::attempts::OpenAttempt;

const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// Waits for the ends of all of them.
pub async fn watch(context: Arc<Context>, survivors: Vec<Survivor>, recorder: mpsc::UnboundedSender<Ending>) {
    let mut attempts = attempts_of(&context, &survivors).await;
    let mut ends = JoinSet::new();
    for Survivor { call_id, call } in survivors {
        // Its end may have been reported from outside.
        let Some(open) = attempts.remove(&call_id) else { continue };
        let (context, recorder) = (context.clone(), recorder.clone());
        ends.spawn(async move {
            let attempt = Attempt::from(open);
            // Without an outcome the row stays open, and whoever has the lease settles it when the limits are past.
            let Some(Outcome::Ended(end)) = call.outcome().await else { return };
            // Nobody counts it by its attempt.
            let owner = mpsc::unbounded_channel().0;
            drop(recorder.send(Ending { what: attempt.ended(&context, end), owner }));
        });
    }
    while ends.join_next().await.is_some() {}
}

async fn attempts_of(context: &Context, survivors: &[Survivor]) -> HashMap<CallId, OpenAttempt> {
    if survivors.is_empty() {
        return HashMap::new();
    }
    let calls: Vec<CallId> = survivors.iter().map(|survivor| survivor.call_id).collect();
    let mut delays = Delays::up_to(LONGEST_DELAY);
    loop {
        match context.store.open_attempts_of(&calls).await {
            Ok(open) => return open.into_iter().map(|open| (open.call_id(), open)).collect(),
            Err(error) => tracing::warn!(%error, "the calls that were taken up again wait for the store"),
        }
        tokio::time::sleep(delays.next_delay()).await;
    }
}
