//! A million callees: imported from one file by the command line, exported again, and exported through a crash.
//!
//! `CALLTASKD_TEST_MILLION` says how many; `make accept` makes it a million. What comes out is compared row by row with
//! what went in, and nothing here keeps more of it than a bit for each row.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use csv::StringRecord;
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use harness::daemon::peak_memory_kib;
use harness::downstream::Event;
use harness::export::{exports_section, sha256_of};
use harness::orders::number;
use harness::patience::LATER;
use harness::plan::Plan;
use harness::site::{Site, folder};
use serde_json::{Value, json};

/// What the daemon may use at its peak, for import and export together.
const MOST_MEMORY_KIB: u64 = 200 * 1024;
/// Exports that may be ready before the daemon is caught in the midst of one.
const MOST_TRIES: usize = 30;

fn million() -> usize {
    std::env::var("CALLTASKD_TEST_MILLION").map_or(5_000, |rows| rows.parse().unwrap())
}

/// What no spreadsheet, separator or line end may spoil, and now and then nothing.
fn variables(index: usize) -> [String; 2] {
    let note = match index % 13 {
        0 => String::new(),
        1 => format!("=1+{index}"),
        2 => format!("two\nlines; {index}"),
        _ => format!("note {index}"),
    };
    [format!("Zoë \"{index}\", Ltd"), note]
}

fn write_callees(path: &Path, callees: usize) {
    let mut file = csv::Writer::from_path(path).unwrap();
    file.write_record(["calledNumber", "outId", "name", "note"]).unwrap();
    for index in 0..callees {
        let [name, note] = variables(index);
        file.write_record([number(index), format!("out-{index}"), name, note]).unwrap();
    }
    file.flush().unwrap();
}

/// Fails unless the file has each callee once, as it was imported, and nothing else.
fn assert_same_callees(path: &Path, callees: usize) {
    let mut file = csv::Reader::from_path(path).unwrap();
    let names = file.headers().unwrap().clone();
    let place = |name: &str| names.iter().position(|column| column == name).unwrap();
    let places = ["calledNumber", "outId", "variable.name", "variable.note"].map(place);
    let mut seen = vec![0_u64; callees.div_ceil(64)];
    let (mut row, mut rows) = (StringRecord::new(), 0);
    while file.read_record(&mut row).unwrap() {
        let [called, out_id, name, note] = places.map(|place| &row[place]);
        let index: usize = out_id.strip_prefix("out-").unwrap().parse().unwrap();
        let [expected_name, expected_note] = variables(index);
        // A text that a spreadsheet would compute has a mark before it.
        let mark = if expected_note.starts_with('=') { "'" } else { "" };
        assert_eq!((called, name, note), (&*number(index), &*expected_name, &*format!("{mark}{expected_note}")));
        let (word, bit) = (&mut seen[index / 64], 1 << (index % 64));
        assert!(*word & bit == 0, "{out_id} is there twice");
        *word |= bit;
        rows += 1;
    }
    assert_eq!(rows, callees);
}

/// Imports the file by the command line; gives the most memory that took.
async fn import(site: &Site, file: &Path, task: &str) -> u64 {
    let mut command = site.command(&["import", file.to_str().unwrap(), "--task", task, "--json"]);
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    let output = child.stdout.take().unwrap();
    let lines = tokio::task::spawn_blocking(move || std::io::read_to_string(output).unwrap());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak_memory_kib(child.id()).unwrap_or(peak);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(child.wait().unwrap().success());
    let lines = lines.await.unwrap();
    let totals: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(totals["totals"], json!({"accepted": million(), "duplicates": 0, "rejected": 0}));
    peak
}

async fn create(site: &Site, task: &str) -> String {
    let body = json!({"taskId": task, "name": "all", "format": "CSV", "status": "ALL"});
    site.upstream.accept("export.create", &body).await["exportId"].as_str().unwrap().to_owned()
}

fn tells_of(event: &Event, id: &str) -> bool {
    event.kind() == "export.ready" && event.text("exportId") == id
}

