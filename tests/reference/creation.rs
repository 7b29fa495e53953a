//! "Create a call task": the basic information, and the two modes of the start.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::calling_hours::{at, clock_at, placed_at, witnessed};
use crate::harness::orders::{self, CALLER, LINE, rows, with};
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::Site;
use crate::operator::run;

#[tokio::test]
async fn s05_submitting_the_basic_information_creates_the_task() {
    let site = Site::start("submit", &Plan::default()).await;
    site.put_line(10, 10).await;
    let whom = ["task", "create", "--name", "autumn", "--agent", orders::AGENT, "--service-instance", LINE];
    let when = ["--start-at", "2099-11-23T09:00:00+01:00", "--time-zone", "Europe/Berlin", "--days", "MONDAY,FRIDAY"];
    let hours = ["--hours", "09:00-12:00", "--hours", "13:00-17:00", "--concurrency", "7"];
    let redial = ["--redial", "USER_BUSY,NO_ANSWER", "--redial-times", "2", "--redial-minutes", "30", "--json"];
    let created = run(&site, &[&whom[..], &when, &hours, &redial].concat()).json();
    let told = site.task(created["taskId"].as_str().unwrap()).await;
    let wanted = json!({
        "name": "autumn", "agentId": orders::AGENT, "serviceInstanceId": LINE, "concurrency": 7,
        "startMode": "SCHEDULED", "startAt": "2099-11-23T08:00:00.000Z", "timeZone": "Europe/Berlin",
        "callingDays": ["MONDAY", "FRIDAY"],
        "callingTimes": [{"start": "09:00", "end": "12:00"}, {"start": "13:00", "end": "17:00"}],
        "redial": {"reasons": ["USER_BUSY", "NO_ANSWER"], "times": 2, "intervalMinutes": 30},
    });
    for (field, value) in wanted.as_object().unwrap() {
        assert_eq!(sorted(&told[field]), sorted(value), "{field}");
    }
    let listed = run(&site, &["task", "list", "--json"]).json();
    assert_eq!(listed["items"][0]["taskId"], created["taskId"]);
}

/// Reasons are a set, in no order.
fn sorted(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(reasons) = value.get_mut("reasons").and_then(Value::as_array_mut) {
        reasons.sort_by_key(Value::to_string);
    }
    value
}

#[tokio::test]
async fn s06_a_task_has_a_name() {
    let site = Site::start("name", &Plan::default()).await;
    site.put_line(5, 5).await;
    let nameless = with(orders::task("", 5), "name", Value::Null);
    site.upstream.reject("task.create", &nameless, &["REQUIRED name"]).await;
    let task = site.create("Monday's reminders", 5).await;
    let told = site.upstream.query("task.get", &json!({"taskName": "Monday's reminders"})).await;
    assert_eq!((&told["task"]["taskId"], &told["task"]["name"]), (&json!(task), &json!("Monday's reminders")));
    let again = orders::task("Monday's reminders", 5);
    site.upstream.reject("task.create", &again, &["NAME_TAKEN name"]).await;
}

#[tokio::test]
async fn s07_only_a_published_agent_can_be_selected() {
    let site = Site::start("agent", &Plan::default()).await;
    site.put_line(5, 5).await;
    let draft = |published: bool| with(orders::agent("draft"), "published", json!(published));
    let task = with(orders::task("drafted", 5), "agentId", json!("draft"));
    site.upstream.reject("task.create", &task, &["AGENT_UNKNOWN agentId"]).await;
    site.upstream.accept("agent.put", &draft(false)).await;
    site.upstream.reject("task.create", &task, &["AGENT_NOT_PUBLISHED agentId"]).await;
    site.upstream.accept("agent.put", &draft(true)).await;
    let task = site.create_as(&task).await;
    assert_eq!(site.task(&task).await["agentId"], "draft");
}

#[tokio::test]
async fn s10_a_task_calls_through_the_service_instance_associated_with_it() {
    let site = Site::start("service-instance", &Plan::default()).await;
    site.put_line(5, 20).await;
    let other = "+493055500002";
    let line = with(orders::line("line-2", 5, 20), "callerNumbers", json!([{"number": other}]));
    site.upstream.accept("service-instance.put", &line).await;
    let through = |line: &str| with(orders::task(line, 5), "serviceInstanceId", json!(line));
    let unknown = ["SERVICE_INSTANCE_UNKNOWN serviceInstanceId"];
    site.upstream.reject("task.create", &through("nobody's"), &unknown).await;
    for (line, caller) in [(LINE, CALLER), ("line-2", other)] {
        let task = site.create_as(&through(line)).await;
        site.import(&task, &rows(0..3)).await;
        site.ledger.completed(&task, SOON).await;
        let record = site.record().of_task(&task);
        assert_eq!((record.calls.len(), record.of_caller(caller).calls.len()), (3, 3), "{line}");
    }
}

#[tokio::test]
async fn s11_an_immediate_task_starts_right_away() {
    let site = Site::start("immediate", &Plan::default()).await;
    site.put_line(5, 20).await;
    let with_time = with(orders::task("now", 5), "startAt", json!("2099-01-01T00:00:00Z"));
    site.upstream.reject("task.create", &with_time, &["INVALID_VALUE startAt"]).await;
    let task = site.create("now", 5).await;
    site.import(&task, &rows(0..2)).await;
    // Nobody sends a start.
    until("both calls", SOON, || (site.record().of_task(&task).calls.len() == 2).then_some(())).await;
    site.ledger.completed(&task, SOON).await;
    let running = site.ledger.about("task.running", &task);
    assert_eq!((running.len(), running[0].text("previousState")), (1, "INITIALIZING"));
    assert!(site.ledger.about("task.stopped", &task).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s12_a_scheduled_task_starts_at_its_time() {
    let clock = clock_at("2026-11-23T09:00:00Z");
    let site = Site::on_clock("scheduled", &Plan::default(), &clock).await;
    site.put_line(20, 50).await;
    let scheduled = with(orders::task("later", 5), "startMode", json!("SCHEDULED"));
    site.upstream.reject("task.create", &scheduled, &["REQUIRED startAt"]).await;
    let start = at("2026-11-23T10:30:00Z");
    let task = site.create_as(&with(scheduled, "startAt", json!("2026-11-23T11:30:00+01:00"))).await;
    site.import(&task, &rows(0..3)).await;
    let other = site.create("other", 5).await;
    clock.set(start - TimeDelta::milliseconds(1));
    witnessed(&site, &other).await;
    assert_eq!(site.task(&task).await["state"], "STOPPED");
    clock.set(start);
    site.ledger.completed(&task, SOON).await;
    let calls = site.record().of_task(&task).calls;
    assert_eq!(calls.iter().map(placed_at).collect::<Vec<_>>(), [start; 3]);
    assert_eq!(site.ledger.about("task.running", &task)[0].attribute("time"), "2026-11-23T10:30:00.000Z");
}
