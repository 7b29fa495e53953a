//! Recordings of calls: reported, fetched or not, kept, replaced, removed, and downloaded by the command line.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use calltaskd::clock::{Clock, ManualClock, SystemClock};
use chrono::TimeDelta;
use harness::downstream::Event;
use harness::export::{S3, exports_section, sha256_of};
use harness::operator::Operator;
use harness::orders::rows;
use harness::patience::{SOON, until, within};
use harness::plan::Plan;
use harness::site::{Site, folder};
use harness::voice::{Answer, Voice};
use serde_json::{Value, json};

const MEBIBYTE: usize = 1024 * 1024;

fn sound(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 % 251) as u8).collect()
}

/// Settings that fetch from this server, into this folder.
fn fetching(voice: &Voice, kept: &Path, more: &str) -> Plan {
    let hosts = [voice.host()];
    let section = format!("[recordings]\nfetch = true\nhosts = {hosts:?}\nfolder = {kept:?}\n{more}\n");
    Plan { more: section, ..Plan::default() }
}

/// Makes so many calls; gives the task and the calls.
async fn calls(site: &Site, count: usize) -> (String, Vec<String>) {
    site.put_line(10, 50).await;
    let task = site.create("recorded", 10).await;
    site.import(&task, &rows(0..count)).await;
    site.ledger.completed(&task, SOON).await;
    let events = site.ledger.events();
    let ended = events.iter().filter(|event: &&Arc<Event>| event.kind() == "call.ended");
    let calls: Vec<String> = ended.map(|event| event.text("callId").to_owned()).collect();
    assert_eq!(calls.len(), count);
    (task, calls)
}

async fn report(site: &Site, call: &str, recording: Value) {
    site.upstream.accept("call.report", &json!({"callId": call, "recording": recording})).await;
}

async fn recording(site: &Site, call: &str) -> Value {
    let answer = site.upstream.query("call.get", &json!({"callId": call})).await;
    let attempts = answer["attempts"].as_array().unwrap_or_else(|| panic!("{answer}"));
    attempts.iter().find(|attempt| attempt["callId"] == call).unwrap()["recording"].clone()
}

