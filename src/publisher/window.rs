//! One window of publishes and their confirms.
//!
//! All confirms of a window are awaited before any event is settled, and returned messages are matched by their
//! `message_id`: lapin can hand a returned message out with the confirm of another one.

use std::collections::HashSet;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, PublisherConfirm};

use crate::bus::{Bus, BusError, event_properties};
use crate::safeguards::{Safeguard, is_on};
use crate::store::StoredEvent;

/// What the broker said, by the rows of the outbox.
#[derive(Debug, Default)]
pub struct Settled {
    pub confirmed: Vec<i64>,
    /// No queue is bound for them.
    pub unroutable: Vec<i64>,
    pub refused: HashSet<i64>,
}

/// A channel with confirms, on which the exchanges exist.
pub async fn open_channel(bus: &Bus) -> Result<Channel, BusError> {
    let channel = bus.publishing.open_channel().await?;
    bus.topology.declare_exchanges(&channel).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Publishes a window and waits for the broker's word on all of it.
pub async fn publish(bus: &Bus, channel: &Channel, window: &[StoredEvent]) -> Result<Settled, BusError> {
    let mut confirms: Vec<PublisherConfirm> = Vec::with_capacity(window.len());
    let exchange = bus.topology.events.as_str();
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    for event in window {
        let properties = event_properties(event.event_id, &event.event_type);
        let routing_key = event.routing_key.as_str().into();
        let publish = channel.basic_publish(exchange.into(), routing_key, options, event.body.as_bytes(), properties);
        confirms.push(in_time(bus, publish).await?);
    }
    let (mut returned, mut nacked) = (HashSet::new(), HashSet::new());
    for (event, confirm) in window.iter().zip(confirms) {
        let confirmation = in_time(bus, confirm).await?;
        if confirmation.is_nack() {
            nacked.insert(event.id);
        }
        if let Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message)) = confirmation
            && let Some(id) = message.delivery.properties.message_id()
        {
            // Not the event at this place, of which the confirm is.
            returned.insert(match is_on(Safeguard::ConfirmById) {
                true => id.to_string(),
                false => event.event_id.to_string(),
            });
        }
    }
    Ok(settle(window, &returned, nacked))
}

/// Waits for one step: a slow broker that goes on answering is waited for, a silent one is not.
async fn in_time<T>(bus: &Bus, step: impl Future<Output = lapin::Result<T>>) -> Result<T, BusError> {
    let patience = bus.publish_timeout;
    Ok(tokio::time::timeout(patience, step).await.map_err(|_| BusError::Timeout("event", patience))??)
}

fn settle(window: &[StoredEvent], returned: &HashSet<String>, nacked: HashSet<i64>) -> Settled {
    let mut settled = Settled::default();
    for event in window.iter().filter(|event| !nacked.contains(&event.id)) {
        match returned.contains(&event.event_id.to_string()) {
            true => settled.unroutable.push(event.id),
            false => settled.confirmed.push(event.id),
        }
    }
    settled.refused = nacked;
    settled
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_returned_message_counts_against_its_own_id() {
        let event = |id| StoredEvent {
            id,
            event_id: Uuid::from_u128(id.unsigned_abs().into()),
            event_type: "t".into(),
            routing_key: "t".into(),
            body: String::new(),
        };
        let window = [event(1), event(2), event(3)];
        let returned = HashSet::from([Uuid::from_u128(2).to_string()]);
        let settled = settle(&window, &returned, HashSet::from([3]));
        assert_eq!((settled.confirmed, settled.unroutable), (vec![1], vec![2]));
        assert_eq!(settled.refused, HashSet::from([3]));
    }
}
