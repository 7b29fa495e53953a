//! An event: something that happened, in the words of the wire, ready to be told.

use super::ids::EventId;

/// An event to be written with the change that it tells of.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: EventId,
    pub event_type: &'static str,
    pub routing_key: String,
    /// The whole message, as it goes out.
    pub body: String,
}
