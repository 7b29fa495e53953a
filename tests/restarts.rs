//! RabbitMQ and Postgres are really restarted while calls are in the air: nothing is lost and nobody is called
//! twice.
//!
//! A binary of its own, whose tests run one after the other, because nothing else may use the servers meanwhile.
//! It needs `CALLTASKD_TEST_SERVICES`, the script that restarts the private servers, and skips itself without. Each
//! server is restarted once, and three times where `CALLTASKD_TEST_RESTARTS=3` says so, as `make accept` does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use harness::downstream::Event;
use harness::operator::Operator;
use harness::orders::{self, rows};
use harness::patience::{LATER, SOON, until, within};
use harness::plan::Plan;
use harness::servers::Place;
use harness::site::Site;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, Consumer};
use serde_json::Value;
use tokio::sync::Mutex;
use uuid::Uuid;

/// The servers are there once.
static SERVERS: Mutex<()> = Mutex::const_new(());

/// How a server goes: first by a crash, after which what it had confirmed must be there all the same.
const MODES: [&str; 3] = ["immediate", "fast", "immediate"];

fn restarts() -> usize {
    std::env::var("CALLTASKD_TEST_RESTARTS").map_or(1, |number| number.parse().unwrap())
}

/// Calls in the air that each restart has to find.
const IN_THE_AIR: usize = 100;

/// Callees that are still to be called then: enough for half a minute without a server.
const LEFT: usize = 1_000;

const SLOTS: usize = 150;
const PACE: usize = 120;

/// Calls that must have ended since the last restart: then they begin and end all the time, not in waves.
const ENDED: usize = 100;

