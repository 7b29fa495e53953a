//! Tasks from their creation to their end, their callees, calls, exports and events.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use super::harness::export::{exports_section, sha256_of};
use super::harness::orders::{AGENT, LINE, row, rows};
use super::harness::patience::{SOON, within};
use super::harness::plan::Plan;
use super::harness::site::{Site, folder};
use super::said::{done, json, say, say_with};

const CREATE: [&str; 8] = ["task", "create", "--agent", AGENT, "--service-instance", LINE, "--concurrency", "5"];

fn create(site: &Site, name: &str, more: &[&str]) -> String {
    let created = json(site, &[&CREATE[..], &["--name", name], more].concat()).ends(0).json();
    assert_eq!((&created["name"], &created["state"]), (&json!(name), &json!("INITIALIZING")));
    created["taskId"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_a_task_is_set_changed_and_cleared() {
    let site = Site::start("task-fields", &Plan::default()).await;
    site.put_line(10, 10).await;
    done(&site, &["task", "list"]).has(&["no tasks"]);
    let id = "7f9c24e8-3b1e-4d6a-9f0e-1c2d3e4f5a6b";
    let when = ["--id", id, "--start-at", "2036-11-23T09:00:00+01:00", "--time-zone", "Europe/Berlin"];
    let hours = ["--days", "monday-wednesday", "--hours", "09:00-12:00,14:00-18:00", "--ring-timeout-seconds", "30"];
    let redial = ["--redial", "user_busy,NO_ANSWER", "--redial-times", "2", "--redial-minutes", "30"];
    assert_eq!(create(&site, "autumn", &[&when[..], &hours, &redial, &["--max-talk-seconds", "600"]].concat()), id);
    let shown = json(&site, &["task", "show", "autumn"]).ends(0).json();
    let expected = json!({"startMode": "SCHEDULED", "startAt": "2036-11-23T08:00:00.000Z", "timeZone": "Europe/Berlin",
        "callingDays": ["MONDAY", "TUESDAY", "WEDNESDAY"], "ringTimeoutSeconds": 30, "maxTalkSeconds": 600,
        "callingTimes": [{"start": "09:00", "end": "12:00"}, {"start": "14:00", "end": "18:00"}],
        "redial": {"reasons": ["USER_BUSY", "NO_ANSWER"], "times": 2, "intervalMinutes": 30}});
    assert_fields(&shown["task"], &expected);
    done(&site, &["task", "show", id]).has(&["09:00-12:00, 14:00-18:00", "redial.times", "INITIALIZING"]);
    let update =
        ["--name", "winter", "--concurrency", "6", "--immediate", "--days", "SUNDAY", "--hours", "10:00-11:00"];
    let reset = ["--redial", "POWERED_OFF", "--reset", "time-zone,ring-timeout-seconds,max-talk-seconds"];
    done(&site, &[&["task", "update", "autumn"], &update[..], &reset].concat())
        .has(&["winter is changed", "INITIALIZING"]);
    let shown = json(&site, &["task", "show", id]).ends(0).json();
    let expected = json!({"name": "winter", "concurrency": 6, "startMode": "IMMEDIATE", "timeZone": "UTC",
        "callingDays": ["SUNDAY"], "callingTimes": [{"start": "10:00", "end": "11:00"}], "maxTalkSeconds": 1800,
        "ringTimeoutSeconds": 45, "redial": {"reasons": ["POWERED_OFF"], "times": 1, "intervalMinutes": 15}});
    assert_fields(&shown["task"], &expected);
    assert_eq!(shown["task"].get("startAt"), None);
    let cleared = json(&site, &["task", "update", "winter", "--no-redial"]).ends(0).json();
    assert_eq!(cleared["status"], "ACCEPTED");
    assert_eq!(json(&site, &["task", "show", id]).json()["task"].get("redial"), None);
    wrong_tasks(&site);
    done(&site, &["task", "delete", "winter"]).has(&["winter is deleted"]);
    assert_eq!(json(&site, &["task", "list"]).ends(0).lines(), Vec::<Value>::new());
}

#[track_caller]
fn assert_fields(task: &Value, expected: &Value) {
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&task[field], value, "{field}");
    }
}

