//! The system that consumes the events. It writes each one down in a ledger, in the order of arrival, and begins
//! again after the broker was away.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, ExchangeKind};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::document;
use super::patience::{SOON, within};
use super::servers::Place;

/// The content type of our own messages in the queue.
const MARKER: &str = "text/x-marker";

/// Events of one routing key that are judged by the document: a test may have a million.
const MOST_JUDGED: usize = 200;

const BEFORE_ANOTHER_SESSION: Duration = Duration::from_millis(200);

/// One event as it arrived.
#[derive(Debug, Clone)]
pub struct Event {
    pub routing_key: String,
    pub body: Vec<u8>,
    pub json: Value,
    pub content_type: Option<String>,
    pub delivery_mode: Option<u8>,
    pub message_id: Option<String>,
    pub type_property: Option<String>,
}

impl Event {
    fn of(delivery: Delivery) -> Self {
        let properties = &delivery.properties;
        Self {
            routing_key: delivery.routing_key.to_string(),
            json: serde_json::from_slice(&delivery.data).unwrap_or_default(),
            content_type: text(properties.content_type()),
            delivery_mode: *properties.delivery_mode(),
            message_id: text(properties.message_id()),
            type_property: text(properties.kind()),
            body: delivery.data,
        }
    }

    /// An attribute of the envelope, or nothing.
    pub fn attribute(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap_or_default()
    }

    pub fn kind(&self) -> &str {
        self.attribute("type")
    }

    pub fn data(&self) -> &Value {
        &self.json["data"]
    }

    /// A text of the data, or nothing.
    pub fn text(&self, field: &str) -> &str {
        self.data()[field].as_str().unwrap_or_default()
    }

    /// True for an event of this type about this task.
    pub fn tells(&self, kind: &str, task: &str) -> bool {
        self.kind() == kind && self.text("taskId") == task
    }

    /// True when it is the last word about a callee.
    pub fn is_final(&self) -> bool {
        match self.kind() {
            "call.ended" => self.data()["final"] == true,
            kind => kind == "callee.failed",
        }
    }
}

#[derive(Default)]
struct Entries {
    events: Vec<Arc<Event>>,
    markers: HashSet<String>,
}

/// What the downstream system has seen so far.
pub struct Ledger {
    place: Place,
    entries: watch::Receiver<Entries>,
    session: JoinHandle<()>,
}

impl Drop for Ledger {
    /// Whatever came must be as the document has it.
    fn drop(&mut self) {
        self.session.abort();
        if !std::thread::panicking() {
            self.judge();
        }
    }
}

impl Ledger {
    /// Declares the queue and listens; bound for these patterns of routing keys.
    pub async fn open(place: &Place, patterns: &[&str]) -> Self {
        let (_connection, channel) = place.channel().await.unwrap();
        let exchange = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let name = place.name("events").into();
        channel.exchange_declare(name, ExchangeKind::Topic, exchange, FieldTable::default()).await.unwrap();
        let queue = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(place.name("ledger").into(), queue, FieldTable::default()).await.unwrap();
        let (sender, entries) = watch::channel(Entries::default());
        let session = tokio::spawn(listen(place.clone(), sender));
        let ledger = Self { place: place.clone(), entries, session };
        for pattern in patterns {
            ledger.bind(pattern).await;
        }
        ledger
    }

    /// Binds the queue for one more pattern.
    pub async fn bind(&self, pattern: &str) {
        let (_connection, channel) = self.place.channel().await.unwrap();
        let (queue, exchange) = (self.place.name("ledger"), self.place.name("events"));
        let options = QueueBindOptions::default();
        let bound = channel.queue_bind(queue.into(), exchange.into(), pattern.into(), options, FieldTable::default());
        bound.await.unwrap();
    }

    fn judge(&self) {
        let mut judged: HashMap<String, usize> = HashMap::new();
        for event in self.events() {
            let so_far = judged.entry(event.routing_key.clone()).or_default();
            *so_far += 1;
            if *so_far <= MOST_JUDGED {
                document::assert_event(&event.routing_key, &event.json);
            }
        }
    }

    /// Everything so far.
    pub fn events(&self) -> Vec<Arc<Event>> {
        self.entries.borrow().events.clone()
    }

    /// The events of one type about one task so far.
    pub fn about(&self, kind: &str, task: &str) -> Vec<Arc<Event>> {
        self.events().into_iter().filter(|event| event.tells(kind, task)).collect()
    }

    /// Waits until all events together fulfil a condition.
    pub async fn wait_until(&self, what: &str, deadline: Duration, holds: impl Fn(&[Arc<Event>]) -> bool) {
        let mut entries = self.entries.clone();
        drop(within(what, deadline, entries.wait_for(|entries| holds(&entries.events))).await.unwrap());
    }

    /// Waits for the first event that is looked for. Each event is looked at once.
    pub async fn first(&self, what: &str, deadline: Duration, is_it: impl Fn(&Event) -> bool) -> Arc<Event> {
        let (mut entries, mut seen, mut found) = (self.entries.clone(), 0, None);
        let look = entries.wait_for(|entries| {
            found = entries.events[seen..].iter().find(|event| is_it(event)).cloned();
            seen = entries.events.len();
            found.is_some()
        });
        drop(within(what, deadline, look).await.unwrap());
        found.unwrap()
    }

    /// Waits for the task's completion.
    pub async fn completed(&self, task: &str, deadline: Duration) -> Arc<Event> {
        self.first("task.completed", deadline, |event| event.tells("task.completed", task)).await
    }

    /// Waits until everything is written down that the queue holds now: a marker goes in behind it.
    pub async fn settle(&self) {
        let id = Uuid::new_v4().to_string();
        let (_connection, channel) = self.place.channel().await.unwrap();
        let properties =
            BasicProperties::default().with_content_type(MARKER.into()).with_message_id(id.as_str().into());
        let (queue, options) = (self.place.name("ledger").into(), BasicPublishOptions::default());
        channel.basic_publish("".into(), queue, options, &[], properties).await.unwrap().await.unwrap();
        let mut entries = self.entries.clone();
        let marked = entries.wait_for(|entries| entries.markers.contains(&id));
        drop(within("the marker behind the last event", SOON, marked).await.unwrap());
    }
}

async fn listen(place: Place, entries: watch::Sender<Entries>) {
    loop {
        // Ends with the broker, which may be restarted; the queue is durable and keeps what comes meanwhile.
        drop(session(&place, &entries).await);
        tokio::time::sleep(BEFORE_ANOTHER_SESSION).await;
    }
}

async fn session(place: &Place, entries: &watch::Sender<Entries>) -> Result<(), lapin::Error> {
    let (_connection, channel) = place.channel().await?;
    let (queue, options) = (place.name("ledger").into(), BasicConsumeOptions::default());
    let mut consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        let acker = delivery.acker.clone();
        entries.send_modify(|entries| entries.note(delivery));
        acker.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

impl Entries {
    fn note(&mut self, delivery: Delivery) {
        if text(delivery.properties.content_type()).as_deref() == Some(MARKER) {
            self.markers.extend(text(delivery.properties.message_id()));
        } else {
            self.events.push(Arc::new(Event::of(delivery)));
        }
    }
}

fn text(text: &Option<ShortString>) -> Option<String> {
    text.as_ref().map(ToString::to_string)
}
