//! Exports as they are used: large ones, through a crash, into a bucket, and by the command line.
//!
//! CALLTASKD_TEST_EXPORT_ROWS says how large a large one is; `make accept` makes it a million.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use calltaskd::clock::{Clock, ManualClock, SystemClock};
use chrono::TimeDelta;
use harness::downstream::Event;
use harness::export::{S3, exports_section, python, sha256_of};
use harness::orders::rows;
use harness::patience::{LATER, SOON, until};
use harness::plan::Plan;
use harness::site::{Site, folder};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Exports of the crash: the daemon is killed in the midst of them.
const EXPORTS: usize = 12;

/// What the daemon may use at its peak, however large the export is.
const MOST_MEMORY_KIB: u64 = 200 * 1024;

fn large() -> usize {
    std::env::var("CALLTASKD_TEST_EXPORT_ROWS").map_or(3_000, |rows| rows.parse().unwrap())
}

/// A task with so many callees that is never called: the daemon has nothing to do but to export.
async fn site_with(name: &str, section: String, callees: usize) -> (Site, String) {
    let site = Site::start(name, &Plan { more: section, ..Plan::default() }).await;
    site.put_mute_line().await;
    let task = site.create("exported", 10).await;
    for from in (0..callees).step_by(5_000) {
        let mut rows = rows(from..callees.min(from + 5_000));
        rows.iter_mut().for_each(|row| row["variables"] = json!({"name": "=1+1", "note": "-"}));
        site.import(&task, &rows).await;
    }
    (site, task)
}

async fn create(site: &Site, task: &str, format: &str) -> String {
    let body = json!({"taskId": task, "name": "all", "format": format, "status": "ALL"});
    site.upstream.accept("export.create", &body).await["exportId"].as_str().unwrap().to_owned()
}

async fn ready(site: &Site, id: &str) -> Value {
    let is_it = |event: &Event| event.kind() == "export.ready" && event.text("exportId") == id;
    let patience = 2 * LATER + Duration::from_millis(large() as u64);
    site.ledger.first("export.ready", patience, is_it).await.data().clone()
}

fn location(ready: &Value) -> PathBuf {
    let path = PathBuf::from(ready["location"].as_str().unwrap());
    assert_eq!(sha256_of(&path), ready["sha256"].as_str().unwrap(), "{ready}");
    assert_eq!(path.metadata().unwrap().len(), ready["bytes"].as_u64().unwrap());
    path
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}{complained}");
    said.trim().to_owned()
}

