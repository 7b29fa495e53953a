//! The upstream system: publishes commands until the broker confirms them, one in ten twice, and keeps a ledger of what
//! it sent and what was confirmed.
//!
//! It never waits for replies: its orders follow each other as in a system that trusts the queue's order.

use std::path::Path;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Connection};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use uuid::Uuid;

use super::book::{Book, hexadecimal, now};
use super::harness::servers::Place;
use super::plan::{Batch, Scale, World};

const BEFORE_ANOTHER_SESSION: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(10);
/// The part of the imports that comes at once, so that there is something to do from the beginning.
const AT_ONCE: f64 = 0.15;
/// The part of the time after which everything is imported.
const IMPORTED_AFTER: f64 = 0.85;
/// So many imports between a stop and the next.
const BETWEEN_STOPS: usize = 50;
/// So many imports between one message that nobody can read and the next.
const BETWEEN_POISON: usize = 10;

/// One command, with what the ledger keeps of it.
#[derive(Debug, Clone)]
struct Order {
    command: &'static str,
    body: Vec<u8>,
    note: Value,
}

impl Order {
    fn new(command: &'static str, body: &Value) -> Self {
        let mut note = json!({"messageId": Uuid::new_v4(), "command": command});
        for field in ["taskId", "batchId"] {
            note[field] = body[field].clone();
        }
        if let Some(callees) = body["callees"].as_array() {
            note["rows"] = json!(callees.len());
        }
        Self { command, body: body.to_string().into_bytes(), note }
    }

    fn import(batch: &Batch, first: usize) -> Self {
        // Without an outId and with leave to repeat numbers: applied twice, it would show.
        let row = |place| json!({"calledNumber": super::harness::orders::number(place)});
        let callees: Vec<Value> = (first..first + batch.rows).map(row).collect();
        let body =
            json!({"taskId": batch.task, "batchId": batch.id, "allowDuplicateNumbers": true, "callees": callees});
        Self::new("callees.import", &body)
    }
}

/// What nobody can read; each is the only one of its kind.
fn poison(number: usize) -> Order {
    let id = Uuid::new_v4();
    let (command, mut body) = match number % 4 {
        0 => ("task.stop", format!("not JSON at all, {id}")),
        1 => ("callees.import", format!("[\"no object\", \"{id}\"]")),
        2 => ("task.explode", format!("{{\"taskId\": \"{id}\"}}")),
        _ => ("task.start", format!("{{\"taskId\": \"{id}\"")),
    };
    if number % 8 == 7 {
        body.push('}');
    }
    let mut body = body.into_bytes();
    if number % 8 == 7 {
        // No UTF-8.
        body[2] = 0xff;
    }
    let note = json!({"messageId": Uuid::new_v4(), "poison": hexadecimal(&body)});
    Order { command, body, note }
}

/// The one who publishes.
pub struct Producer {
    place: Place,
    book: Book,
    dice: StdRng,
    poison: Book,
    session: Option<(Connection, Channel)>,
    /// Published once, to be published again later.
    again: Vec<Order>,
}

impl Producer {
    pub fn new(place: &Place, folder: &Path, scale: &Scale) -> Self {
        let (book, dice) = (Book::open(folder, "commands.jsonl"), scale.dice(2));
        let poison = Book::open(folder, "poison.jsonl");
        Self { place: place.clone(), book, poison, dice, session: None, again: Vec::new() }
    }

    /// Makes the service instances and the tasks.
    pub async fn found(&mut self, world: &World, agent_port: u16) {
        for (command, body) in world.orders(agent_port) {
            self.deliver(&Order::new(command, &body)).await;
        }
    }

    /// Imports everything, spread over the time of the run; stops and starts tasks, and cancels callees in between.
    pub async fn import(mut self, world: &World, scale: Scale) {
        let (batches, tasks) = (world.batches(&scale), world.tasks());
        let began = tokio::time::Instant::now();
        let (mut first, mut stopped) = (0, None);
        for (number, batch) in batches.iter().enumerate() {
            let part = (number as f64 / batches.len() as f64 - AT_ONCE).max(0.0) / (1.0 - AT_ONCE);
            tokio::time::sleep_until(began + scale.faults_for.mul_f64(part * IMPORTED_AFTER)).await;
            self.deliver(&Order::import(batch, first)).await;
            first += batch.rows;
            if number % BETWEEN_POISON == BETWEEN_POISON - 1 {
                self.deliver(&poison(number / BETWEEN_POISON)).await;
            }
            if number % scale.between_cancels() == scale.between_cancels() - 1 {
                let whom = json!({"taskId": batch.task, "batchId": batch.id});
                self.deliver(&Order::new("callees.cancel", &whom)).await;
            }
            if let Some(task) = stopped.take() {
                self.deliver(&Order::new("task.start", &json!({"taskId": task}))).await;
            } else if number % BETWEEN_STOPS == BETWEEN_STOPS - 1 {
                let task = tasks[self.dice.gen_range(0..tasks.len())];
                self.deliver(&Order::new("task.stop", &json!({"taskId": task}))).await;
                stopped = Some(task);
            }
        }
        if let Some(task) = stopped {
            self.deliver(&Order::new("task.start", &json!({"taskId": task}))).await;
        }
        for order in std::mem::take(&mut self.again) {
            self.insist(&order).await;
        }
    }

    /// Publishes, and one in ten a second time: at once, or after others.
    async fn deliver(&mut self, order: &Order) {
        self.insist(order).await;
        match self.dice.gen_range(0..20) {
            0 => self.insist(order).await,
            1 => self.again.push(order.clone()),
            _ => {}
        }
        if self.dice.gen_range(0..10) == 0 && !self.again.is_empty() {
            let order = self.again.remove(0);
            self.insist(&order).await;
        }
    }

    /// Publishes until it is confirmed.
    async fn insist(&mut self, order: &Order) {
        loop {
            self.note("SENT", order);
            let published = tokio::time::timeout(PATIENCE, self.publish(order)).await;
            if published.is_ok_and(|published| published.is_ok_and(|acknowledged| acknowledged)) {
                return self.note("CONFIRMED", order);
            }
            self.session = None;
            tokio::time::sleep(BEFORE_ANOTHER_SESSION).await;
        }
    }

    async fn publish(&mut self, order: &Order) -> Result<bool, lapin::Error> {
        if self.session.is_none() {
            let (connection, channel) = self.place.channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            self.session = Some((connection, channel));
        }
        let Some((_, channel)) = &self.session else { return Ok(false) };
        let id = order.note["messageId"].as_str().unwrap();
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(2)
            .with_message_id(id.into());
        let (exchange, key) = (self.place.name("commands").into(), order.command.into());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let confirm = channel.basic_publish(exchange, key, options, &order.body, properties).await?.await?;
        Ok(confirm.is_ack() && confirm.take_message().is_none())
    }

    fn note(&self, what: &str, order: &Order) {
        let mut line = order.note.clone();
        line["what"] = json!(what);
        line["at"] = json!(now());
        line.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        // What cannot be read is no command.
        let book = if line["poison"].is_null() { &self.book } else { &self.poison };
        book.write(&[line]);
    }
}
