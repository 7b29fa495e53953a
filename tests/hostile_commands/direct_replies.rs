//! Replies by RabbitMQ's direct reply-to: neither a forged address nor a connection that ends costs anybody else's.

use std::collections::HashMap;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, Consumer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::orders;
use crate::harness::patience::{SOON, until, within};
use crate::harness::plan::Plan;
use crate::harness::servers::Place;
use crate::harness::site::Site;
use crate::relay::{Fate, Relay};
use crate::scene::Scene;

const DIRECT: &str = "amq.rabbitmq.reply-to";

const AGAIN: &str = "a direct reply was not confirmed and is sent once more, by a new connection";
const GIVEN_UP: &str = "a direct reply is given up: it was sent by two connections, and neither confirmed it";
const NO_SUCH_ADDRESS: &str = "a direct reply is not sent: RabbitMQ gives out no such address";

/// Whoever has its replies sent by the broker's own way.
struct Requester {
    place: Place,
    channel: Channel,
    consumer: Consumer,
    /// What came, by correlation id.
    replies: HashMap<String, Vec<Value>>,
    _connection: Connection,
}

impl Requester {
    async fn connect(place: &Place) -> Self {
        let (connection, channel) = place.channel().await.unwrap();
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consumer = channel.basic_consume(DIRECT.into(), "".into(), options, FieldTable::default()).await.unwrap();
        Self { place: place.clone(), channel, consumer, replies: HashMap::new(), _connection: connection }
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
            let what = format!("one more of {} direct replies, of which {unanswered} are missing", ids.len());
            let delivery = within(&what, SOON, self.consumer.next()).await.unwrap().unwrap();
            let id = delivery.properties.correlation_id().as_ref().unwrap().to_string();
            self.replies.entry(id).or_default().push(serde_json::from_slice(&delivery.data).unwrap());
        }
    }

    /// Publishes it and hears the reply so many times.
    async fn ask(&mut self, exchange: &str, times: usize) {
        let id = self.publish(exchange, DIRECT).await;
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
        let mut requester = Requester::connect(scene.site.place()).await;
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

/// A connection can end, or be dead without a word, for any reason while a reply is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_reply_outlives_its_connection() {
    let (mut site, relay) = Site::behind("cut-replies", &Plan::default(), async |place| {
        let relay = Relay::before(place).await;
        (relay.place(place), relay)
    })
    .await;
    let mut requester = Requester::connect(site.place()).await;
    for exchange in ["commands", "queries"] {
        for (fate, times) in [(None, 1), (Some(Fate::Cut), 1), (Some(Fate::Unconfirmed), 2), (Some(Fate::Swallowed), 1)]
        {
            println!("{exchange}: {fate:?}");
            relay.plan(fate.as_slice());
            requester.ask(exchange, times).await;
        }
    }
    assert_eq!(site.daemon.all_logged(AGAIN).len(), 6, "a line for each that was lost");
    // Whose connection ends twice is given up, with a line that says so, and is the only one.
    relay.plan(&[Fate::Cut, Fate::Cut]);
    let lost = requester.publish("commands", DIRECT).await;
    until("a line about the reply that was lost twice", SOON, || site.daemon.logged(GIVEN_UP)).await;
    requester.ask("commands", 1).await;
    assert!(!requester.replies.contains_key(&lost));
    assert_eq!(site.daemon.all_logged(GIVEN_UP).len(), 1);
    site.daemon.stop(SOON).await;
}
