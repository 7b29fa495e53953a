//! How fast the whole path is, as a ratio to what the broker can confirm at all.
//!
//! `make bench`: 50,000 zero-length calls on a simulated trunk, from the first import published to the last outcome
//! event on a quorum queue, with no limit that bites; beside it, in the same run, the raw rate of confirmed
//! publishes of the same bodies through the same exchange to the same queue with the same confirm window.
//! Absolute figures are the machine's; the ratio is ours.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on ends at once")]

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use harness::daemon::Daemon;
use harness::orders;
use harness::servers::{Place, Servers};
use harness::site::folder;
use harness::upstream::{Request, Upstream};
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
    QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use serde_json::json;

const CALLEES: usize = 50_000;
const ROUNDS: usize = 3;
const CONFIRM_WINDOW: usize = 512;
/// The ratio that must be reached.
const GOAL: f64 = 0.25;
const DEADLINE: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() {
    println!("{CALLEES} zero-length calls, {ROUNDS} rounds, confirm window {CONFIRM_WINDOW}");
    println!("| round | raw confirmed publishes/s | whole path, callees/s | ratio |");
    println!("|---|---|---|---|");
    let (mut raws, mut paths, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (raw, path) = run().await;
        println!("| {round} | {raw:.0} | {path:.0} | {:.2} |", path / raw);
        raws.push(raw);
        paths.push(path);
        ratios.push(path / raw);
    }
    let ratio = median(ratios);
    println!("| median | {:.0} | {:.0} | **{ratio:.2}** |", median(raws), median(paths));
    assert!(ratio >= GOAL, "the ratio is {ratio:.2}; the goal is {GOAL}");
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// One round on a fresh database: callees per second on the whole path, and the raw rate.
async fn run() -> (f64, f64) {
    let servers = Servers::fresh().await;
    let place = &servers.place;
    let folder = folder("throughput");
    let settings = folder.join("calltaskd.toml");
    std::fs::write(&settings, toml(place)).unwrap();
    let mut daemon = Daemon::start(&settings, folder.join("calltaskd.log")).await;
    let (_connection, channel) = place.channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    bind(&channel, place).await;
    let path = CALLEES as f64 / whole_path(place, &channel).await.as_secs_f64();
    daemon.stop(DEADLINE).await;
    let messages = take_all(&channel, place).await;
    let raw = CALLEES as f64 / raw(&channel, place, &messages).await.as_secs_f64();
    (raw, path)
}

fn toml(place: &Place) -> String {
    let Place { database_url, amqp_url, prefix } = place;
    format!(
        "[database]\nurl = {database_url:?}\n[bus]\nurl = {amqp_url:?}\nprefix = {prefix:?}\n\
         confirm_window = {CONFIRM_WINDOW}\n[limits]\ntask_concurrency = 100000\n\
         [events]\nhigh_water = 1000000\n[admin]\nbind = \"\"\n[logging]\nformat = \"json\"\n\
         [trunks.simulated]\nkind = \"simulated\"\nring_millis = [0, 0]\ntalk_millis = [0, 0]\n"
    )
}

/// The queue that both ways end in.
async fn bind(channel: &Channel, place: &Place) {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let queue = place.name("ledger");
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.as_str().into(), durable, arguments).await.unwrap();
    let (exchange, key) = (place.name("events"), "call.ended.#".into());
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), exchange.into(), key, options, FieldTable::default()).await.unwrap();
}

/// From the first import published to the last outcome on the queue.
async fn whole_path(place: &Place, channel: &Channel) -> Duration {
    let upstream = Upstream::connect(place).await;
    upstream.accept("agent.put", &orders::agent(orders::AGENT)).await;
    upstream.accept("service-instance.put", &orders::line(orders::LINE, 100_000, 1_000_000)).await;
    let task = upstream.accept("task.create", &orders::task("bench", 100_000)).await;
    let imports: Vec<Request> = (0..CALLEES)
        .step_by(5_000)
        .map(|first| {
            let rows = orders::rows(first..first + 5_000);
            Request::command("callees.import", &json!({"taskId": task["taskId"], "callees": rows}))
        })
        .collect();
    let began = Instant::now();
    for import in &imports {
        upstream.send(import).await;
    }
    while waiting(channel, place).await < CALLEES {
        assert!(began.elapsed() < DEADLINE, "the outcomes did not come within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

/// Messages on the queue.
async fn waiting(channel: &Channel, place: &Place) -> usize {
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let queue = channel.queue_declare(place.name("ledger").into(), passive, FieldTable::default()).await.unwrap();
    usize::try_from(queue.message_count()).unwrap()
}

type Message = (String, BasicProperties, Vec<u8>);

/// What the daemon published, to be published again; the queue is empty afterwards.
async fn take_all(channel: &Channel, place: &Place) -> Vec<Message> {
    let queue = place.name("ledger");
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let consumer = channel.basic_consume(queue.as_str().into(), "bench".into(), options, FieldTable::default()).await;
    let messages: Vec<Message> = consumer
        .unwrap()
        .take(CALLEES)
        .map(|delivery| {
            let delivery = delivery.unwrap();
            (delivery.routing_key.to_string(), delivery.properties, delivery.data)
        })
        .collect()
        .await;
    channel.basic_cancel("bench".into(), Default::default()).await.unwrap();
    channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.unwrap();
    messages
}

/// The same messages, published and confirmed window by window, and nothing else.
async fn raw(channel: &Channel, place: &Place, messages: &[Message]) -> Duration {
    let exchange = place.name("events");
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let began = Instant::now();
    for window in messages.chunks(CONFIRM_WINDOW) {
        let mut confirms = Vec::with_capacity(window.len());
        for (key, properties, body) in window {
            let publish =
                channel.basic_publish(exchange.as_str().into(), key.as_str().into(), options, body, properties.clone());
            confirms.push(publish.await.unwrap());
        }
        for confirm in confirms {
            assert!(confirm.await.unwrap().is_ack());
        }
    }
    began.elapsed()
}