fn wrong_tasks(site: &Site) {
    let wrong = [&CREATE[..], &["--name", "winter", "--hours", "12:00-09:00", "--time-zone", "Mars/Base"]].concat();
    let fields = ["name: NAME_TAKEN: ", "callingTimes[0]", "timeZone: INVALID_VALUE: "];
    say(site, &wrong).ends(1).complains(&fields);
    assert_eq!(json(site, &wrong).ends(1).complains(&fields).json()["status"], "REJECTED");
    say(site, &["task", "stop", "winter"]).ends(1).complains(&["WRONG_STATE"]);
    for command in ["show", "start", "stop", "delete", "watch"] {
        say(site, &["task", command, "nowhere"]).ends(1).complains(&["NOT_FOUND"]);
        assert_ne!(json(site, &["task", command, "nowhere"]).ends(1).json()["status"], "OK");
    }
    say(site, &["task", "list", "--state", "LOST"]).ends(1).complains(&["state: INVALID_VALUE"]);
    assert_eq!(json(site, &["task", "list", "--state", "LOST"]).ends(1).json()["status"], "REJECTED");
    say(site, &["task", "update", "winter"]).ends(2).complains(&["--concurrency"]);
    say(site, &["task", "create", "--name", "x"]).ends(2);
    say(site, &[&CREATE[..], &["--name", "x", "--hours", "9"]].concat()).ends(2).complains(&["START-END"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_run_watched_and_looked_at() {
    let files = folder("task-files");
    let force = vec![("0001", "USER_BUSY")];
    let site = Site::start("task-run", &Plan { force, more: exports_section(&files), ..Plan::default() }).await;
    site.put_line(10, 100).await;
    let id = create(&site, "autumn", &[]);
    let events = subscribe(&site);
    let listed = json(&site, &["task", "list", "--state", "initializing", "--name", "aut"]).ends(0).lines();
    assert_eq!(listed[0]["taskId"], id.as_str());
    done(&site, &["task", "list"]).has(&["NAME", "autumn", &id]);
    site.import(&id, &rows(1..4)).await;
    let watched = done(&site, &["task", "watch", "autumn"]);
    watched.has(&["autumn is COMPLETED", "USER_BUSY        1", "ANSWERED         2", "100.0 %"]);
    assert_eq!(json(&site, &["task", "watch", &id]).ends(0).json()["task"]["state"], "COMPLETED");
    let output = within("the last event", SOON, tokio::task::spawn_blocking(|| events.wait_with_output())).await;
    let output = output.unwrap().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let types: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((types.last().unwrap()["type"].as_str(), output.status.code()), (Some("task.completed"), Some(0)));
    assert_eq!(types.iter().filter(|event| event["type"] == "call.ended").count(), 3);
    callees(&site);
    calls(&site).await;
    exports(&site, &files).await;
    starts(&site, &id).await;
}

/// `calltaskd events`, from the moment on that it has its queue.
fn subscribe(site: &Site) -> Child {
    let mut events = site.command(&["events", "--until", "task.completed"]);
    let mut events = events.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(events.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "subscribed\n");
    events
}

fn callees(site: &Site) {
    let list = ["callees", "list", "autumn", "--tab", "completed"];
    done(site, &list).has(&["NUMBER", "out-1", "USER_BUSY", "+493010000003"]);
    let count = |more: &[&str]| json(site, &[&list[..], more].concat()).ends(0).lines().len();
    assert_eq!(count(&[]), 3);
    assert_eq!(count(&["--result", "answered"]), 2);
    assert_eq!(count(&["--out-id", "out-2"]), 1);
    assert_eq!(count(&["--number", "+493010000003"]), 1);
    assert_eq!(count(&["--batch", "none"]), 0);
    assert_eq!(count(&["--ended-from", "2026-01-01T00:00:00Z", "--ended-to", "2126-01-01T00:00:00Z"]), 3);
    assert_eq!(count(&["--ended-to", "2020-01-01T00:00:00Z"]), 0);
    done(site, &["callees", "list", "autumn"]).has(&["no callees"]);
    say(site, &["callees", "list", "autumn", "--tab", "all"]).ends(1).complains(&["tab: INVALID_VALUE: "]);
    say(site, &[&list[..], &["--ended-from", "today"]].concat()).ends(1).complains(&["endedFrom: "]);
}

async fn calls(site: &Site) {
    let by_out_id = ["call", "show", "--task", "autumn", "--out-id", "out-2"];
    let answer = json(site, &by_out_id).ends(0).json();
    let call = answer["attempts"][0]["callId"].as_str().unwrap();
    let report = json!({"callId": call, "majorIntent": "CONFIRM", "outputTags": {"outcome": "YES"},
        "conversation": [{"role": "agent", "content": "Good morning!"}, {"role": "callee", "content": "Hello"}],
        "recording": {"url": "https://r.example/1.wav", "seconds": 2}});
    site.upstream.accept("call.report", &report).await;
    for words in [&by_out_id[..], &["call", "show", call]] {
        done(site, words).has(&[
            "CALLEE +493010000002",
            "CALL 1: ANSWERED",
            "200 OK (Q.850 16, rule simulated)",
            "CONFIRM",
            "agent: Good morning!",
            "callee: Hello",
            "outputTags.outcome",
            "https://r.example/1.wav (2 s)",
        ]);
    }
    assert_eq!(json(site, &["call", "show", call]).ends(0).json()["callee"]["outId"], "out-2");
    say(site, &["call", "show", "--task", "autumn", "--out-id", "none"]).ends(1).complains(&["NOT_FOUND"]);
    say(site, &["call", "show", "no-id"]).ends(1).complains(&["callId: INVALID_VALUE"]);
    say(site, &["call", "show"]).ends(2);
}

async fn exports(site: &Site, files: &Path) {
    done(site, &["export", "list"]).has(&["no exports"]);
    let order = ["export", "create", "--task", "autumn", "--name", "all"];
    let id = json(site, &[&order[..], &["--status", "all"]].concat()).ends(0).json()["exportId"].clone();
    let id = id.as_str().unwrap();
    let output = files.join("all.csv");
    let fetched = done(site, &["export", "download", "--wait", id, "--output", output.to_str().unwrap()]);
    fetched.has(&["3 rows", &sha256_of(&output)]);
    done(site, &["export", "show", id]).has(&["SUCCEEDED", "location"]);
    assert_eq!(json(site, &["export", "show", id]).ends(0).json()["export"]["rows"], 3);
    done(site, &["export", "list", "--task", "autumn"]).has(&["SUCCEEDED", id]);
    assert_eq!(json(site, &["export", "list"]).ends(0).lines()[0]["exportId"], id);
    done(site, &order).has(&["fetch it by"]);
    say(site, &[&order[..], &["--format", "PDF"]].concat()).ends(1).complains(&["format: INVALID_VALUE"]);
    say(site, &["export", "show", "00000000-0000-4000-8000-000000000000"]).ends(1).complains(&["NOT_FOUND"]);
}

/// Of a task that cannot run, so that its callees stay to be cancelled.
async fn starts(site: &Site, completed: &str) {
    assert_eq!(json(site, &["task", "delete", completed]).ends(0).json()["state"], "COMPLETED");
    site.put_mute_line().await;
    let id = create(site, "mute", &[]);
    let with_batch = json!({"taskId": id, "batchId": "b", "callees": [row(1)]});
    site.upstream.accept("callees.import", &with_batch).await;
    site.import(&id, &rows(2..10)).await;
    say(site, &["task", "start", "mute"]).ends(1).has(&["START_FAILED: NO_CALLER_NUMBERS"]);
    assert_eq!(json(site, &["task", "start", "mute"]).ends(1).json()["state"], "START_FAILED");
    say(site, &["task", "watch", "mute"]).ends(1).has(&["START_FAILED: NO_CALLER_NUMBERS"]);
    cancels(site);
    done(site, &["task", "delete", "mute"]);
}

fn cancels(site: &Site) {
    let cancel = |more: &[&str]| say(site, &[&["callees", "cancel", "mute"], more].concat());
    cancel(&["--batch", "b"]).ends(0).has(&["ALL_SUCCEEDED: 1 cancelled, 0 not"]);
    cancel(&["--out-id", "out-2", "--out-id", "nobody"])
        .ends(1)
        .has(&["nobody: NOT_FOUND", "PART_FAILED: 1 cancelled, 1 not"]);
    cancel(&["--number", "+493010000003"]).ends(0);
    let pending = json(site, &["callees", "list", "mute", "--out-id", "out-4"]).ends(0).lines();
    cancel(&["--callee-id", pending[0]["calleeId"].as_str().unwrap()]).ends(0);
    cancel(&["--callee-id", "no-id"]).ends(1).complains(&["calleeIds[0]: "]);
    cancel(&[]).ends(2);
    let many: String = (5..6_005).map(|index| format!("out-{index}\n")).collect();
    let said = say_with(site, &many, &["callees", "cancel", "mute", "--out-ids-from", "-"]).ends(1);
    said.complains(&["command 2 of 2: 5 cancelled so far"])
        .has(&["out-6004: NOT_FOUND", "PART_FAILED: 5 cancelled, 5995 not"]);
    let replies =
        say_with(site, &many, &["callees", "cancel", "mute", "--out-ids-from", "-", "--json"]).ends(1).lines();
    let results: Vec<_> = replies.iter().map(|reply| reply["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["ALL_FAILED", "ALL_FAILED"]);
    let failed = json(site, &["callees", "list", "mute", "--tab", "FAILED"]).ends(0).lines();
    assert_eq!((failed.len(), &failed[0]["failedReason"]), (9, &json!("CANCELLED")));
}
