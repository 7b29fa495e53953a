//! The system that publishes commands and asks questions, and gets replies by their correlation id.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, Consumer};
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use super::document;
use super::patience::{SOON, within};
use super::servers::Place;

/// One message to the daemon.
#[derive(Debug, Clone)]
pub struct Request {
    pub exchange: &'static str,
    pub routing_key: String,
    pub message_id: Option<String>,
    pub body: Vec<u8>,
}

impl Request {
    /// A command with a message id that nobody has used.
    pub fn command(name: &str, body: &Value) -> Self {
        Self::raw(name, body.to_string().into_bytes())
    }

    /// A message on the exchange of commands, whatever its body is.
    pub fn raw(name: &str, body: impl Into<Vec<u8>>) -> Self {
        let message_id = Some(Uuid::new_v4().to_string());
        Self { exchange: "commands", routing_key: name.to_owned(), message_id, body: body.into() }
    }

    pub fn query(name: &str, body: &Value) -> Self {
        Self { exchange: "queries", message_id: None, ..Self::command(name, body) }
    }

    pub fn with_id(self, id: &str) -> Self {
        Self { message_id: Some(id.to_owned()), ..self }
    }

    pub fn without_id(self) -> Self {
        Self { message_id: None, ..self }
    }
}

/// What came back.
#[derive(Clone, PartialEq)]
pub struct Reply {
    pub bytes: Vec<u8>,
    pub json: Value,
    pub content_type: Option<String>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", String::from_utf8_lossy(&self.bytes), self.content_type)
    }
}

impl Reply {
    pub fn status(&self) -> &str {
        self.json["status"].as_str().unwrap_or_default()
    }

    /// Each error as `CODE field`, or `CODE` alone where it is about the whole.
    pub fn errors(&self) -> BTreeSet<String> {
        assert_eq!(self.status(), "REJECTED", "{}", self.json);
        let named = |error: &Value| {
            assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "no message: {error}");
            let (code, field) = (error["code"].as_str().unwrap(), error["field"].as_str().unwrap_or_default());
            format!("{code} {field}").trim_end().to_owned()
        };
        self.json["errors"].as_array().unwrap().iter().map(named).collect()
    }

    /// The codes alone, where the contract leaves the field open.
    pub fn codes(&self) -> BTreeSet<String> {
        self.errors().iter().filter_map(|error| error.split(' ').next()).map(str::to_owned).collect()
    }

    #[track_caller]
    pub fn assert_code(&self, expected: &str) {
        assert_eq!(self.codes(), BTreeSet::from([expected.to_owned()]), "{}", self.json);
    }

    #[track_caller]
    pub fn assert_errors(&self, expected: &[&str]) {
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(self.errors(), expected, "{}", self.json);
    }
}

/// A session of one upstream system.
pub struct Upstream {
    place: Place,
    channel: Channel,
    reply_queue: String,
    replies: watch::Receiver<HashMap<String, Reply>>,
    _connection: Connection,
}

impl Upstream {
    pub async fn connect(place: &Place) -> Self {
        let (connection, channel) = place.channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap();
        let reply_queue = queue.name().to_string();
        let consume = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consumer = channel.basic_consume(reply_queue.as_str().into(), "".into(), consume, FieldTable::default());
        let (sender, replies) = watch::channel(HashMap::new());
        tokio::spawn(collect(consumer.await.unwrap(), sender));
        Self { place: place.clone(), channel, reply_queue, replies, _connection: connection }
    }

    /// Publishes without asking for a reply.
    pub async fn send(&self, request: &Request) {
        self.publish(request, BasicProperties::default()).await;
    }

    /// Publishes with a reply queue that nobody has.
    pub async fn send_from_nowhere(&self, request: &Request) {
        let properties = BasicProperties::default().with_reply_to("gone".into()).with_correlation_id("1".into());
        self.publish(request, properties).await;
    }

    /// Publishes and waits for the reply, which must be as the document has it.
    pub async fn ask(&self, request: &Request) -> Reply {
        let correlation_id = Uuid::new_v4().to_string();
        let properties = BasicProperties::default()
            .with_reply_to(self.reply_queue.as_str().into())
            .with_correlation_id(correlation_id.as_str().into());
        self.publish(request, properties).await;
        let reply = self.reply(&correlation_id).await;
        document::assert_payload(&document::reply_to(&request.routing_key, &reply.json), &reply.json);
        reply
    }

    /// The reply to what somebody else has published with this queue as its `reply_to`.
    pub async fn reply(&self, correlation_id: &str) -> Reply {
        let what = format!("the reply to {correlation_id:?}");
        let mut replies = self.replies.clone();
        let replies = within(&what, SOON, replies.wait_for(|replies| replies.contains_key(correlation_id))).await;
        replies.unwrap()[correlation_id].clone()
    }

    /// Where its replies go.
    pub fn reply_queue(&self) -> &str {
        &self.reply_queue
    }

    /// A command, whatever becomes of it.
    pub async fn command(&self, name: &str, body: &Value) -> Reply {
        self.ask(&Request::command(name, body)).await
    }

    /// A command that must be accepted.
    pub async fn accept(&self, name: &str, body: &Value) -> Value {
        let reply = self.command(name, body).await;
        assert_eq!(reply.status(), "ACCEPTED", "{name}: {}", reply.json);
        reply.json
    }

    /// A command that must be rejected with exactly these errors.
    pub async fn reject(&self, name: &str, body: &Value, errors: &[&str]) {
        self.command(name, body).await.assert_errors(errors);
    }

    /// A question, whatever the answer.
    pub async fn query(&self, name: &str, body: &Value) -> Value {
        self.ask(&Request::query(name, body)).await.json
    }

    async fn publish(&self, request: &Request, properties: BasicProperties) {
        let mut properties = properties.with_content_type("application/json".into()).with_delivery_mode(2);
        if let Some(id) = &request.message_id {
            properties = properties.with_message_id(id.as_str().into());
        }
        let exchange = self.place.name(request.exchange);
        let key = request.routing_key.as_str().into();
        let options = BasicPublishOptions::default();
        let published = self.channel.basic_publish(exchange.into(), key, options, &request.body, properties);
        let confirm = within("the broker's confirm", SOON, async { published.await.unwrap().await });
        assert!(confirm.await.unwrap().is_ack(), "the broker refused {}", request.routing_key);
    }
}

async fn collect(mut consumer: Consumer, sender: watch::Sender<HashMap<String, Reply>>) {
    while let Some(Ok(delivery)) = consumer.next().await {
        let text = |text: &Option<lapin::types::ShortString>| text.as_ref().map(ToString::to_string);
        let json = serde_json::from_slice(&delivery.data).unwrap_or_default();
        let content_type = text(delivery.properties.content_type());
        let reply = Reply { json, content_type, bytes: delivery.data };
        if let Some(id) = text(delivery.properties.correlation_id()) {
            sender.send_modify(|replies| drop(replies.insert(id, reply)));
        }
    }
}
