//! Settings that are wrong: everything is said at once, with a remedy, and nothing starts. Also what a build for tests alone can be told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::fs;
use std::path::PathBuf;
use std::process::Output;

#[cfg(debug_assertions)]
use calltaskd::safeguards::Safeguard;
use harness::daemon::command;
#[cfg(debug_assertions)]
use harness::daemon::{Daemon, WITHOUT};
#[cfg(debug_assertions)]
use harness::patience::{SOON, until};
use harness::site::folder;

/// What sysexits.h calls `EX_CONFIG`.
const BAD_SETTINGS: i32 = 78;

/// One mistake each: an unknown key, a wrong type, out of range, a contradiction, a secret that cannot be read.
const FIVE_MISTAKES: &str = r#"
[node]
nmae = "dialer-1"
[limits]
task_concurrency = "many"
[shutdown]
grace_seconds = 100000
[database]
url = "postgres://calltaskd:h4rdly-secret@127.0.0.1/calltaskd"
url_file = "FOLDER/database-url"
[bus]
url_file = "FOLDER/missing"
"#;

fn write(name: &str, text: &str) -> PathBuf {
    let folder = folder(name);
    fs::write(folder.join("database-url"), "postgres://calltaskd@127.0.0.1/calltaskd").unwrap();
    let path = folder.join("calltaskd.toml");
    fs::write(&path, text.replace("FOLDER", folder.to_str().unwrap())).unwrap();
    path
}

fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_check_names_every_mistake_with_its_remedy() {
    let output = command(&["check"], &write("mistakes", FIVE_MISTAKES)).output().unwrap();
    let printed = printed(&output);
    assert_eq!(output.status.code(), Some(BAD_SETTINGS), "{printed}");
    for (key, remedy) in [
        ("node.nmae", "name"),
        ("limits.task_concurrency", "whole number"),
        ("shutdown.grace_seconds", "86400"),
        ("database.url", "remove one"),
        ("bus.url_file", "may read"),
    ] {
        let lines: Vec<_> = printed.lines().filter(|line| line.contains(key)).collect();
        assert!(lines.iter().any(|line| line.contains(remedy)), "{key}: no {remedy:?} in\n{printed}");
    }
    assert!(!printed.contains("h4rdly-secret"), "a secret was printed:\n{printed}");
}

#[test]
fn a_daemon_does_not_start_with_mistakes() {
    let output = command(&["run"], &write("run", FIVE_MISTAKES)).output().unwrap();
    let printed = printed(&output);
    assert_eq!(output.status.code(), Some(BAD_SETTINGS), "{printed}");
    for key in ["node.nmae", "limits.task_concurrency", "shutdown.grace_seconds", "database.url", "bus.url_file"] {
        assert!(printed.contains(key), "{key} is not in\n{printed}");
    }
}

#[test]
fn the_environment_wins_over_the_file_and_is_judged_like_it() {
    let good = write("environment", "[limits]\ntask_concurrency = 10\n");
    let output = command(&["check"], &good).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let output = command(&["check"], &good).env("CALLTASKD__LIMITS__TASK_CONCURRENCY", "0").output().unwrap();
    let printed = printed(&output);
    assert_eq!(output.status.code(), Some(BAD_SETTINGS), "{printed}");
    assert!(printed.contains("CALLTASKD__LIMITS__TASK_CONCURRENCY"), "where it comes from is not said:\n{printed}");
}

#[test]
fn a_file_that_is_asked_for_must_be_there() {
    let missing = folder("missing").join("calltaskd.toml");
    let output = command(&["check"], &missing).output().unwrap();
    let printed = printed(&output);
    assert_eq!(output.status.code(), Some(BAD_SETTINGS), "{printed}");
    assert!(printed.contains(missing.to_str().unwrap()), "{printed}");
}

#[test]
#[cfg(debug_assertions)]
fn a_daemon_does_not_start_without_a_safeguard_that_is_none() {
    let mut command = command(&["run"], &write("safeguard", ""));
    let output = command.env(WITHOUT, "SEATBELT").output().unwrap();
    let printed = printed(&output);
    assert!(!output.status.success(), "{printed}");
    for name in ["SEATBELT"].into_iter().chain(Safeguard::ALL.map(Safeguard::name)) {
        assert!(printed.contains(name), "{name} is not in\n{printed}");
    }
}

#[tokio::test]
#[cfg(debug_assertions)]
async fn a_daemon_without_a_safeguard_says_so_loudly() {
    let settings = write(
        "unsafe",
        "[database]\nurl = \"postgres://calltaskd@127.0.0.1:1/calltaskd\"\n[logging]\nformat = \"json\"\n",
    );
    let daemon = Daemon::launch_in(&[(WITHOUT, Safeguard::Fence.name())], &settings, settings.with_file_name("log"));
    let alarm = "ALARM: this daemon runs without a safeguard and breaks promises";
    let line = until("the alarm", SOON, || daemon.logged(alarm)).await;
    assert_eq!((&line["level"], &line["safeguard"]), (&"ERROR".into(), &"FENCE".into()), "{line}");
}

/// The switches are for tests: what runs in production does not even know what they are called.
#[test]
#[cfg(not(debug_assertions))]
fn a_release_build_has_no_switch() {
    let program = fs::read(env!("CARGO_BIN_EXE_calltaskd")).unwrap();
    let has = |text: &str| program.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(has("leases handed over"), "the program's texts are not where they are looked for");
    assert!(!has("CALLTASKD_WITHOUT"));
}
