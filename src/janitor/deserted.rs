//! The alarm of service instances that have something to do and that nobody dials for.
//!
//! Every daemon looks, because any of them may be the only one left; each says so once, and again while it lasts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::store::daemons::SILENCE;
use crate::store::leases::Deserted;

const LOOK: Duration = Duration::from_secs(5);
/// Longer than any hand-over takes: when nobody has dialled for so long, nobody will by itself.
const DESERTED: Duration = Duration::from_secs(15);
/// How often the alarm is raised while it lasts.
const AGAIN: Duration = Duration::from_secs(600);

/// Looks until the drain.
pub(super) async fn watch(store: &Store, drain: &CancellationToken) {
    let mut known: BTreeMap<String, Instant> = BTreeMap::new();
    while !drain.is_cancelled() {
        match store.deserted(DESERTED, SILENCE).await {
            Ok(deserted) => tell(&mut known, &deserted),
            Err(error) => tracing::debug!(%error, "no look at what nobody dials for; the next one comes soon"),
        }
        tokio::select! { () = drain.cancelled() => {} () = tokio::time::sleep(LOOK) => {} }
    }
}

fn tell(known: &mut BTreeMap<String, Instant>, deserted: &[Deserted]) {
    let is_there = |id: &String| deserted.iter().any(|deserted| deserted.service_instance_id == *id);
    known.retain(|id, _| {
        let stays = is_there(id);
        if !stays {
            tracing::info!(service_instance = %id, "somebody dials for it again, or it has nothing to do");
        }
        stays
    });
    for Deserted { service_instance_id, trunk, nodes } in deserted {
        if known.get(service_instance_id).is_some_and(|told| told.elapsed() < AGAIN) {
            continue;
        }
        known.insert(service_instance_id.clone(), Instant::now());
        match nodes[..] {
            [] => tracing::error!(
                service_instance = %service_instance_id, %trunk,
                "ALARM: nobody dials for a service instance: no live daemon has its trunk in the settings"
            ),
            _ => tracing::error!(
                service_instance = %service_instance_id, %trunk, ?nodes,
                "ALARM: nobody dials for a service instance, though these daemons have its trunk: look at their logs"
            ),
        }
    }
}
