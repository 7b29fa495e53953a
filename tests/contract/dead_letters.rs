//! What cannot be read goes to the dead letters with the reason, and its sender hears of it.

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::BasicConsumeOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, Consumer};
use sha2::{Digest, Sha256};

use crate::harness::orders;
use crate::harness::patience::{SOON, within};
use crate::harness::plan::Plan;
use crate::harness::servers::Place;
use crate::harness::site::Site;
use crate::harness::upstream::Request;

const MIB: usize = 1024 * 1024;

/// Whoever reads the dead letters.
struct Letters {
    consumer: Consumer,
    _connection: Connection,
}

impl Letters {
    async fn open(place: &Place) -> Self {
        let (connection, channel) = place.channel().await.unwrap();
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let queue = place.name("dead").into();
        let consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await.unwrap();
        Self { consumer, _connection: connection }
    }

    async fn next(&mut self) -> Delivery {
        within("a dead letter", SOON, self.consumer.next()).await.unwrap().unwrap()
    }
}

fn header(letter: &Delivery, name: &str) -> String {
    let headers = letter.properties.headers().as_ref().unwrap().inner();
    match headers.get(name) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        Some(AMQPValue::LongLongInt(number)) => number.to_string(),
        Some(AMQPValue::LongInt(number)) => number.to_string(),
        other => panic!("the header {name} is {other:?}"),
    }
}

/// Sends what cannot be read, and expects the rejection and the letter.
async fn assert_dead(site: &Site, letters: &mut Letters, request: &Request) -> Delivery {
    site.upstream.ask(request).await.assert_code("UNREADABLE");
    let letter = letters.next().await;
    assert!(!header(&letter, "x-calltaskd-reason").is_empty());
    assert_eq!(header(&letter, "x-calltaskd-routing-key"), request.routing_key);
    assert_eq!(header(&letter, "x-calltaskd-size"), request.body.len().to_string());
    let sha256: String = Sha256::digest(&request.body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(header(&letter, "x-calltaskd-sha256"), sha256);
    letter
}

#[tokio::test]
async fn what_is_no_json_object_in_utf_8_is_a_dead_letter() {
    let site = Site::start("dead-unreadable", &Plan::default()).await;
    let mut letters = Letters::open(site.place()).await;
    let invalid_utf_8 = b"{\"agentId\": \"\xff\"}".to_vec();
    let bodies = [
        b"agentId: greeter".to_vec(),
        b"{\"agentId\": \"greeter\"".to_vec(),
        b"[]".to_vec(),
        b"\"text\"".to_vec(),
        b"null".to_vec(),
        Vec::new(),
        invalid_utf_8,
    ];
    for body in bodies {
        let letter = assert_dead(&site, &mut letters, &Request::raw("agent.put", body.clone())).await;
        assert_eq!(letter.data, body);
    }
    // What comes behind them is as well as ever.
    site.upstream.accept("agent.put", &orders::agent("greeter")).await;
}

#[tokio::test]
async fn an_unknown_command_is_a_dead_letter() {
    let site = Site::start("dead-unknown", &Plan::default()).await;
    let mut letters = Letters::open(site.place()).await;
    for name in ["task.rename", "tasks", "task.create.now", ""] {
        let request = Request::command(name, &orders::agent("greeter"));
        let letter = assert_dead(&site, &mut letters, &request).await;
        assert_eq!(letter.data, request.body);
    }
}

#[tokio::test]
async fn of_a_message_that_is_too_large_the_first_64_kib_are_kept() {
    let site = Site::start("dead-large", &Plan::default()).await;
    let mut letters = Letters::open(site.place()).await;
    let mut body = orders::agent("greeter").to_string().into_bytes();
    body.resize(4 * MIB, b' ');
    assert_eq!(site.upstream.ask(&Request::raw("agent.put", body.clone())).await.status(), "ACCEPTED");
    body.push(b' ');
    let letter = assert_dead(&site, &mut letters, &Request::raw("agent.put", body.clone())).await;
    assert_eq!(letter.data, body[..64 * 1024]);
}

#[tokio::test]
async fn a_dead_letter_needs_nobody_who_waits_for_a_reply() {
    let site = Site::start("dead-silent", &Plan::default()).await;
    let mut letters = Letters::open(site.place()).await;
    site.upstream.send(&Request::raw("agent.put", "?").without_id()).await;
    assert_eq!(letters.next().await.data, b"?");
}
