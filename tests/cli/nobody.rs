//! No daemon, or no broker: what the operator is told, and what stays in the queues.

use std::fs;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use serde_json::Value;

use super::harness::daemon::command;
use super::harness::patience::{SOON, within};
use super::harness::plan::Plan;
use super::harness::servers::Place;
use super::harness::site::{Site, folder};
use super::said::{done, json, run, say};

/// How many messages wait in this queue of the contract.
async fn waiting(place: &Place, queue: &str) -> u32 {
    let (_connection, channel) = place.channel().await.unwrap();
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    channel.queue_declare(place.name(queue).into(), passive, FieldTable::default()).await.unwrap().message_count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_daemon_a_question_is_withdrawn_and_a_command_stays() {
    let plan = Plan::default();
    let mut site = Site::start("nobody", &plan).await;
    site.daemon.stop(SOON).await;
    let soon = ["--timeout-seconds", "1"];
    let told = ["no daemon answered within 1s", "none is connected to RabbitMQ at ", "systemctl status calltaskd"];
    let prefix = format!("under the prefix {}", site.place().prefix);
    let queries: [&[&str]; 5] = [
        &["task", "list"],
        &["agent", "get", "a"],
        &["callees", "list", "t"],
        &["call", "show", "--task", "t", "--out-id", "1"],
        &["task", "watch", "t", "--json"],
    ];
    for words in queries {
        let said = say(&site, &[words, &soon].concat()).ends(69).complains(&told);
        assert_eq!(said.complains(&[&prefix, "The question is withdrawn"]).out, "");
    }
    let gone = async {
        while waiting(site.place(), "queries").await > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    within("the questions to expire", SOON, gone).await;
    let put = ["agent", "put", "--id", "a", "--name", "A", "--sip-uri", "sip:a@b.example", "--message-id", "put-1"];
    let said = say(&site, &[&put[..], &soon].concat()).ends(69).complains(&told);
    said.complains(&["takes effect as soon as a daemon is back", "--message-id put-1"]);
    assert_eq!(waiting(site.place(), "commands").await, 1, "a command never expires");
    site.start_again(&plan).await;
    done(&site, &put).has(&["agent a is known"]);
    assert_eq!(json(&site, &["agent", "list"]).ends(0).lines().len(), 1);
}

#[test]
fn without_a_broker_each_command_names_the_address_and_no_password() {
    let folder = folder("broken");
    let settings = folder.join("calltaskd.toml");
    let urls = "[bus]\nurl = \"amqp://operator:secret@127.0.0.1:1/%2f\"\n\
        [database]\nurl = \"postgres://operator:secret@127.0.0.1:1/calltaskd\"\n";
    fs::write(&settings, urls).unwrap();
    let say = |words: &[&str]| run(&mut command(words, &settings)).ends(69);
    let commands: [&[&str]; 4] =
        [&["task", "list"], &["task", "start", "t"], &["events"], &["agent", "list", "--json"]];
    for words in commands {
        let said =
            say(words).complains(&["RabbitMQ at 127.0.0.1:1 (setting bus.url): ", "systemctl status rabbitmq-server"]);
        assert!(said.out.is_empty() && !said.err.contains("secret"), "{said:?}");
    }
    let said = say(&["migrate"]).complains(&["Postgres at 127.0.0.1:1/calltaskd (setting database.url): "]);
    assert!(!said.err.contains("secret"), "{said:?}");
}

#[test]
fn wrong_usage_and_wrong_settings_have_codes_of_their_own() {
    let folder = folder("wrong");
    let settings = folder.join("calltaskd.toml");
    fs::write(&settings, "[bus]\nprefx = \"a\"\n").unwrap();
    let say = |words: &[&str]| run(&mut command(words, &settings));
    say(&["task", "lst"]).ends(2).complains(&["list"]);
    say(&["task", "list"]).ends(78).complains(&["bus.prefx"]);
    say(&["check"]).ends(78).complains(&["bus.prefx: "]);
    let checked: Value = say(&["check", "--json"]).ends(78).json();
    assert_eq!(checked["errors"][0]["field"], "bus.prefx");
    let help = say(&["--help"]).ends(0);
    help.has(&["Exit codes", "69  no broker, database or daemon in time", "78  wrong settings"]);
}
