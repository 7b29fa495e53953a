//! "Export records": a file with the completed calls of a task, and the states on the way to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::harness::downstream::Event;
use crate::harness::export::{exports_section, sha256_of};
use crate::harness::orders::rows;
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::{Site, folder};
use crate::harness::upstream::Reply;
use crate::operator::{Said, run};

/// A daemon with a completed task of four callees, of whom one was busy and one could not be dialled.
async fn site(name: &str, exports: &Path) -> Site {
    let force = vec![("1", "USER_BUSY"), ("2", "NOT_DIALLABLE")];
    let site = Site::start(name, &Plan { force, more: exports_section(exports), ..Plan::default() }).await;
    site.put_line(5, 20).await;
    let task = site.create("exported", 5).await;
    site.import(&task, &rows(0..4)).await;
    site.ledger.completed(&task, SOON).await;
    site
}

/// All that there is to see of an export that has succeeded, and of a second one in the list.
struct Exported {
    nameless: Reply,
    created: Value,
    ready: Value,
    got: Value,
    listed: Value,
    downloaded: Said,
    file: PathBuf,
}

/// Looked at once for all tests that ask.
async fn exported() -> &'static Exported {
    static EXPORTED: OnceCell<Exported> = OnceCell::const_new();
    EXPORTED.get_or_init(look_at_an_export).await
}

async fn look_at_an_export() -> Exported {
    let files = folder("export-files");
    let site = site("export", &files.join("exports")).await;
    let body = json!({"taskName": "exported", "format": "CSV"});
    let nameless = site.upstream.command("export.create", &body).await;
    let (created, second) = (create(&site, "Monday, all"), create(&site, "second"));
    let id = created["exportId"].as_str().unwrap();
    let ready = ready(&site, id).await;
    self::ready(&site, second["exportId"].as_str().unwrap()).await;
    let got = site.upstream.query("export.get", &json!({"exportId": id})).await["export"].take();
    let listed = run(&site, &["export", "list", "--task", "exported", "--json"]).json();
    let file = files.join("fetched.csv");
    let downloaded = download(&site, id, &file);
    Exported { nameless, created, ready, got, listed, downloaded, file }
}

/// Orders an export of the completed calls.
fn create(site: &Site, name: &str) -> Value {
    run(site, &["export", "create", "--task", "exported", "--name", name, "--json"]).json()
}

async fn ready(site: &Site, id: &str) -> Value {
    let is_it = |event: &Event| event.kind() == "export.ready" && event.text("exportId") == id;
    site.ledger.first("export.ready", SOON, is_it).await.data().clone()
}

fn download(site: &Site, id: &str, output: &Path) -> Said {
    run(site, &["export", "download", id, "--output", output.to_str().unwrap()])
}

#[tokio::test]
async fn s46_the_records_of_the_completed_calls_are_exported() {
    let location = exported().await.ready["location"].as_str().unwrap();
    let mut reader = csv::Reader::from_path(location).unwrap();
    let lines: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    let record = |line: &BTreeMap<String, String>| ["outId", "state", "result"].map(|column| line[column].clone());
    let expected = [("out-0", "ANSWERED"), ("out-1", "USER_BUSY"), ("out-3", "ANSWERED")];
    let expected = expected.map(|(id, result)| [id, "COMPLETED", result]);
    assert_eq!(lines.iter().map(record).collect::<Vec<_>>(), expected, "and not what failed");
}

#[tokio::test]
async fn s47_an_export_has_a_name() {
    let Exported { nameless, ready, got, .. } = exported().await;
    nameless.assert_errors(&["REQUIRED name"]);
    assert_eq!((&ready["name"], &got["name"]), (&json!("Monday, all"), &json!("Monday, all")));
}

#[tokio::test]
async fn s48_the_exports_of_a_task_can_be_viewed() {
    let listed = exported().await.listed["items"].as_array().unwrap();
    let mut told: Vec<_> = listed.iter().map(|e| ["name", "state"].map(|field| e[field].as_str().unwrap())).collect();
    told.sort_unstable();
    assert_eq!(told, [["Monday, all", "SUCCEEDED"], ["second", "SUCCEEDED"]]);
}

#[tokio::test]
async fn s49_an_export_can_be_downloaded() {
    let Exported { downloaded, file, ready, .. } = exported().await;
    assert_eq!(downloaded.code, Some(0), "{downloaded:?}");
    assert_eq!(sha256_of(file), ready["sha256"].as_str().unwrap());
    assert!(fs::read_to_string(file).unwrap().contains(",out-1,"));
}

#[tokio::test]
async fn s50_the_state_of_a_new_export_is_initializing() {
    assert_eq!(exported().await.created["state"], "INITIALIZING");
}

#[tokio::test]
async fn s51_the_state_of_an_export_is_succeeded_within_about_ten_minutes() {
    let got = &exported().await.got;
    assert_eq!(got["state"], "SUCCEEDED");
    let [created, finished] =
        ["createdAt", "finishedAt"].map(|field| got[field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap());
    assert!(finished - created < TimeDelta::minutes(10), "{got}");
}

/// Exports go below a file at first, where no folder can be.
#[tokio::test]
async fn s52_an_export_can_be_downloaded_when_it_has_succeeded() {
    let files = folder("export-then-files");
    fs::write(files.join("blocked"), b"").unwrap();
    let site = site("export-then", &files.join("blocked/exports")).await;
    let created = create(&site, "then");
    let (id, file) = (created["exportId"].as_str().unwrap(), files.join("then.csv"));
    download(&site, id, &file).assert_refused("give --wait to wait until it is ready");
    assert!(!file.exists());
    fs::remove_file(files.join("blocked")).unwrap();
    ready(&site, id).await;
    let downloaded = download(&site, id, &file);
    assert!(downloaded.code == Some(0) && file.exists(), "{downloaded:?}");
}
