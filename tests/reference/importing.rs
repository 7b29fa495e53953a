//! "Import callee data": the states after it, the template, and the upload.

use std::collections::BTreeSet;
use std::path::Path;

use calamine::{Data, Reader, Xlsx, open_workbook};
use rust_xlsxwriter::Workbook;
use serde_json::{Value, json};

use crate::harness::orders::{self, number, rows, with};
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::{Site, folder};
use crate::operator::{csv, run};

/// A call of an hour: the task cannot be through before it is looked at.
#[tokio::test]
async fn s22_the_state_is_running_after_the_import_of_an_immediate_task() {
    let files = folder("import-immediate-files");
    let site = Site::start("import-immediate", &Plan::lasting(3_600_000)).await;
    site.put_line(5, 5).await;
    let task = site.create_as(&with(orders::task("now", 5), "startMode", json!("IMMEDIATE"))).await;
    let imported = run(&site, &["import", &csv(&files, &["calledNumber", &number(1)]), "--task", "now"]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert_eq!(run(&site, &["task", "show", "now", "--json"]).json()["task"]["state"], "RUNNING");
    assert!(site.ledger.about("task.stopped", &task).is_empty());
}

#[tokio::test]
async fn s23_the_state_is_stopped_after_the_import_of_a_scheduled_task() {
    let site = Site::start("import-scheduled", &Plan::default()).await;
    site.put_line(5, 5).await;
    let task = site.create_as(&next_century("later")).await;
    site.import(&task, &rows(0..2)).await;
    assert_eq!(site.task(&task).await["state"], "STOPPED");
    let stopped = site.ledger.first("task.stopped", SOON, |event| event.tells("task.stopped", &task)).await;
    assert_eq!(stopped.text("previousState"), "INITIALIZING");
    // What comes later changes nothing.
    site.import(&task, &rows(2..4)).await;
    assert_eq!(site.task(&task).await["state"], "STOPPED");
    assert!(site.record().calls.is_empty());
}

/// A task that does not start by itself.
pub fn next_century(name: &str) -> Value {
    let body = with(orders::task(name, 5), "startMode", json!("SCHEDULED"));
    with(body, "startAt", json!("2099-01-01T00:00:00Z"))
}

#[tokio::test]
async fn s24_callees_are_imported_into_a_task_that_was_created() {
    let files = folder("import-after-files");
    let site = Site::start("import-after", &Plan::default()).await;
    site.put_line(5, 20).await;
    let file = csv(&files, &["calledNumber", &number(1), &number(2)]);
    let words = ["import", &file, "--task", "Monday"];
    run(&site, &words).assert_refused("NOT_FOUND");
    let task = site.create("Monday", 5).await;
    let imported = run(&site, &words);
    assert!(
        imported.code == Some(0) && imported.out.ends_with("2 rows: 2 accepted, 0 duplicates, 0 rejected"),
        "{imported:?}"
    );
    site.ledger.completed(&task, SOON).await;
}

/// The rows of the first sheet, as texts.
fn sheet(path: &str) -> Vec<Vec<String>> {
    let mut workbook: Xlsx<_> = open_workbook(path).unwrap();
    let range = workbook.worksheet_range_at(0).unwrap().unwrap();
    range.rows().map(|row| row.iter().map(Data::to_string).collect()).collect()
}

/// The template as its owner saves it, with rows below its first one.
fn complete(template: &str, completed: &Path, rows: &[&[&str]]) {
    let mut workbook = Workbook::new();
    let below = rows.iter().map(|row| row.iter().map(ToString::to_string).collect());
    let worksheet = workbook.add_worksheet();
    for (row, cells) in (0..).zip(sheet(template).into_iter().chain(below)) {
        for (column, cell) in (0..).zip::<Vec<String>>(cells) {
            worksheet.write_string(row, column, cell).unwrap();
        }
    }
    workbook.save(completed).unwrap();
}

/// A site with an agent that wants a variable, a task for it, and a template for its callees.
async fn with_template(name: &str) -> (Site, String, String) {
    let files = folder(&format!("{name}-files"));
    let site = Site::start(name, &Plan::default()).await;
    site.put_line(5, 20).await;
    let agent = with(orders::agent(orders::AGENT), "variables", json!([{"key": "firstName", "required": true}]));
    site.upstream.accept("agent.put", &agent).await;
    let task = site.create("templated", 5).await;
    let template = files.join("template.xlsx").to_str().unwrap().to_owned();
    let downloaded = run(&site, &["template", &template, "--agent", orders::AGENT]);
    assert_eq!(downloaded.code, Some(0), "{downloaded:?}");
    (site, task, template)
}

#[tokio::test]
async fn s25_the_template_can_be_downloaded() {
    let (_site, _, template) = with_template("template").await;
    assert_eq!(sheet(&template), [["calledNumber", "outId", "firstName"]]);
}

#[tokio::test]
async fn s26_the_completed_template_can_be_uploaded() {
    let (site, task, template) = with_template("completed").await;
    let completed = Path::new(&template).with_file_name("completed.xlsx");
    complete(&template, &completed, &[&[&number(1), "a-1", "Ada"], &[&number(2), "a-2", "Ben"]]);
    let receipt = run(&site, &["import", completed.to_str().unwrap(), "--task", &task]);
    assert!(receipt.code == Some(0) && receipt.out.contains("2 accepted"), "{receipt:?}");
    site.ledger.completed(&task, SOON).await;
    let ended = site.ledger.about("call.ended", &task);
    let told: BTreeSet<_> =
        ended.iter().map(|e| (e.text("calledNumber"), e.text("outId"), e.data()["variables"].to_string())).collect();
    let (ada, ben) = (r#"{"firstName":"Ada"}"#.to_owned(), r#"{"firstName":"Ben"}"#.to_owned());
    assert_eq!(told, BTreeSet::from([(&*number(1), "a-1", ada), (&*number(2), "a-2", ben)]));
}

#[tokio::test]
async fn s27_the_called_numbers_stand_in_the_column_called_number() {
    let (site, task, template) = with_template("column").await;
    assert_eq!(sheet(&template)[0][0], "calledNumber");
    let folder = Path::new(&template).parent().unwrap();
    // The same rows, with the column by another name.
    let other = csv(folder, &["number,firstName", &format!("{},Ada", number(1))]);
    run(&site, &["import", &other, "--task", &task]).assert_refused("calledNumber");
    assert_eq!(site.task(&task).await["state"], "INITIALIZING");
    let named = csv(folder, &["firstName,calledNumber", &format!("Ada,{}", number(1))]);
    assert_eq!(run(&site, &["import", &named, "--task", &task]).code, Some(0));
    site.ledger.completed(&task, SOON).await;
    let called: Vec<String> = site.record().calls.into_iter().map(|call| call.called).collect();
    assert_eq!(called, [number(1)]);
}

#[tokio::test]
async fn s28_confirming_imports_the_callees() {
    let files = folder("confirm-files");
    let site = Site::start("confirm", &Plan::default()).await;
    site.put_line(5, 20).await;
    let task = site.create_as(&next_century("confirmed")).await;
    let file = csv(&files, &["calledNumber", &number(1), &number(2), &number(3)]);
    // A look at the file, without the confirmation.
    let looked = run(&site, &["import", &file, "--task", "confirmed", "--dry-run"]);
    assert_eq!(looked.code, Some(0), "{looked:?}");
    assert_eq!(site.task(&task).await["counts"]["pending"], 0);
    assert_eq!(run(&site, &["import", &file, "--task", "confirmed"]).code, Some(0));
    let imported = site.ledger.first("the import", SOON, |event| event.tells("callees.imported", &task)).await;
    assert_eq!((&imported.data()["accepted"], &imported.data()["rejected"]), (&json!(3), &json!([])));
    let listed = site.upstream.query("callees.list", &json!({"taskId": task, "tab": "PENDING"})).await;
    let numbers: Vec<&Value> =
        listed["items"].as_array().unwrap().iter().map(|callee| &callee["calledNumber"]).collect();
    assert_eq!(numbers, [&json!(number(1)), &json!(number(2)), &json!(number(3))]);
}
