//! The downstream system: writes every event to its ledger and acknowledges it when that is on the disk.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, ExchangeKind};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::book::{Book, now};
use super::harness::servers::Place;

const BEFORE_ANOTHER_SESSION: Duration = Duration::from_millis(200);
/// Deliveries in hand, and so the most that share one write to the disk.
const PREFETCH: u16 = 500;
/// The content type of our own message behind the last event.
const MARKER: &str = "text/x-marker";

/// What was heard so far, as far as the run waits for it.
#[derive(Debug, Default)]
pub struct Heard {
    /// Callees with a final event.
    pub final_callees: HashSet<Uuid>,
    /// How many callees a task had when it was last completed.
    pub completed: HashMap<Uuid, u64>,
    markers: HashSet<String>,
}

impl Heard {
    fn note(&mut self, event: &Value) {
        let data = &event["data"];
        let id = |field: &str| data[field].as_str().and_then(|text| text.parse::<Uuid>().ok());
        match event["type"].as_str().unwrap_or_default() {
            "call.ended" if data["final"] == true => self.final_callees.extend(id("calleeId")),
            "callee.failed" => self.final_callees.extend(id("calleeId")),
            "task.completed" => {
                let count = |name: &str| data["counts"][name].as_u64().unwrap_or(0);
                self.completed.extend(id("taskId").map(|task| (task, count("completed") + count("failed"))));
            }
            _ => {}
        }
    }
}

/// The one who consumes.
pub struct Consumer {
    place: Place,
    heard: watch::Receiver<Heard>,
    session: JoinHandle<()>,
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.session.abort();
    }
}

impl Consumer {
    /// Declares a quorum queue for every event, and listens.
    pub async fn open(place: &Place, folder: &Path) -> Self {
        let (_connection, channel) = place.channel().await.unwrap();
        let exchange = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let events = place.name("events");
        let none = FieldTable::default;
        channel.exchange_declare(events.as_str().into(), ExchangeKind::Topic, exchange, none()).await.unwrap();
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let (queue, durable) = (place.name("ledger"), QueueDeclareOptions { durable: true, ..Default::default() });
        channel.queue_declare(queue.as_str().into(), durable, arguments).await.unwrap();
        let bind = QueueBindOptions::default();
        channel.queue_bind(queue.into(), events.into(), "#".into(), bind, none()).await.unwrap();
        let (sender, heard) = watch::channel(Heard::default());
        let session = tokio::spawn(listen(place.clone(), Book::open(folder, "events.jsonl"), sender));
        Self { place: place.clone(), heard, session }
    }

    pub fn heard(&self) -> watch::Ref<'_, Heard> {
        self.heard.borrow()
    }

    /// Whether everything is written down that the queue held when `marker` was put behind it.
    pub fn has_seen(&self, marker: &str) -> bool {
        self.heard.borrow().markers.contains(marker)
    }

    /// Puts a marker behind the last event.
    pub async fn mark(&self) -> String {
        let id = Uuid::new_v4().to_string();
        let (_connection, channel) = self.place.channel().await.unwrap();
        let properties =
            BasicProperties::default().with_content_type(MARKER.into()).with_message_id(id.as_str().into());
        let (queue, options) = (self.place.name("ledger").into(), BasicPublishOptions::default());
        channel.basic_publish("".into(), queue, options, &[], properties).await.unwrap().await.unwrap();
        id
    }
}

/// Takes the ledger's queue away from the events for a while: meanwhile nobody is there to be told.
pub async fn leave_unbound(place: &Place, lasts: Duration) {
    let (_connection, channel) = place.channel().await.unwrap();
    let (queue, events, none) = (place.name("ledger"), place.name("events"), FieldTable::default);
    channel.queue_unbind(queue.as_str().into(), events.as_str().into(), "#".into(), none()).await.unwrap();
    tokio::time::sleep(lasts).await;
    let bind = QueueBindOptions::default();
    channel.queue_bind(queue.into(), events.into(), "#".into(), bind, none()).await.unwrap();
}

async fn listen(place: Place, book: Book, heard: watch::Sender<Heard>) {
    loop {
        // Ends with the broker; the queue keeps what comes meanwhile.
        drop(session(&place, &book, &heard).await);
        tokio::time::sleep(BEFORE_ANOTHER_SESSION).await;
    }
}

async fn session(place: &Place, book: &Book, heard: &watch::Sender<Heard>) -> Result<(), lapin::Error> {
    let (_connection, channel) = place.channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let (queue, options) = (place.name("ledger").into(), BasicConsumeOptions::default());
    let mut deliveries = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
    while let Some(first) = deliveries.next().await {
        let mut batch = vec![first?];
        while let Some(Some(more)) = deliveries.next().now_or_never() {
            batch.push(more?);
        }
        let events: Vec<Value> = batch.iter().filter(|delivery| marker(delivery).is_none()).map(line).collect();
        book.write(&events);
        heard.send_modify(|heard| {
            events.iter().for_each(|line| heard.note(&line["event"]));
            heard.markers.extend(batch.iter().filter_map(marker));
        });
        if let Some(last) = batch.last() {
            last.acker.ack(BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(())
}

fn marker(delivery: &Delivery) -> Option<String> {
    let ours = delivery.properties.content_type().as_ref().is_some_and(|kind| kind.as_str() == MARKER);
    ours.then(|| delivery.properties.message_id().as_ref().map(ToString::to_string)).flatten()
}

fn line(delivery: &Delivery) -> Value {
    let event: Value = serde_json::from_slice(&delivery.data).unwrap();
    json!({"at": now(), "routingKey": delivery.routing_key.as_str(), "event": event})
}
