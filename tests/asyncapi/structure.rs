//! The document as a whole: its references lead somewhere, every channel is used, and names, exchanges and properties are
//! those of the code.

use std::collections::BTreeSet;

use calltaskd::bus::wire::v1::{commands, queries};
use calltaskd::bus::{
    Envelope, Topology, command_properties, dead_letter_properties, event_properties, reply_properties,
};
use calltaskd::domain::problem::Code;
use lapin::BasicProperties;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::document::{document, judge};
use crate::reading::{requests, rules};

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|inner| references(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let mut found = Vec::new();
    references(document(), &mut found);
    for reference in &found {
        assert!(document().pointer(&reference[1..]).is_some(), "{reference}");
    }
    for (kind, components) in document()["components"].as_object().unwrap() {
        for name in components.as_object().unwrap().keys() {
            let path = format!("#/components/{kind}/{name}");
            assert!(found.iter().any(|reference| reference.starts_with(&path)), "nothing uses {path}");
        }
    }
    for channel in document()["channels"].as_object().unwrap().keys() {
        let path = format!("#/channels/{channel}");
        assert!(found.contains(&path), "no operation uses {path}");
    }
}

#[test]
fn every_request_is_read_by_the_daemon_and_has_an_operation() {
    for (name, _) in requests() {
        let channel = &document()["channels"][&name];
        let is_command = channel["bindings"]["$ref"] == "#/components/channelBindings/commands";
        assert_eq!(channel["address"], json!(name));
        assert_eq!(commands::is_command(&name), is_command, "{name}");
        let unread = queries::read(&name, &json!({}), &rules()).err().into_iter().flatten();
        let is_query = unread.into_iter().all(|problem| problem.code != Code::Unreadable);
        assert_eq!(is_query, !is_command, "{name}");
        assert_eq!(document()["operations"][&name]["action"], "receive");
        assert!(document()["operations"][&name]["reply"]["messages"].as_array().unwrap().len() >= 2, "{name}");
    }
}

/// Read from the source, since no list of them is there: nothing else asks for all.
#[test]
fn no_request_of_the_code_is_missing() {
    for source in [include_str!("../../src/bus/wire/v1/commands.rs"), include_str!("../../src/bus/wire/v1/queries.rs")]
    {
        let read: BTreeSet<&str> = source
            .lines()
            .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => "))
            .map(|(name, _)| name)
            .filter(|name| name.contains('.'))
            .collect();
        assert!(read.len() >= 10, "{read:?}");
        for name in read {
            assert!(requests().iter().any(|(known, _)| known == name), "{name}");
        }
    }
}

#[test]
fn exchanges_are_those_of_the_code() {
    let Topology { commands, queries, events, dead } = Topology::new("calltaskd");
    for (binding, exchange) in [("commands", commands), ("queries", queries), ("events", events), ("dead", dead)] {
        assert_eq!(document()["components"]["channelBindings"][binding]["amqp"]["exchange"]["name"], json!(exchange));
    }
}

/// The properties that the code sets, by the names of AMQP.
fn told(properties: &BasicProperties) -> Value {
    let text = |text: &Option<lapin::types::ShortString>| text.as_ref().map(ToString::to_string);
    let mut told = json!({
        "content_type": text(properties.content_type()),
        "delivery_mode": properties.delivery_mode(),
        "message_id": text(properties.message_id()),
        "type": text(properties.kind()),
        "reply_to": text(properties.reply_to()),
        "correlation_id": text(properties.correlation_id()),
        "headers": properties.headers().as_ref().map(|headers| {
            headers.inner().keys().map(|name| (name.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>()
        }),
    });
    told.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    told
}

fn assert_described(properties: &BasicProperties, place: &str) {
    let (told, described) = (told(properties), &document()["components"][place.split('/').next().unwrap()]);
    let described = &described[place.split('/').nth(1).unwrap()]["x-amqp-properties"]["properties"];
    for (name, value) in told.as_object().unwrap() {
        let schema = described.get(name).unwrap_or_else(|| panic!("{place} has no {name}"));
        assert!(schema.get("const").is_none_or(|expected| expected == value), "{place} {name}: {value}");
    }
    for name in
        document()["components"].pointer(&format!("/{place}/x-amqp-properties/required")).unwrap().as_array().unwrap()
    {
        assert!(told.get(name.as_str().unwrap()).is_some(), "{place}: {name} is not set");
    }
}

#[test]
fn message_properties_are_those_of_the_code() {
    assert_described(&event_properties(Uuid::nil(), "task.created"), "messageTraits/event");
    assert_described(&reply_properties(Some("1")), "messageTraits/reply");
    assert_described(&reply_properties(None), "messageTraits/reply");
    assert_described(&command_properties("1", "q", "2"), "messageTraits/command");
    let letter = Envelope {
        routing_key: "task.make".to_owned(),
        message_id: Some("1".to_owned()),
        reply_to: None,
        correlation_id: None,
        body: b"{}".to_vec(),
        cut_from: None,
    };
    let properties = dead_letter_properties(&letter, "there is no such command");
    assert_described(&properties, "messages/deadLetter");
    let set: BTreeSet<String> = told(&properties)["headers"].as_object().unwrap().keys().cloned().collect();
    let headers = &document()["components"]["messages"]["deadLetter"]["headers"];
    assert_eq!(set, headers["properties"].as_object().unwrap().keys().cloned().collect());
    assert!(!judge("messages/deadLetter/headers").is_valid(&json!({})));
}
