//! `task.get` and `task.list`.

use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};

use crate::harness::orders::{self, rows, with};
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::Site;
use crate::harness::upstream::Request;

#[tokio::test]
async fn a_task_tells_every_field_of_its_creation_and_what_became_of_it() {
    let results = vec![("0001", "USER_BUSY"), ("0002", "NOT_DIALLABLE"), ("0003", "INVALID_NUMBER")];
    let site = Site::start("get-whole", &Plan { force: results, ..Plan::default() }).await;
    site.put_line(10, 50).await;
    let body = with(orders::task("whole", 7), "timeZone", json!("Europe/Berlin"));
    let body = with(with(body, "ringTimeoutSeconds", json!(30)), "maxTalkSeconds", json!(600));
    let redial = json!({"reasons": ["SUSPEND", "CALL_REJECTED"], "times": 2, "intervalMinutes": 720});
    let body = with(with(body, "redial", redial), "startMode", json!("SCHEDULED"));
    let body = with(body, "startAt", json!("2026-01-01T09:00:00.000Z"));
    let task = site.upstream.accept("task.create", &body).await["taskId"].as_str().unwrap().to_owned();
    site.import(&task, &rows(0..6)).await;
    site.ledger.completed(&task, SOON).await;
    let told = site.task(&task).await;
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(told[field], *value, "{field}");
    }
    assert_eq!((&told["taskId"], &told["state"]), (&json!(task), &json!("COMPLETED")));
    assert_eq!(told["counts"], json!({"pending": 0, "calling": 0, "completed": 5, "failed": 1}));
    let results = &told["results"];
    let counted = (&results["ANSWERED"], &results["USER_BUSY"], &results["INVALID_NUMBER"]);
    assert_eq!(counted, (&json!(3), &json!(1), &json!(1)), "{results}");
    let instants = ["createdAt", "startedAt", "completedAt"].map(|field| told[field].as_str().unwrap());
    assert!(instants.is_sorted(), "{instants:?}");
    assert!(instants.iter().all(|at| at.len() == 24 && at.ends_with('Z')), "{instants:?}");
    let by_name = site.upstream.query("task.get", &json!({"taskName": "whole"})).await;
    assert_eq!(by_name["task"], told);
}

#[tokio::test]
async fn what_a_task_leaves_out_has_its_default() {
    let site = Site::start("get-defaults", &Plan::default()).await;
    site.put_line(10, 50).await;
    let task = site.create("plain", 7).await;
    let told = site.task(&task).await;
    assert_eq!(told["timeZone"], "UTC");
    assert_eq!((&told["ringTimeoutSeconds"], &told["maxTalkSeconds"]), (&json!(45), &json!(1800)));
    assert_eq!(told["counts"], json!({"pending": 0, "calling": 0, "completed": 0, "failed": 0}));
    for absent in ["reason", "startedAt", "completedAt", "redial", "startAt"] {
        assert_eq!(told.get(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn a_question_can_be_about_nothing_or_wrong() {
    let site = Site::start("get-wrong", &Plan::default()).await;
    let ask = async |name: &str, body: Value| site.upstream.query(name, &body).await;
    let unknown = ask("task.get", json!({"taskName": "nobody's"})).await;
    assert_eq!(unknown["status"], "NOT_FOUND", "{unknown}");
    for (name, body, code) in [
        ("task.get", json!({}), "REQUIRED"),
        ("task.get", json!({"taskId": 1}), "WRONG_TYPE"),
        ("task.list", json!({"limit": 1_001}), "OUT_OF_RANGE"),
        ("task.list", json!({"state": "ASLEEP"}), "INVALID_VALUE"),
        ("task.list", json!({"after": "somewhere"}), "INVALID_VALUE"),
        ("task.list", json!({"odd": 1}), "UNKNOWN_FIELD"),
    ] {
        let answer = ask(name, body).await;
        assert_eq!((&answer["status"], &answer["errors"][0]["code"]), (&json!("REJECTED"), &json!(code)), "{answer}");
    }
}

#[tokio::test]
async fn a_list_comes_in_pages_that_miss_nothing() {
    let site = Site::start("list-pages", &Plan::default()).await;
    site.put_mute_line().await;
    let mut tasks = Vec::new();
    for number in 0..7 {
        tasks.push(site.create(&format!("page {number}"), 1).await);
    }
    site.import(&tasks[3], &rows(0..1)).await;
    let mut listed = Vec::new();
    let mut question = json!({"limit": 3});
    loop {
        let page = site.upstream.query("task.list", &question).await;
        assert_eq!(page["status"], "OK", "{page}");
        listed.extend(ids(&page));
        match page.get("next") {
            Some(next) => question["after"] = next.clone(),
            None => break,
        }
        assert_eq!(listed.len() % 3, 0, "only the last page may be short");
    }
    listed.sort_unstable();
    tasks.sort_unstable();
    assert_eq!(listed, tasks);
    let failed = site.upstream.query("task.list", &json!({"state": "START_FAILED"})).await;
    assert_eq!(failed["items"][0]["name"], "page 3", "{failed}");
    assert_eq!((ids(&failed).len(), failed.get("next")), (1, None));
    let named = site.upstream.query("task.list", &json!({"name": "page 5"})).await;
    assert_eq!((ids(&named).len(), &named["items"][0]["name"]), (1, &json!("page 5")), "{named}");
}

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item["taskId"].as_str().unwrap().to_owned()).collect()
}

/// Whatever keeps the daemon from answering, it says so, and the next question is answered.
#[tokio::test]
async fn a_question_that_fails_twice_hears_so() {
    let site = Site::start("get-failing", &Plan::default()).await;
    let mut connection = AsyncPgConnection::establish(&site.place().database_url).await.unwrap();
    let mut execute = async |statement: &str| {
        diesel::sql_query(statement).execute(&mut connection).await.unwrap();
    };
    execute("ALTER TABLE agents RENAME TO hidden").await;
    let reply = site.upstream.ask(&Request::query("agent.list", &json!({}))).await;
    reply.assert_code("UNREADABLE");
    assert!(!reply.json.to_string().contains("agents"), "{reply:?}");
    execute("ALTER TABLE hidden RENAME TO agents").await;
    assert_eq!(site.upstream.query("agent.list", &json!({})).await["status"], "OK");
}
