//! A daemon, a stranger, and somebody who reads the dead letters; at the end everything is counted.

use std::fs;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::BasicConsumeOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, Consumer};
use serde_json::Value;
use uuid::Uuid;

use crate::harness::orders;
use crate::harness::patience::{SOON, within};
use crate::harness::plan::Plan;
use crate::harness::site::Site;
use crate::harness::upstream::{Reply, Request};
use crate::stranger::{CORRELATION_ID, MESSAGE_ID, Message, REPLY_TO, Stranger};

pub struct Scene {
    pub site: Site,
    pub stranger: Stranger,
    letters: Consumer,
    _connection: Connection,
}

/// A dead letter, as far as it is compared.
#[derive(Debug)]
pub struct Letter {
    pub reason: String,
    pub size: String,
    pub sha256: String,
    pub body: Vec<u8>,
}

impl Letter {
    fn of(delivery: Delivery) -> Self {
        let headers = delivery.properties.headers().clone().unwrap();
        let header = |name: &str| match headers.inner().get(name) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            Some(AMQPValue::LongLongInt(number)) => number.to_string(),
            other => panic!("the header {name} is {other:?}"),
        };
        Self {
            reason: header("x-calltaskd-reason"),
            size: header("x-calltaskd-size"),
            sha256: header("x-calltaskd-sha256"),
            body: delivery.data,
        }
    }
}

impl Scene {
    pub async fn set(name: &str) -> Self {
        let site = Site::start(name, &Plan::default()).await;
        let (connection, channel) = site.place().channel().await.unwrap();
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let queue = site.place().name("dead").into();
        let letters = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await.unwrap();
        let stranger = Stranger::connect(site.place());
        Self { site, stranger, letters, _connection: connection }
    }

    /// A message as one would send it who means no harm.
    pub fn message(&self, name: &str, body: impl Into<Vec<u8>>) -> Message {
        let id = Uuid::new_v4().to_string();
        let message = Message::new(name, body).with(MESSAGE_ID, &id).with(CORRELATION_ID, &id);
        message.with(REPLY_TO, self.site.upstream.reply_queue())
    }

    /// Publishes it and waits for the reply, which goes by the correlation id that the message still has.
    pub async fn ask(&mut self, message: &Message, correlation_id: &str) -> Reply {
        self.stranger.publish(message);
        self.site.upstream.reply(correlation_id).await
    }

    pub async fn letter(&mut self) -> Letter {
        Letter::of(within("a dead letter", SOON, self.letters.next()).await.unwrap().unwrap())
    }

    /// The next good command is served: nothing before it has stopped the daemon.
    pub async fn serve(&self) {
        self.site.upstream.accept("agent.put", &orders::agent("greeter")).await;
    }

    /// Everything is over: so many rejections were told of, no letter is left, and the log is whole lines of JSON in
    /// which nobody has failed.
    pub async fn end(mut self, rejections: usize) {
        let last = Request::raw("agent.put", "the last letter").without_id();
        self.site.upstream.send(&last).await;
        assert_eq!(self.letter().await.body, last.body, "a letter nobody expected");
        self.serve().await;
        self.site.daemon.stop(SOON).await;
        self.site.ledger.settle().await;
        let told = self.site.ledger.events().iter().filter(|event| event.kind() == "command.rejected").count();
        assert_eq!(told, rejections, "events command.rejected");
        let more = tokio::time::timeout(Duration::from_millis(200), self.letters.next()).await;
        assert!(more.is_err(), "one more letter: {more:?}");
        self.assert_log_is_whole();
    }

    fn assert_log_is_whole(&self) {
        let log = fs::read_to_string(self.site.settings().with_extension("log")).unwrap();
        for line in log.lines() {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let message = entry["message"].as_str().unwrap();
            assert!(!message.contains("ALARM") && !message.contains("session ended"), "{line}");
        }
    }
}