async fn in_state(site: &Site, call: &str, state: &str) -> Value {
    let look = async {
        loop {
            let recording = recording(site, call).await;
            if recording["state"] == state {
                return recording;
            }
            assert!(state == "FAILED" || recording["state"] != "FAILED", "{recording}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(&format!("a recording that is {state}"), SOON, look).await
}

/// The file that a recording is kept in, which is as it is told to be.
fn kept_file(recording: &Value, content: &[u8]) -> PathBuf {
    let path = PathBuf::from(recording["location"].as_str().unwrap_or_else(|| panic!("{recording}")));
    assert_eq!(fs::read(&path).unwrap(), content);
    assert_eq!(sha256_of(&path), recording["sha256"].as_str().unwrap());
    assert_eq!(recording["bytes"], content.len());
    path
}

/// The files below a folder, whole or not.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn download(site: &Site, words: &[&str], folder: &Path) -> Command {
    let mut command = site.command(&[&["recording", "download"], words].concat());
    command.current_dir(folder);
    command
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}{complained}");
    said.trim().to_owned()
}

#[track_caller]
fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{command:?}");
    String::from_utf8(output.stderr).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_fetching_a_recording_is_a_reference_that_the_command_line_follows() {
    let (root, here, voice) = (folder("reference-root"), folder("reference-here"), Voice::start().await);
    let more = format!("[recordings]\nroot = {root:?}\n");
    let site = Site::start("reference", &Plan { more, ..Plan::default() }).await;
    let (task, calls) = calls(&site, 3).await;
    voice.sound("/1", &sound(300_000));
    fs::write(root.join("2.wav"), sound(1_000)).unwrap();
    report(&site, &calls[0], json!({"url": voice.url("/1"), "seconds": 3})).await;
    report(&site, &calls[1], json!({"path": "2.wav"})).await;
    assert_eq!(recording(&site, &calls[0]).await, json!({"url": voice.url("/1"), "seconds": 3}));
    let said = run(&mut download(&site, &[&calls[0]], &here));
    assert!(said.starts_with(&format!("{}.mp3: 300000 bytes", calls[0])), "{said}");
    assert_eq!(fs::read(here.join(format!("{}.mp3", calls[0]))).unwrap(), sound(300_000));
    let told: Value = serde_json::from_str(&run(&mut download(&site, &[&calls[1], "--json"], &here))).unwrap();
    assert_eq!(told["file"], format!("{}.wav", calls[1]));
    assert_eq!(told["sha256"], sha256_of(&root.join("2.wav")));
    let unrecorded = refusal(&mut download(&site, &[&calls[2]], &here));
    assert_eq!(unrecorded, "calltaskd: no recording of this call was reported");
    let unknown = refusal(&mut download(&site, &["7f9c24e8-3b1e-4d6a-9f0e-1c2d3e4f5a6b"], &here));
    assert!(unknown.starts_with("NOT_FOUND"), "{unknown}");
    let answer = site.upstream.query("call.get", &json!({"callId": calls[0]})).await;
    let out_id = answer["callee"]["outId"].as_str().unwrap();
    let output = here.join("named.mp3");
    let words = ["--task", &task, "--out-id", out_id, "--output", output.to_str().unwrap()];
    run(&mut download(&site, &words, &here));
    assert_eq!(fs::read(output).unwrap(), sound(300_000));
    voice.answer("/1", Answer::Moved(voice.url("/gone")));
    let gone = refusal(&mut download(&site, &[&calls[0], "--output", "gone.mp3"], &here));
    assert_eq!(gone, "calltaskd: the URL that was reported cannot be read from here: the server answered 404");
    assert_eq!(files(&here).len(), 3, "{:?}", files(&here));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_are_fetched_and_handed_out() {
    let (root, kept, here) = (folder("fetched-root"), folder("fetched-kept"), folder("fetched-here"));
    let voice = Voice::start().await;
    let more = format!("root = {root:?}\n{}", exports_section(&kept.join("exports")));
    let site = Site::start("fetched", &fetching(&voice, &kept.join("recordings"), &more)).await;
    let (task, calls) = calls(&site, 4).await;
    let long = sound(3 * MEBIBYTE + 1);
    voice.answer("/1.ogg", Answer::Sound(long.clone(), false));
    voice.answer("/moved", Answer::Moved(voice.url("/1.ogg")));
    fs::write(root.join("2.wav"), sound(1_000)).unwrap();
    let urls = [voice.url("/1.ogg"), voice.url("/moved"), voice.url("/late")];
    report(&site, &calls[0], json!({"url": urls[0], "seconds": 3})).await;
    report(&site, &calls[1], json!({"path": "2.wav"})).await;
    report(&site, &calls[2], json!({"url": urls[2]})).await;
    report(&site, &calls[3], json!({"url": urls[1]})).await;
    let first = in_state(&site, &calls[0], "STORED").await;
    assert_eq!((&first["url"], &first["seconds"]), (&json!(urls[0]), &json!(3)));
    assert!(kept_file(&first, &long).starts_with(kept.join("recordings").join(&task)));
    let second = kept_file(&in_state(&site, &calls[1], "STORED").await, &sound(1_000));
    kept_file(&in_state(&site, &calls[3], "STORED").await, &long);
    until("the first try", SOON, || (voice.asked("/late") > 0).then_some(())).await;
    assert_eq!(recording(&site, &calls[2]).await["state"], "PENDING");
    let early = refusal(&mut download(&site, &[&calls[2]], &here));
    assert!(early.contains("not fetched yet"), "{early}");
    voice.sound("/late", b"late");
    let waited: Value =
        serde_json::from_str(&run(&mut download(&site, &[&calls[2], "--wait", "--json"], &here))).unwrap();
    assert_eq!(waited["file"], format!("{}.mp3", calls[2]));
    assert_eq!(fs::read(here.join(format!("{}.mp3", calls[2]))).unwrap(), b"late");
    assert!(voice.asked("/late") >= 2);
    let body = json!({"taskId": task, "name": "all", "format": "CSV"});
    site.upstream.accept("export.create", &body).await;
    let export = site.ledger.first("export.ready", SOON, |event| event.kind() == "export.ready").await;
    let csv = fs::read_to_string(export.text("location")).unwrap();
    assert!(csv.contains(first["location"].as_str().unwrap()), "{csv}");
    fs::write(&second, "another").unwrap();
    let spoiled = refusal(&mut download(&site, &[&calls[1]], &here));
    assert!(spoiled.contains("SHA-256"), "{spoiled}");
    assert_eq!(files(&here).len(), 1, "{:?}", files(&here));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_fetched_fails_with_its_reason() {
    let (root, kept, here) = (folder("refused-root"), folder("refused-kept"), folder("refused-here"));
    let (voice, other) = (Voice::start().await, Voice::start().await);
    let plan = fetching(&voice, &kept, &format!("root = {root:?}\nmax_mebibytes = 1"));
    let site = Site::start("refused", &Plan { admin: "127.0.0.1:0", ..plan }).await;
    let (_, calls) = calls(&site, 6).await;
    let large = sound(MEBIBYTE + 1);
    voice.sound("/told", &large);
    voice.answer("/untold", Answer::Sound(large.clone(), false));
    voice.answer("/away", Answer::Moved(other.url("/x")));
    other.sound("/x", b"x");
    fs::write(here.join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(here.join("secret"), root.join("link.wav")).unwrap();
    let sources = [
        json!({"url": voice.url("/told")}),
        json!({"url": voice.url("/untold")}),
        json!({"url": voice.url("/away")}),
        json!({"url": other.url("/x")}),
        json!({"path": "link.wav"}),
        json!({"url": "file:///etc/passwd"}),
    ];
    for (call, source) in calls.iter().zip(sources) {
        report(&site, call, source).await;
    }
    let host = format!("the host {} is not among recordings.hosts", other.host());
    let large_reason = "it has more than 1048576 bytes (recordings.max_mebibytes)";
    let scheme = "the URL cannot be read: its scheme is file; only http and https are fetched";
    let reasons = [large_reason, large_reason, &host, &host, "the path leads out of recordings.root", scheme];
    for (call, reason) in calls.iter().zip(reasons) {
        let failed = in_state(&site, call, "FAILED").await;
        assert_eq!((failed["reason"].as_str(), failed.get("location")), (Some(reason), None), "{failed}");
    }
    assert_eq!((other.asked("/x"), files(&kept)), (0, Vec::new()));
    // Each is told of, and nobody is woken: senders name what they like.
    let told = || site.daemon.all_logged("a recording could not be fetched");
    let told = until("all to be told", SOON, || Some(told()).filter(|told| told.len() == 6)).await;
    assert!(told.iter().all(|line| line["level"] == "WARN"), "{told:?}");
    assert!(!site.daemon.has_logged("ALARM: a recording could not be fetched"));
    // The command line does not go where the daemon may not.
    let refused = refusal(&mut download(&site, &[&calls[3], "--output", "other"], &here));
    assert!(refused.starts_with(&format!("calltaskd: the recording could not be fetched: {host}; ")), "{refused}");
    assert_eq!((other.asked("/x"), here.join("other").exists()), (0, false));
    // Reported again, it is tried again.
    voice.sound("/told", b"short");
    report(&site, &calls[0], json!({"url": voice.url("/told")})).await;
    kept_file(&in_state(&site, &calls[0], "STORED").await, b"short");
    let operator = Operator::of(&site.daemon).await;
    until("six recordings to be counted as failed and one as kept", SOON, || {
        let scrape = operator.scrape();
        let counted = |outcome| scrape.sum("calltaskd_recordings_total", &[("outcome", outcome)]);
        ((counted("failed"), counted("kept")) == (6.0, 1.0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_goes_when_another_replaces_it_and_with_its_task() {
    let (kept, voice) = (folder("replaced-kept"), Voice::start().await);
    let site = Site::start("replaced", &fetching(&voice, &kept, "")).await;
    let (task, calls) = calls(&site, 2).await;
    voice.sound("/old", b"old");
    voice.sound("/new", b"new");
    voice.answer("/half", Answer::Half(sound(1_000)));
    report(&site, &calls[0], json!({"url": voice.url("/old")})).await;
    let old = kept_file(&in_state(&site, &calls[0], "STORED").await, b"old");
    report(&site, &calls[0], json!({"url": voice.url("/old"), "seconds": 4})).await;
    assert_eq!(recording(&site, &calls[0]).await["state"], "STORED", "the same again is not fetched again");
    report(&site, &calls[0], json!({"url": voice.url("/new")})).await;
    let new = kept_file(&in_state(&site, &calls[0], "STORED").await, b"new");
    until("the old one to go", SOON, || (!old.exists()).then_some(())).await;
    assert_eq!((new.exists(), voice.asked("/old")), (true, 1));
    // One that is being fetched when it is replaced does not come back.
    report(&site, &calls[1], json!({"url": voice.url("/half")})).await;
    until("the first half", SOON, || (voice.asked("/half") > 0).then_some(())).await;
    report(&site, &calls[1], json!({"url": voice.url("/new")})).await;
    kept_file(&in_state(&site, &calls[1], "STORED").await, b"new");
    assert_eq!(files(&kept).len(), 2, "{:?}", files(&kept));
    site.upstream.accept("task.delete", &json!({"taskId": task})).await;
    until("all to go", SOON, || files(&kept).is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_in_the_midst_of_fetching_has_a_successor_that_fetches_once() {
    let (kept, voice) = (folder("killed-kept"), Voice::start().await);
    let plan = fetching(&voice, &kept, "");
    let mut site = Site::start("killed", &plan).await;
    let (_, calls) = calls(&site, 1).await;
    let whole = sound(MEBIBYTE);
    voice.answer("/1.wav", Answer::Half(whole.clone()));
    report(&site, &calls[0], json!({"url": voice.url("/1.wav")})).await;
    until("the first half", SOON, || (voice.asked("/1.wav") > 0).then_some(())).await;
    site.daemon.kill();
    assert_eq!(files(&kept), Vec::<PathBuf>::new(), "what grows has no name");
    voice.sound("/1.wav", &whole);
    site.start_again(&plan).await;
    let file = kept_file(&in_state(&site, &calls[0], "STORED").await, &whole);
    assert_eq!((files(&kept), voice.asked("/1.wav")), (vec![file], 2));
    site.daemon.stop(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_go_into_a_bucket_and_come_back_by_the_command_line() {
    let (files, voice) = (folder("bucket-files"), Voice::start().await);
    let s3 = S3::start(&files).await;
    let plan = fetching(&voice, &files.join("aside"), &s3.keys());
    let site = Site::start("bucket", &plan).await;
    let (task, calls) = calls(&site, 1).await;
    let (long, other) = (sound(11 * MEBIBYTE), sound(10));
    for content in [&long, &other] {
        let path = format!("/{}.wav", content.len());
        voice.sound(&path, content);
        report(&site, &calls[0], json!({"url": voice.url(&path)})).await;
        let stored = in_state(&site, &calls[0], "STORED").await;
        let place = stored["location"].as_str().unwrap();
        let prefix = format!("s3://{}/some/where/{task}/{}-", S3::BUCKET, calls[0]);
        assert!(place.starts_with(&prefix) && place.ends_with("/1.wav"), "{stored}");
        run(&mut download(&site, &[&calls[0]], &files));
        assert_eq!(fs::read(files.join(format!("{}.wav", calls[0]))).unwrap(), *content);
    }
    until("the one that was replaced to go", SOON, || (s3.objects().len() == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_kept_until_it_expires_and_no_longer() {
    let (kept, voice) = (folder("expired-kept"), Voice::start().await);
    let start = SystemClock.now();
    let clock = Arc::new(ManualClock::at(start));
    let site = Site::on_clock("expired", &fetching(&voice, &kept, "keep_days = 2"), &clock).await;
    let (_, calls) = calls(&site, 2).await;
    voice.sound("/1", b"one");
    report(&site, &calls[0], json!({"url": voice.url("/1")})).await;
    let first = kept_file(&in_state(&site, &calls[0], "STORED").await, b"one");
    clock.set(start + TimeDelta::days(1));
    report(&site, &calls[1], json!({"url": voice.url("/1")})).await;
    let second = kept_file(&in_state(&site, &calls[1], "STORED").await, b"one");
    clock.set(start + TimeDelta::days(2) + TimeDelta::minutes(1));
    let expired = in_state(&site, &calls[0], "EXPIRED").await;
    assert_eq!((expired.get("location"), &expired["url"]), (None, &json!(voice.url("/1"))));
    until("the file to go", SOON, || (!first.exists()).then_some(())).await;
    assert!(second.exists());
}
