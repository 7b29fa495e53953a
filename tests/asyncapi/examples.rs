//! The examples of the document and of docs/wire.md: each is what it is said to be, for the schema and for the reader.

use calltaskd::bus::wire::v1::{commands, queries};
use serde_json::{Value, json};

use crate::document::{assert_event, assert_payload, document, judge, reply_to};
use crate::reading::{problems, requests, rules};

const WIRE: &str = include_str!("../../docs/wire.md");

#[test]
fn every_example_of_the_document_is_valid() {
    for (name, message) in document()["components"]["messages"].as_object().unwrap() {
        let examples = message["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{name}");
        if name == "deadLetter" {
            continue;
        }
        examples.iter().for_each(|example| assert_payload(name, &example["payload"]));
    }
    let headers = &document()["components"]["messages"]["deadLetter"]["examples"][0]["headers"];
    assert!(judge("messages/deadLetter/headers").is_valid(headers));
}

#[test]
fn every_example_of_a_request_is_read() {
    for (name, _) in requests() {
        for example in document()["components"]["messages"][&name]["examples"].as_array().unwrap() {
            let body = &example["payload"];
            assert_read(&name, body);
            let is_command = commands::is_command(&name);
            assert!(is_command || queries::read(&name, body, &rules()).is_ok(), "{name}");
        }
    }
}

/// Rows may be wrong, since each is judged by itself and spoils nothing.
#[track_caller]
fn assert_read(name: &str, body: &Value) {
    let found = problems(name, body).into_iter().filter(|problem| !problem.field.starts_with("callees["));
    assert_eq!(found.collect::<Vec<_>>(), [], "{name} {body}");
}

/// The JSON of the page, each with the names that stand above it: of its heading, and of a line of its own.
fn blocks() -> Vec<(String, Value)> {
    let (mut heading, mut block, mut blocks) = (String::new(), None::<String>, Vec::new());
    for line in WIRE.lines() {
        match (&mut block, line) {
            (None, "```json") => block = Some(String::new()),
            (Some(text), "```") => {
                blocks.push((heading.clone(), serde_json::from_str(text).unwrap()));
                block = None;
            }
            (Some(text), _) => text.push_str(line),
            (None, _) if line.starts_with('#') => heading = line.trim_start_matches(['#', ' ']).to_owned(),
            (None, _) if line.starts_with('`') && line.ends_with('`') && !line.starts_with("```") => {
                heading = line.replace('`', "")
            }
            _ => {}
        }
    }
    blocks
}

#[test]
fn every_example_of_the_page_is_valid() {
    let names: Vec<String> = requests().into_iter().map(|(name, _)| name).collect();
    let mut judged = 0;
    for (heading, body) in blocks() {
        match heading.as_str() {
            // The carrier's record is no message.
            "The simulated trunk" => continue,
            "Recordings" => assert!(judge("schemas/recording").is_valid(&body), "{body}"),
            "call.reported" => assert!(judge("schemas/callReported").is_valid(&body), "{body}"),
            "export.ready, export.failed" => assert!(judge("schemas/exportReady").is_valid(&body), "{body}"),
            _ if body.get("specversion").is_some() => {
                let kind = body["type"].as_str().unwrap();
                let third = if body["data"]["final"] == json!(true) { "final" } else { "redial" };
                let routing_key = if kind == "call.ended" { format!("call.ended.{third}") } else { kind.to_owned() };
                assert_event(&routing_key, &body);
            }
            "Commands" => assert_payload("rejected", &body),
            name if names.iter().any(|known| known == name) => {
                if body.get("status").is_some_and(|status| status == "ACCEPTED" || status == "OK") {
                    assert_payload(&reply_to(name, &body), &body);
                } else {
                    assert_payload(name, &body);
                    assert_read(name, &body);
                }
            }
            other => panic!("nothing says what this is, below {other:?}: {body}"),
        }
        judged += 1;
    }
    assert!(judged > 35, "{judged}");
}
