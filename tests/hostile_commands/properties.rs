//! Properties, routing keys and headers that no well-meaning sender has.

use serde_json::Value;

use crate::harness::orders;
use crate::harness::patience::SOON;
use crate::scene::Scene;
use crate::stranger::{
    APP_ID, CONTENT_ENCODING, CONTENT_TYPE, CORRELATION_ID, EXPIRATION, HEADERS, MESSAGE_ID, PRIORITY, REPLY_TO, TYPE,
    short, table,
};

const NO_UTF_8: &[u8] = b"\xffodd\xc3\x28\xf0\x9f";

fn agent() -> Vec<u8> {
    orders::agent("greeter").to_string().into_bytes()
}

/// The property is of those that the daemon uses: it says so, and keeps the message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_utf_8_in_a_property_is_a_dead_letter_once() {
    let mut scene = Scene::set("no-utf-8").await;
    let properties = [(MESSAGE_ID, "message_id"), (REPLY_TO, "reply_to"), (CORRELATION_ID, "correlation_id")];
    for ((property, name), odd) in properties.into_iter().flat_map(|one| [(one, NO_UTF_8), (one, b"a\x1ab")]) {
        let message = scene.message("agent.put", agent()).with(property, odd);
        scene.stranger.publish(&message);
        let letter = scene.letter().await;
        let remedy = "is not UTF-8, or has the character SUBSTITUTE (U+001A); send it in UTF-8 without it";
        assert_eq!(letter.reason, format!("the property {name} {remedy}"));
        assert_eq!(letter.body, message.body);
        scene.serve().await;
    }
    // Who can be replied to hears of it.
    let message = scene.message("agent.put", agent()).with(MESSAGE_ID, NO_UTF_8).with(CORRELATION_ID, "a");
    let reply = scene.ask(&message, "a").await;
    reply.assert_code("UNREADABLE");
    assert!(reply.json["errors"][0]["message"].as_str().unwrap().contains("message_id"), "{reply:?}");
    assert_eq!(scene.letter().await.body, message.body);
    for key in [NO_UTF_8, b"agent.put\xff", b"\0", b"agent.put\r\nlevel: ERROR"] {
        let message = message.clone().to(key).with(CORRELATION_ID, "b");
        scene.stranger.publish(&message);
        assert!(scene.letter().await.reason.starts_with("there is no command"));
    }
    scene.end(0).await;
}

/// Properties that the daemon does not use are nothing to it, whatever they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_property_that_nobody_uses_does_no_harm() {
    let mut scene = Scene::set("odd-properties").await;
    let entry = |name: &[u8], value: &[u8]| table(&[&short(name), value].concat());
    let deep = (0..9_000).fold(entry(b"", b"V"), |inner, _| entry(b"", &[b"F", &inner[..]].concat()));
    let array = (0..9_000).fold(b"A\0\0\0\0".to_vec(), |inner, _| [b"A", &table(&inner)[..]].concat());
    let odd: Vec<(&str, u8, Vec<u8>)> = vec![
        ("content type", CONTENT_TYPE, short(NO_UTF_8)),
        ("content encoding", CONTENT_ENCODING, short(NO_UTF_8)),
        ("type", TYPE, short(NO_UTF_8)),
        ("application", APP_ID, short(NO_UTF_8)),
        ("priority", PRIORITY, vec![255]),
        ("expiration", EXPIRATION, short(b"86400000")),
        ("key of a header", HEADERS, entry(NO_UTF_8, b"V")),
        ("header", HEADERS, entry(b"x", &[&b"S"[..], &table(NO_UTF_8)].concat())),
        ("headers in headers", HEADERS, deep),
        ("lists in headers", HEADERS, entry(b"x", &array)),
        ("headers that say it was cut", HEADERS, entry(b"x-calltaskd-size", b"S\0\0\0\x019")[..].to_vec()),
    ];
    for (what, property, bytes) in odd {
        println!("{what}: {} bytes", bytes.len());
        let message = scene.message("agent.put", agent()).with_raw(property, bytes).with(CORRELATION_ID, what);
        assert_eq!(scene.ask(&message, what).await.status(), "ACCEPTED", "{what}");
    }
    scene.end(0).await;
}

/// Replies that nobody can get: to the daemon itself, to nobody, to a name of the broker's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absurd_reply_queue_costs_nobody_else_a_reply() {
    let mut scene = Scene::set("odd-reply-queues").await;
    let commands = scene.site.place().name("commands");
    for to in
        ["gone", &"q".repeat(255), "amq.rabbitmq.reply-to.g1h2AA.forged", "amq.rabbitmq.reply-to.", "\0", "a\r\nb"]
    {
        let message = scene.message("agent.put", agent()).with(REPLY_TO, to);
        scene.stranger.publish(&message);
        scene.serve().await;
    }
    // What comes back to the daemon is no command of its own.
    let message = scene.message("agent.put", agent()).with(REPLY_TO, &commands);
    scene.stranger.publish(&message);
    let letter = scene.letter().await;
    assert_eq!(serde_json::from_slice::<Value>(&letter.body).unwrap()["status"], "ACCEPTED");
    scene.end(0).await;
}

/// Ids that cannot be kept are refused by name, as everything else that can be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_odd_message_id_is_refused_by_name() {
    let mut scene = Scene::set("odd-message-ids").await;
    for (id, code) in [("a\0b", "INVALID_VALUE message_id"), (&"i".repeat(255)[..], "TOO_LONG message_id")] {
        let message = scene.message("agent.put", agent()).with(MESSAGE_ID, id).with(CORRELATION_ID, code);
        scene.ask(&message, code).await.assert_errors(&[code]);
        let again = scene.message("agent.put", agent()).with(MESSAGE_ID, id).with(CORRELATION_ID, format!("{code}2"));
        scene.ask(&again, &format!("{code}2")).await.assert_errors(&[code]);
    }
    let line = "a\r\n{\"level\":\"ERROR\"}";
    let message = scene.message("agent.put", agent()).with(MESSAGE_ID, line).with(CORRELATION_ID, "line");
    assert_eq!(scene.ask(&message, "line").await.status(), "ACCEPTED");
    let nameless = scene.message("agent.put", agent()).without(MESSAGE_ID).with(CORRELATION_ID, line);
    assert_eq!(scene.ask(&nameless, line).await.status(), "ACCEPTED");
    let events = || scene.site.ledger.events();
    let is_rejection = |event: &crate::harness::downstream::Event| event.kind() == "command.rejected";
    let enough = |events: &[std::sync::Arc<_>]| events.iter().filter(|event| is_rejection(event)).count() == 4;
    scene.site.ledger.wait_until("four rejections", SOON, enough).await;
    assert!(events().iter().any(|event| event.data()["messageId"] == "a\0b"));
    scene.end(4).await;
}