fn script(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(name));
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_export_is_the_same_in_both_formats_and_needs_little_memory() {
    let files = folder("large-files");
    let callees = large();
    let (mut site, task) = site_with("large", exports_section(&files), callees).await;
    let (csv, xlsx) = (create(&site, &task, "CSV").await, create(&site, &task, "XLSX").await);
    let (csv, xlsx) = (ready(&site, &csv).await, ready(&site, &xlsx).await);
    let peak = site.daemon.peak_memory_kib();
    println!("{callees} callees: the daemon's peak is {peak} KiB");
    assert!(peak < MOST_MEMORY_KIB, "{peak} KiB");
    assert_eq!((&csv["rows"], &xlsx["rows"]), (&json!(callees), &json!(callees)));
    let compared = run(script("compare_export.py").args([location(&xlsx), location(&csv)]));
    assert_eq!(compared, callees.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_in_the_midst_of_exports_costs_none_of_them() {
    let files = folder("killed-files");
    let (mut site, task) = site_with("killed", exports_section(&files), 3_000).await;
    let mut ids = HashSet::new();
    for number in 0..EXPORTS {
        ids.insert(create(&site, &task, if number % 2 == 0 { "CSV" } else { "XLSX" }).await);
    }
    site.ledger.first("an export", SOON, |event| event.kind() == "export.ready").await;
    site.daemon.kill();
    let before = site.ledger.events().iter().filter(|event| event.kind() == "export.ready").count();
    println!("killed after {before} of {EXPORTS} exports");
    assert!(before < EXPORTS, "it was killed too late");
    site.start_again(&Plan { more: exports_section(&files), ..Plan::default() }).await;
    for id in &ids {
        location(&ready(&site, id).await);
    }
    site.daemon.stop(SOON).await;
    site.ledger.settle().await;
    let mut told: BTreeMap<String, HashSet<Vec<u8>>> = BTreeMap::new();
    let events = site.ledger.events();
    for event in events.iter().filter(|event| event.kind().starts_with("export.")) {
        assert_eq!(event.kind(), "export.ready", "{}", event.json);
        told.entry(event.text("exportId").to_owned()).or_default().insert(event.body.clone());
    }
    assert_eq!(told.keys().cloned().collect::<HashSet<_>>(), ids);
    assert!(told.values().all(|bodies| bodies.len() == 1), "an export was told of in two ways");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_goes_into_a_bucket_and_comes_back_by_the_command_line() {
    let files = folder("bucket-files");
    let s3 = S3::start(&files).await;
    let (site, task) = site_with("bucket", s3.section(&files), large()).await;
    let id = create(&site, &task, "CSV").await;
    let told = ready(&site, &id).await;
    let place = told["location"].as_str().unwrap();
    assert!(place.starts_with(&format!("s3://{}/some/where/{id}/", S3::BUCKET)), "{told}");
    let output = files.join("fetched.csv");
    let words = ["export", "download", &id, "--json", "--output", output.to_str().unwrap()];
    let fetched: Value = serde_json::from_str(&run(&mut site.command(&words))).unwrap();
    assert_eq!(fetched["export"]["sha256"], told["sha256"]);
    assert_eq!(sha256_of(&output), told["sha256"].as_str().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_kept_until_it_expires_and_no_longer() {
    let files = folder("expired-files");
    let (mut site, task) = site_with("expired", exports_section(&files), 10).await;
    let id = create(&site, &task, "CSV").await;
    let file = location(&ready(&site, &id).await);
    site.daemon.stop(SOON).await;
    let settings = calltaskd::settings::load(Some(&site.settings()), []).unwrap();
    let today = SystemClock.now();
    // A daemon's first round comes before its first answer to a question that is asked after a while.
    for (days, is_there) in [(6, true), (8, false)] {
        let clock = Arc::new(ManualClock::at(today + TimeDelta::days(days)));
        let stop = CancellationToken::new();
        let (settings, token) = (settings.clone(), stop.clone());
        let daemon = tokio::spawn(async move { calltaskd::daemon::run_inside(&settings, clock, token).await });
        let asked = site.upstream.query("export.get", &json!({"exportId": id})).await;
        if !is_there {
            until("the file to be removed", SOON, || (!file.exists()).then_some(())).await;
        } else {
            assert_eq!(asked["status"], "OK", "{asked}");
        }
        stop.cancel();
        assert!(daemon.await.unwrap().unwrap());
        assert_eq!(file.exists(), is_there, "after {days} days");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_filled_in_imported_and_exported_as_it_was() {
    let files = folder("template-files");
    let (site, task) = site_with("template", exports_section(&files), 0).await;
    let workbook = files.join("callees.xlsx");
    let file = workbook.to_str().unwrap();
    let variables = ["--variable", "firstName:required", "--variable", "time"];
    run(site.command(&["template", file]).args(variables));
    run(script("fill_template.py").arg(file));
    let checked = site.command(&["import", file, "--task", &task, "--dry-run", "--json"]).output().unwrap();
    assert_eq!(checked.status.code(), Some(1), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(site.task(&task).await["state"], "INITIALIZING", "a rehearsal imports nobody");
    let errors = std::fs::read_to_string(files.join("callees.xlsx.errors.csv")).unwrap();
    let lines: Vec<_> = errors.lines().collect();
    assert_eq!(lines[0], "calledNumber,outId,firstName,time,line,code,message");
    assert!(lines[1].starts_with("15123450002,13912345678,Ben,,3,NUMBER_INVALID,"), "{errors}");
    assert_eq!(lines.len(), 2, "{errors}");
    let imported = run(&mut site.command(&["import", file, "--task", &task]));
    assert!(imported.ends_with("4 rows: 3 accepted, 0 duplicates, 1 rejected"), "{imported}");
    let csv = ready(&site, &create(&site, &task, "CSV").await).await;
    let text = std::fs::read_to_string(location(&csv)).unwrap();
    assert!(text.contains(",a-1,") && text.contains(",Ada,09:30") && text.contains(",'=1+1,12.5"), "{text}");
    let xlsx = location(&ready(&site, &create(&site, &task, "XLSX").await).await);
    let equal = run(script("compare_round_trip.py").args([workbook.as_path(), &xlsx]).arg("15123450002"));
    assert_eq!(equal, "3");
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(Command::new(env!("CARGO_BIN_EXE_calltaskd")).args(["completions", shell]));
        assert!(script.contains("calltaskd") && script.contains("export"), "{shell}");
    }
}
