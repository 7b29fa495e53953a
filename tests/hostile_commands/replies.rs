//! Replies to queues and by RabbitMQ's direct reply-to: neither a forged address nor a connection that ends costs anybody's.

use std::collections::HashMap;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, Consumer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::orders;
use crate::harness::patience::{SOON, until, within};
use crate::harness::plan::Plan;
use crate::harness::servers::Place;
use crate::harness::site::Site;
use crate::relay::{self, Fate, Relay};
use crate::scene::Scene;

const DIRECT: &str = "amq.rabbitmq.reply-to";

/// What the log says of replies of one kind.
struct Lines {
    again: &'static str,
    given_up: &'static str,
    /// Connections until then.
    tries: usize,
}

const DIRECTLY: Lines = Lines {
    again: "a direct reply was not confirmed and is sent once more, by a new connection",
    given_up: "a direct reply is given up: it was sent by two connections, and neither confirmed it",
    tries: 2,
};
const BY_QUEUE: Lines = Lines {
    again: "replies wait for another connection",
    given_up: "a reply is given up: 3 connections did not confirm it",
    tries: 3,
};
const NO_SUCH_ADDRESS: &str = "a direct reply is not sent: RabbitMQ gives out no such address";

/// Whoever wants replies.
struct Requester {
    place: Place,
    /// Where to.
    address: String,
    channel: Channel,
    consumer: Consumer,
    /// What came, by correlation id.
    replies: HashMap<String, Vec<Value>>,
    _connection: Connection,
}

impl Requester {
    /// By the broker's own way.
    async fn directly(place: &Place) -> Self {
        let (connection, channel) = place.channel().await.unwrap();
        Self::consume(place, (connection, channel), DIRECT.to_owned()).await
    }

    /// By a queue that the broker named.
    async fn by_queue(place: &Place) -> Self {
        let (connection, channel) = place.channel().await.unwrap();
        let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap();
        Self::consume(place, (connection, channel), queue.name().to_string()).await
    }

    async fn consume(place: &Place, (connection, channel): (Connection, Channel), address: String) -> Self {
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consumer = channel.basic_consume(address.as_str().into(), "".into(), options, FieldTable::default());
        let consumer = consumer.await.unwrap();
        Self { place: place.clone(), address, channel, consumer, replies: HashMap::new(), _connection: connection }
    }

    /// Publishes a harmless message that wants its reply there; gives its correlation id.
    async fn publish(&self, exchange: &str, reply_to: &str) -> String {
        let (name, body) = match exchange {
            "commands" => ("agent.put", orders::agent("greeter")),
            _ => ("agent.list", json!({"limit": 1})),
        };
        let id = Uuid::new_v4().to_string();
        let properties = BasicProperties::default()
            .with_message_id(id.as_str().into())
            .with_correlation_id(id.as_str().into())
            .with_reply_to(reply_to.into());
        let (exchange, body) = (self.place.name(exchange), body.to_string().into_bytes());
        let options = BasicPublishOptions::default();
        self.channel.basic_publish(exchange.into(), name.into(), options, &body, properties).await.unwrap();
        id
    }

    /// Waits for the replies to all of these, each so many times; each further one has the usual patience.
    async fn hear(&mut self, ids: &[String], times: usize) {
        loop {
            let heard = |id: &str| self.replies.get(id).map_or(0, Vec::len);
            let unanswered = ids.iter().filter(|id| heard(id) < times).count();
            if unanswered == 0 {
                return;
            }
            let what = format!("one more of {} replies, of which {unanswered} are missing", ids.len());
            let delivery = within(&what, SOON, self.consumer.next()).await.unwrap().unwrap();
            let id = delivery.properties.correlation_id().as_ref().unwrap().to_string();
            self.replies.entry(id).or_default().push(serde_json::from_slice(&delivery.data).unwrap());
        }
    }

    /// Publishes it and hears the reply so many times.
    async fn ask(&mut self, exchange: &str, times: usize) {
        let id = self.publish(exchange, &self.address).await;
        self.hear(&[id], times).await;
    }
}

/// Addresses of a process on a node that there is not, and of nothing at all: each ends the connection of whoever sends to it.
fn forged(number: usize) -> String {
    match number % 2 {
        0 => format!("{DIRECT}.forged{number}.x"),
        _ => format!("{DIRECT}.g1h2AAdyZXBseUAxAAAAAQAAAAAAAAAB.AAAAAAAAAAAAAAAAAAAA{number:02}=="),
    }
}

/// In both directions: forged queries among true commands and queries, and forged commands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_address_costs_nobody_else_a_direct_reply() {
    const FORGED: usize = 40;
    let scene = Scene::set("forged-replies").await;
    for hostile in ["queries", "commands"] {
        let mut requester = Requester::directly(scene.site.place()).await;
        for number in 0..FORGED {
            requester.publish(hostile, &forged(number)).await;
            let mut ids = Vec::new();
            for exchange in ["commands", "queries"].repeat(5) {
                ids.push(requester.publish(exchange, DIRECT).await);
            }
            // Before the next forged one, so that true ones of the other kind are in the air with each.
            requester.hear(&ids, 1).await;
        }
        let answered_well = |reply: &Value| ["ACCEPTED", "OK"].contains(&reply["status"].as_str().unwrap());
        assert!(requester.replies.values().flatten().all(answered_well), "{:?}", requester.replies);
    }
    // Both hostile series came before the last true message of their queue.
    assert_eq!(scene.site.daemon.all_logged(NO_SUCH_ADDRESS).len(), FORGED, "half of both");
    scene.end(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_reply_outlives_its_connection() {
    outlives("cut-direct-replies", relay::DIRECT, &DIRECTLY, Requester::directly).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_to_a_queue_outlives_its_connection() {
    outlives("cut-replies", relay::QUEUE, &BY_QUEUE, Requester::by_queue).await;
}

/// A connection can end, or be dead without a word, for any reason while a reply is on its way.
async fn outlives(name: &str, mark: &'static [u8], lines: &Lines, connect: impl AsyncFnOnce(&Place) -> Requester) {
    let plan = Plan { publish_timeout_seconds: 3, ..Plan::default() };
    let (mut site, relay) = Site::behind(name, &plan, async |place| {
        let relay = Relay::before(place, mark).await;
        (relay.place(place), relay)
    })
    .await;
    let mut requester = connect(site.place()).await;
    for exchange in ["commands", "queries"] {
        for (fate, times) in [(None, 1), (Some(Fate::Cut), 1), (Some(Fate::Unconfirmed), 2), (Some(Fate::Swallowed), 1)]
        {
            println!("{exchange}: {fate:?}");
            relay.plan(fate.as_slice());
            requester.ask(exchange, times).await;
        }
    }
    assert_eq!(site.daemon.all_logged(lines.again).len(), 6, "a line for each that was lost");
    // Whose connection ends again and again is given up, with a line that says so, and is the only one.
    relay.plan(&vec![Fate::Cut; lines.tries]);
    let lost = requester.publish("commands", &requester.address).await;
    until("a line about the reply that was lost each time", SOON, || site.daemon.logged(lines.given_up)).await;
    requester.ask("commands", 1).await;
    assert!(!requester.replies.contains_key(&lost));
    assert_eq!(site.daemon.all_logged(lines.given_up).len(), 1);
    site.daemon.stop(SOON).await;
}
