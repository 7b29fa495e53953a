//! Takes up the calls that an earlier run of the daemon left up at this address, and has those hung up that it left ringing, should
//! somebody answer.
//!
//! A dialog belongs to the address that its sides know, not to a lease: whoever has that address is the only one that they
//! can speak to. That the sockets could be opened shows that the earlier run has none of them any more. Must be done before
//! anything is read from them: what is said about a call that is not known yet would be refused.

use std::time::Duration;

use super::sip::{Stack, trunk_of};
use super::{Survivor, Trunks};
use crate::retry::Delays;
use crate::store::attempts::LeftCall;
use crate::store::{Store, StoreError};

const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// Takes all of them up. Waits for the store: without it, nothing can be said about any call.
pub(super) async fn take_up(trunks: &Trunks, stack: &Stack, store: &Store) -> Vec<Survivor> {
    let mut delays = Delays::up_to(LONGEST_DELAY);
    let left = loop {
        match left_here(trunks, stack, store).await {
            Ok(left) => break left,
            Err(error) => tracing::warn!(%error, "calls that are up wait for the store"),
        }
        tokio::time::sleep(delays.next_delay()).await;
    };
    let mut survivors = Vec::with_capacity(left.len());
    for left in left {
        let call_id = left.call;
        let dialer = trunk_of(&left).and_then(|trunk| trunks.get(&trunk));
        match dialer.and_then(|dialer| dialer.resume(left)) {
            Some(call) => survivors.push(Survivor { call_id, call }),
            None => tracing::error!(call = %call_id, "ALARM: a call that is up cannot be taken up again"),
        }
    }
    if !survivors.is_empty() {
        tracing::warn!(calls = survivors.len(), "calls that an earlier run left up are taken up again");
    }
    survivors
}

async fn left_here(trunks: &Trunks, stack: &Stack, store: &Store) -> Result<Vec<LeftCall>, StoreError> {
    let mut here = store.live_addresses().await?;
    here.retain(|address| stack.is_found_at(address));
    let mut left = if here.is_empty() { Vec::new() } else { store.calls_left_at(&here).await? };
    // Those of a trunk that is not there any more are ended by their time limit.
    left.retain(|left| trunk_of(left).is_some_and(|trunk| trunks.get(&trunk).is_some()));
    // Of another address are most of them, perhaps: their answers do not come here.
    stack.orphan(&store.unwritten_calls().await?);
    let adopted = store.adopt_calls(&left).await?;
    left.retain(|left| adopted.contains(&left.call));
    Ok(left)
}