/// The finished file, which is what its event says.
async fn ready(site: &Site, id: &str) -> PathBuf {
    let patience = LATER + Duration::from_millis(million() as u64);
    let event = site.ledger.first("export.ready", patience, |event| tells_of(event, id)).await;
    let path = PathBuf::from(event.text("location"));
    assert_eq!(event.data()["rows"], million());
    assert_eq!(path.metadata().unwrap().len(), event.data()["bytes"].as_u64().unwrap());
    assert_eq!(sha256_of(&path), event.text("sha256"));
    path
}

/// How long the file is that a daemon writes in this folder; it has no name yet.
fn unfinished(daemon: u32, files: &Path) -> Option<u64> {
    let open = std::fs::read_dir(format!("/proc/{daemon}/fd")).ok()?;
    let mut paths = open.filter_map(|entry| Some(entry.ok()?.path()));
    let is_it = |target: PathBuf| target.starts_with(files) && target.to_string_lossy().ends_with("(deleted)");
    let path = paths.find(|path| std::fs::read_link(path).is_ok_and(is_it))?;
    Some(path.metadata().ok()?.len())
}

#[derive(QueryableByName)]
struct State {
    #[diesel(sql_type = Text)]
    state: String,
}

async fn state(connection: &mut AsyncPgConnection, id: &str) -> String {
    use diesel_async::RunQueryDsl;
    let query = diesel::sql_query("SELECT state FROM exports WHERE export_id::text = $1").bind::<Text, _>(id);
    query.get_result::<State>(connection).await.unwrap().state
}

/// Orders exports until the daemon is killed in the midst of one; gives that one.
async fn kill_in_the_midst(site: &mut Site, task: &str, (files, bytes): (&Path, u64)) -> String {
    let mut connection = AsyncPgConnection::establish(&site.place().database_url).await.unwrap();
    let daemon = site.daemon.id();
    for _ in 0..MOST_TRIES {
        let id = create(site, task).await;
        while unfinished(daemon, files).is_none_or(|written| written <= bytes / 5) {
            if site.ledger.events().iter().any(|event| tells_of(event, &id)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // It stands still while it is looked at.
        site.daemon.suspend();
        let state = state(&mut connection, &id).await;
        let written = unfinished(daemon, files).unwrap_or(0);
        if state == "RUNNING" && written > 0 && written < bytes {
            println!("killed when {written} of {bytes} bytes were written");
            site.daemon.kill();
            return id;
        }
        site.daemon.resume();
    }
    panic!("{MOST_TRIES} exports were ready before the daemon was caught in one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_callees_go_in_and_come_out_again_also_through_a_crash() {
    let (files, callees) = (folder("files"), million());
    let plan = Plan { more: exports_section(&files), ..Plan::default() };
    let mut site = Site::start("million", &plan).await;
    site.put_mute_line().await;
    let task = site.create("million", 10).await;
    let file = files.join("callees.csv");
    write_callees(&file, callees);
    let importer = import(&site, &file, &task).await;
    let first = ready(&site, &create(&site, &task).await).await;
    let peak = site.daemon.peak_memory_kib();
    println!("{callees} callees in and out: the daemon's peak is {peak} KiB, that of the import {importer} KiB");
    assert!(peak < MOST_MEMORY_KIB, "{peak} KiB");
    assert_same_callees(&first, callees);

    let bytes = first.metadata().unwrap().len();
    let id = kill_in_the_midst(&mut site, &task, (&files, bytes)).await;
    site.start_again(&plan).await;
    let second = ready(&site, &id).await;
    let name = second.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(name.starts_with("2-"), "{name} is not of a second run");
    assert_same_callees(&second, callees);
    let peak = site.daemon.peak_memory_kib();
    println!("the export again after the crash: the daemon's peak is {peak} KiB");
    assert!(peak < MOST_MEMORY_KIB, "{peak} KiB");
    // Kept between runs, but for what is large.
    std::fs::remove_dir_all(&files).unwrap();
}
