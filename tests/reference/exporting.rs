//! "Export records": a file with the completed calls of a task, and the states on the way to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::downstream::Event;
use crate::harness::export::{exports_section, sha256_of};
use crate::harness::orders::rows;
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::{Site, folder};
use crate::operator::run;

/// A completed task of four callees, of whom one was busy and one could not be dialled; and a folder for downloads.
async fn site(name: &str, exports: impl FnOnce(&Path) -> PathBuf) -> (Site, PathBuf) {
    let files = folder(&format!("{name}-files"));
    let force = vec![("1", "USER_BUSY"), ("2", "NOT_DIALLABLE")];
    let more = exports_section(&exports(&files));
    let site = Site::start(name, &Plan { force, more, ..Plan::default() }).await;
    site.put_line(5, 20).await;
    let task = site.create("exported", 5).await;
    site.import(&task, &rows(0..4)).await;
    site.ledger.completed(&task, SOON).await;
    (site, files)
}

fn inside(files: &Path) -> PathBuf {
    files.join("exports")
}

/// Orders an export of the completed calls; gives its id.
fn create(site: &Site, name: &str) -> String {
    let created = run(site, &["export", "create", "--task", "exported", "--name", name, "--json"]).json();
    created["exportId"].as_str().unwrap().to_owned()
}

async fn ready(site: &Site, id: &str) -> Value {
    let is_it = |event: &Event| event.kind() == "export.ready" && event.text("exportId") == id;
    site.ledger.first("export.ready", SOON, is_it).await.data().clone()
}

fn download(site: &Site, id: &str, output: &Path) -> crate::operator::Said {
    run(site, &["export", "download", id, "--output", output.to_str().unwrap()])
}

#[tokio::test]
async fn s46_the_records_of_the_completed_calls_are_exported() {
    let (site, _) = site("export", inside).await;
    let told = ready(&site, &create(&site, "completed")).await;
    let mut reader = csv::Reader::from_path(told["location"].as_str().unwrap()).unwrap();
    let lines: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    let records: Vec<_> =
        lines.iter().map(|line| ["outId", "state", "result"].map(|column| line[column].as_str())).collect();
    let expected = [("out-0", "ANSWERED"), ("out-1", "USER_BUSY"), ("out-3", "ANSWERED")]
        .map(|(id, result)| [id, "COMPLETED", result]);
    assert_eq!(records, expected, "and not what failed");
}

#[tokio::test]
async fn s47_an_export_has_a_name() {
    let (site, _) = site("export-name", inside).await;
    let nameless = json!({"taskName": "exported", "format": "CSV"});
    site.upstream.reject("export.create", &nameless, &["REQUIRED name"]).await;
    let id = create(&site, "Monday, all");
    assert_eq!(ready(&site, &id).await["name"], "Monday, all");
    let told = site.upstream.query("export.get", &json!({"exportId": id})).await;
    assert_eq!(told["export"]["name"], "Monday, all", "{told}");
}

#[tokio::test]
async fn s48_the_exports_of_a_task_can_be_viewed() {
    let (site, _) = site("export-list", inside).await;
    let ids = [create(&site, "first"), create(&site, "second")];
    for id in &ids {
        ready(&site, id).await;
    }
    let listed = run(&site, &["export", "list", "--task", "exported", "--json"]).json();
    let mut told: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| ["exportId", "name", "state"].map(|f| e[f].as_str().unwrap()))
        .collect();
    told.sort_by_key(|export| export[1]);
    assert_eq!(told, [[&*ids[0], "first", "SUCCEEDED"], [&*ids[1], "second", "SUCCEEDED"]]);
}

#[tokio::test]
async fn s49_an_export_can_be_downloaded() {
    let (site, files) = site("export-download", inside).await;
    let id = create(&site, "fetched");
    let told = ready(&site, &id).await;
    let output = files.join("fetched.csv");
    let downloaded = download(&site, &id, &output);
    assert_eq!(downloaded.code, Some(0), "{downloaded:?}");
    assert_eq!(sha256_of(&output), told["sha256"].as_str().unwrap());
    assert!(fs::read_to_string(&output).unwrap().contains(",out-1,"));
}

#[tokio::test]
async fn s50_the_state_of_a_new_export_is_initializing() {
    // Nothing can be written, so that the export stays what it is.
    let (site, _) = site("export-new", blocked).await;
    let words = ["export", "create", "--task", "exported", "--name", "new", "--json"];
    assert_eq!(run(&site, &words).json()["state"], "INITIALIZING");
}

#[tokio::test]
async fn s51_the_state_of_an_export_is_succeeded_within_about_ten_minutes() {
    let (site, _) = site("export-succeeded", inside).await;
    let id = create(&site, "soon");
    ready(&site, &id).await;
    let export = site.upstream.query("export.get", &json!({"exportId": id})).await["export"].take();
    assert_eq!(export["state"], "SUCCEEDED");
    let [created, finished] = ["createdAt", "finishedAt"].map(|field| instant(&export[field]));
    assert!(finished - created < TimeDelta::minutes(10), "{export}");
}

fn instant(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// A place below a file, where no folder can be.
fn blocked(files: &Path) -> PathBuf {
    fs::write(files.join("blocked"), b"").unwrap();
    files.join("blocked/exports")
}

#[tokio::test]
async fn s52_an_export_can_be_downloaded_when_it_has_succeeded() {
    let (site, files) = site("export-then", blocked).await;
    let id = create(&site, "then");
    let output = files.join("then.csv");
    download(&site, &id, &output).assert_refused("give --wait to wait until it is ready");
    assert!(!output.exists());
    fs::remove_file(files.join("blocked")).unwrap();
    ready(&site, &id).await;
    let downloaded = download(&site, &id, &output);
    assert_eq!(downloaded.code, Some(0), "{downloaded:?}");
    assert!(output.exists());
}
