//! What others say, and what was typed, on the operator's terminal: shown, never obeyed. And no argument is too long.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::harness::daemon::command;
use super::harness::orders::rows;
use super::harness::patience::SOON;
use super::harness::plan::Plan;
use super::harness::site::{Site, folder};
use super::said::{Said, done, json, run, say};

/// Sets a window's title, clears the screen, begins a sequence in one byte, turns what follows round, ends a line.
const HARM: &str = "\u{1b}]0;PWNED\u{7}\u{1b}[2J \u{9b}31m \u{202e}txt \u{2066}x \u{2028}y";
const SHOWN: &str = "\\u{1b}]0;PWNED\\u{7}\\u{1b}[2J \\u{9b}31m \\u{202e}txt \\u{2066}x \\u{2028}y";

/// Nothing of it is obeyed by a terminal, but for the ends of lines.
#[track_caller]
fn assert_harmless(said: &Said) {
    let harmful = |letter: char| {
        let turns = matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        letter != '\n' && (letter.is_control() || turns)
    };
    assert!(!said.out.contains(harmful) && !said.err.contains(harmful), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_say_is_shown_and_not_obeyed() {
    let site = Site::start("terminal", &Plan::default()).await;
    site.put_line(10, 50).await;
    let task = site.create("reported", 1).await;
    site.import(&task, &rows(0..1)).await;
    site.ledger.completed(&task, SOON).await;
    let events = site.ledger.events();
    let ended = events.iter().find(|event| event.kind() == "call.ended").unwrap();
    let call = ended.text("callId");
    let report = json!({"callId": call, "majorIntent": HARM, "outputTags": {"mood": [HARM]}, "variables": {"a": HARM},
        "conversation": [{"role": "agent", "content": format!("{HARM}\nCALL 2: ANSWERED")}]});
    site.upstream.accept("call.report", &report).await;
    let shown = done(&site, &["call", "show", call]);
    assert_harmless(&shown);
    assert_eq!(shown.out.matches(SHOWN).count(), 4, "{shown:?}");
    assert!(!shown.out.lines().any(|line| line.starts_with("CALL 2")), "{shown:?}");
    // Scripts get the same texts, and a terminal that they write to nothing either.
    let read = json(&site, &["call", "show", call]).ends(0);
    assert_harmless(&read);
    assert_eq!(read.json()["attempts"][0]["majorIntent"], HARM);
    assert_eq!(read.json()["attempts"][0]["conversation"], report["conversation"]);
}

/// Each of them ended in a panic, at the place where it becomes a short string of AMQP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_argument_is_too_long_for_the_library() {
    let site = &Site::start("too-long", &Plan::default()).await;
    let long = "x".repeat(100_000);
    let put = ["agent", "put", "--id", "a", "--name", "A", "--sip-uri", "sip:a@b.example", "--message-id", &long];
    let commands: [(&[&str], &str); 4] = [
        (&["events", "--pattern", &long], "--pattern"),
        (&put, "--message-id"),
        (&["callees", "cancel", "t", "--batch", "b", "--message-id", &long], "--message-id"),
        (&["dev", "bus", "remove", &long], "PREFIX"),
    ];
    for (words, option) in commands {
        let said = say(site, words).ends(2).complains(&[option, "bytes; at most"]);
        assert!(!said.err.contains("panicked"), "{said:?}");
    }
    // As long as it may be, and a command that many ids are sent in.
    let longest = "x".repeat(128);
    let fine = [&put[..9], &[&longest]].concat();
    done(site, &fine);
    done(site, &fine);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_typed_is_shown_and_not_obeyed() {
    let site = &Site::start("typed", &Plan::default()).await;
    let file = site.settings().with_file_name("callees.csv");
    fs::write(&file, "calledNumber\n+493023125001\n").unwrap();
    let odd = format!("odd{HARM}\nforged: line");
    let commands: [&[&str]; 4] = [
        &["import", &odd, "--task", "reported"],
        &["import", file.to_str().unwrap(), "--task", &odd],
        &["agent", "put", "--file", &odd],
        &["template", "/dev/null", "--agent", &odd],
    ];
    for words in commands {
        let said = say(site, words);
        assert!(said.code != 0, "{said:?}");
        assert_harmless(&said);
        assert!(!said.err.lines().any(|line| line.starts_with("forged")), "{said:?}");
    }
}

#[test]
fn wrong_usage_is_told_without_obeying_it() {
    let folder = folder("wrong-usage");
    let settings = folder.join("calltaskd.toml");
    fs::write(&settings, "").unwrap();
    let odd = format!("list{HARM}");
    let commands: [&[&str]; 4] =
        [&["task", &odd], &["task", "list", &odd], &["events", "--count", &odd], &["agent", "put", "--variable", &odd]];
    for words in commands {
        let said = run(&mut command(words, &settings)).ends(2);
        assert_harmless(&said);
    }
    let said = run(&mut command(&["events", "--count", &odd], &settings));
    said.complains(&[SHOWN]);
    assert_harmless(&run(&mut command(&["check"], Path::new(&odd))).ends(78));
    let checked: Value = run(&mut command(&["check", "--json"], &settings)).ends(0).json();
    assert_eq!(checked, json!({"status": "OK"}));
}