/// Calls of about five seconds, so that about thirty begin and end in a second; of very different lengths, so
/// that some do while a server is away.
fn long_calls() -> Plan {
    Plan {
        ring_millis: [100, 500],
        talk_millis: [500, 9_500],
        results: vec![("ANSWERED", 90), ("USER_BUSY", 10)],
        ..Plan::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_rabbitmq_restarts() {
    restart("restart-rabbitmq").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_postgres_restarts() {
    restart("restart-postgres").await;
}

/// The script, or a line that says what is skipped without it.
fn services(test: &str) -> Option<OsString> {
    let services = std::env::var_os("CALLTASKD_TEST_SERVICES");
    if services.is_none() {
        // Not by println, which the test runner shows for failures alone.
        let line = format!("{test}: skipped, CALLTASKD_TEST_SERVICES names no script that does it\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    services
}

async fn restart(server: &'static str) {
    let Some(services) = services(server) else { return };
    let _alone = SERVERS.lock().await;
    let mut site = Site::start(server, &long_calls()).await;
    site.put_line(1_000, u32::try_from(PACE).unwrap()).await;
    let task = site.create("restarted", u32::try_from(SLOTS).unwrap()).await;
    let (mut callees, mut ended) = (0, 0);
    for mode in &MODES[..restarts()] {
        callees = top_up(&site, &task, callees).await;
        let before = wait_for_the_moment(&site, callees, ended).await;
        restart_server(&services, server, mode).await;
        ended = site.record().ended();
        println!("{} calls ended meanwhile", ended - before);
        assert!(ended > before, "no call ended while the server was away: that shows nothing");
        let heard = site.ledger.events().len();
        site.ledger.wait_until("an event after the restart", 2 * SOON, |events| events.len() > heard).await;
        // The upstream system's connection went with the broker, too.
        site.connect_again().await;
    }
    let all_completed =
        |event: &Event| event.tells("task.completed", &task) && event.data()["counts"]["completed"] == callees;
    site.ledger.first("the last completion", LATER, all_completed).await;
    assert_eq!(site.task(&task).await["state"], "COMPLETED");
    site.stop_and_compare(callees).await;
    let record = site.record();
    let (slots, pace) = (record.most_slots(), record.most_placings_in_a_second());
    assert!(slots <= SLOTS && pace <= PACE, "{slots} slots at some instant, {pace} placings in some second");
}

/// Imports as many callees as are missing, whatever the last restart took, and gives the number of all.
async fn top_up(site: &Site, task: &str, callees: usize) -> usize {
    let all = site.record().calls.len() + LEFT;
    site.import(task, &rows(callees..all)).await;
    all
}

/// Enough calls in the air, enough that ended since the last restart, and at least a fifth of the callees still
/// to be called. Gives the number of calls that ended.
async fn wait_for_the_moment(site: &Site, callees: usize, ended: usize) -> usize {
    let what = format!("{IN_THE_AIR} calls in the air and {ENDED} more that ended");
    let record = until(&what, 2 * SOON, || {
        let record = site.record();
        (record.in_the_air() >= IN_THE_AIR && record.ended() >= ended + ENDED).then_some(record)
    })
    .await;
    let left = callees - record.calls.len();
    println!("{} calls in the air, {left} of {callees} callees left", record.in_the_air());
    assert!(left >= callees / 5, "only {left} of {callees} callees are left: too late to show anything");
    record.ended()
}

async fn restart_server(services: &OsStr, server: &str, mode: &str) {
    let began = Instant::now();
    script(services, &[server, mode]).await;
    println!("{server} {mode} took {:?}", began.elapsed());
}

async fn script(services: &OsStr, words: &[&str]) {
    let mut command = Command::new(services);
    command.args(words).stdin(Stdio::null());
    let status = tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap();
    assert!(status.success(), "{words:?}: {status}");
}

/// RabbitMQ that is out of memory takes nothing. So replies wait until it does again, but no command with them, and no stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_wait_for_a_broker_that_is_out_of_memory_and_a_stop_does_not() {
    const SECONDS: &str = "22";
    const COMMANDS: usize = 8;
    let Some(services) = services("block-publishers") else { return };
    let _alone = SERVERS.lock().await;
    // The alarm lasts several times as long as the broker may take for a message.
    let plan = Plan { publish_timeout_seconds: 3, admin: "127.0.0.1:0", ..Plan::default() };
    let mut site = Site::start("out-of-memory", &plan).await;
    let operator = Operator::of(&site.daemon).await;
    let mut calling = Calling::start().await;
    let mut askers = Vec::new();
    for to in [DIRECT, ""].repeat(COMMANDS / 2) {
        askers.push(Asker::connect(site.place(), to).await);
    }
    // So that the commands are in the queue before the alarm, and their replies are not.
    site.daemon.suspend();
    for asker in &askers {
        asker.ask(site.place()).await;
    }
    let is_over = AtomicBool::new(false);
    let alarm = async {
        script(&services, &["block-publishers", SECONDS]).await;
        is_over.store(true, Ordering::Relaxed);
    };
    let replies = async {
        in_need(site.place()).await;
        calling.site.daemon.terminate();
        site.daemon.resume();
        let accepted = [("command", "agent.put"), ("outcome", "accepted")];
        until("the commands to be applied", SOON, || {
            let applied = operator.scrape().sum("calltaskd_commands_total", &accepted);
            (applied == COMMANDS as f64).then_some(())
        })
        .await;
        assert!(!is_over.load(Ordering::Relaxed), "the alarm was over before: that shows nothing");
        calling.ends().await;
        assert!(!is_over.load(Ordering::Relaxed), "the stop waited for the end of the alarm");
        for asker in &mut askers {
            assert_eq!(asker.status().await, "ACCEPTED");
        }
    };
    tokio::join!(alarm, replies);
    for line in [
        "the session ended; opening another",
        "a direct reply was not confirmed and is sent once more, by a new connection",
        "a direct reply is given up: there was no connection to send it by",
        "replies wait for another connection",
    ] {
        assert!(!site.daemon.has_logged(line), "{line}");
    }
    site.daemon.stop(SOON).await;
}

/// A daemon that is stopped in the midst of its calls.
struct Calling {
    site: Site,
    task: String,
}

impl Calling {
    async fn start() -> Self {
        let site = Site::start("stopped-in-need", &Plan::lasting(2_000)).await;
        site.put_line(1_000, 200).await;
        let task = site.create("interrupted", 100).await;
        site.import(&task, &rows(0..900)).await;
        until("100 calls", SOON, || (site.record().calls.len() >= 100).then_some(())).await;
        Self { site, task }
    }

    /// Ends, although it cannot tell of all its calls. That the next daemon tells of them is in `stop`.
    async fn ends(&mut self) {
        assert_eq!(self.site.daemon.exit(SOON).await.code(), Some(0));
        let (called, told) = (self.site.record().calls.len(), self.site.ledger.about("call.ended", &self.task).len());
        assert!(told < called, "{told} of {called} calls were told of: that shows nothing");
    }
}

/// Publishes to nobody until the broker says that it takes no more.
async fn in_need(place: &Place) {
    let (connection, channel) = place.channel().await.unwrap();
    let options = BasicPublishOptions::default;
    let nobody = || channel.basic_publish("".into(), "nobody".into(), options(), b"", BasicProperties::default());
    let deadline = Instant::now() + SOON;
    while !connection.status().blocked() {
        assert!(Instant::now() < deadline, "waited {SOON:?} in vain for the alarm");
        drop(tokio::time::timeout(BETWEEN_LOOKS, nobody()).await);
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

const DIRECT: &str = "amq.rabbitmq.reply-to";

/// Whoever sends one command and wants its reply.
struct Asker {
    /// Where the reply goes: nothing else is said there.
    address: String,
    replies: Consumer,
    channel: Channel,
    _connection: Connection,
}

impl Asker {
    /// Whoever wants it directly, or else by a queue.
    async fn connect(place: &Place, to: &str) -> Self {
        let (connection, channel) = place.channel().await.unwrap();
        let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
        let address = match to {
            "" => channel.queue_declare("".into(), exclusive, FieldTable::default()).await.unwrap().name().to_string(),
            direct => direct.to_owned(),
        };
        let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consumer = channel.basic_consume(address.as_str().into(), "".into(), no_ack, FieldTable::default());
        let replies = consumer.await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { address, replies, channel, _connection: connection }
    }

    /// Returns when the broker has the command.
    async fn ask(&self, place: &Place) {
        let id = Uuid::new_v4().to_string();
        let properties = BasicProperties::default().with_message_id(id.into());
        let properties = properties.with_reply_to(self.address.as_str().into());
        let body = orders::agent("greeter").to_string();
        let (exchange, key) = (place.name("commands").into(), "agent.put".into());
        let options = BasicPublishOptions::default();
        let published = self.channel.basic_publish(exchange, key, options, body.as_bytes(), properties);
        assert!(published.await.unwrap().await.unwrap().is_ack());
    }

    async fn status(&mut self) -> String {
        let reply = within("a reply", 2 * SOON, self.replies.next()).await.unwrap().unwrap();
        serde_json::from_slice::<Value>(&reply.data).unwrap()["status"].as_str().unwrap().to_owned()
    }
}
