//! "View call task details": the basic information, and the three tabs of the execution records.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::harness::downstream::Event;
use crate::harness::orders::{self, CALLER, number, rows, with};
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::Site;
use crate::importing::next_century;
use crate::operator::run;

/// Numbers that end in 1 are busy at once, those in 2 cannot be dialled, and calls to others last an hour.
fn plan() -> Plan {
    Plan { force: vec![("1", "USER_BUSY"), ("2", "NOT_DIALLABLE")], ..Plan::lasting(3_600_000) }
}

/// What the operator sees of a task that calls 1 to 5, one at a time, and has got to 3.
struct Midst {
    task: String,
    shown: Value,
    pending: Value,
    completed: Value,
    failed: Value,
    /// The event of the first call's end.
    ended: Value,
    called: Vec<String>,
}

/// Looked at once for all tests that ask.
async fn in_the_midst() -> &'static Midst {
    static MIDST: OnceCell<Midst> = OnceCell::const_new();
    MIDST.get_or_init(look_at_the_midst).await
}

async fn look_at_the_midst() -> Midst {
    let site = Site::start("midst", &plan()).await;
    site.put_line(5, 20).await;
    let task = site.create("viewed", 1).await;
    site.import(&task, &rows(1..6)).await;
    until("the third call", SOON, || (site.record().calls.len() == 2).then_some(())).await;
    let finals = |events: &[Arc<Event>]| events.iter().filter(|event| event.is_final()).count() == 2;
    site.ledger.wait_until("the ends of the first and the second", SOON, finals).await;
    let shown = run(&site, &["task", "show", "viewed", "--json"]).json()["task"].take();
    let list = |tab| run(&site, &["callees", "list", "viewed", "--tab", tab, "--json"]).json();
    let (pending, completed, failed) = (list("pending"), list("completed"), list("failed"));
    let ended = site.ledger.about("call.ended", &task)[0].data().clone();
    let called = site.record().calls.into_iter().map(|call| call.called).collect();
    Midst { task, shown, pending, completed, failed, ended, called }
}

/// What a tab lists: the out id of each callee and one more field.
fn tab<'v>(list: &'v Value, field: &str) -> Vec<(&'v str, &'v str)> {
    let text = |callee: &'v Value, field: &str| callee[field].as_str().unwrap_or_default();
    list["items"].as_array().unwrap().iter().map(|callee| (text(callee, "outId"), text(callee, field))).collect()
}

#[tokio::test]
async fn s34_the_details_of_a_started_task_can_be_viewed() {
    let Midst { task, shown, completed, .. } = in_the_midst().await;
    assert_eq!((&shown["taskId"], &shown["state"]), (&json!(task), &json!("RUNNING")));
    assert!(shown["startedAt"].is_string(), "{shown}");
    assert_eq!(tab(completed, "state"), [("out-1", "COMPLETED")]);
}

#[tokio::test]
async fn s35_the_basic_information_is_the_configuration_of_the_task() {
    let site = Site::start("configuration", &plan()).await;
    site.put_line(5, 20).await;
    let redial = json!({"reasons": ["USER_BUSY"], "times": 2, "intervalMinutes": 30});
    let fields = [("timeZone", json!("Europe/Berlin")), ("redial", redial), ("ringTimeoutSeconds", json!(30))];
    let body = fields.into_iter().fold(next_century("configured"), |body, (field, value)| with(body, field, value));
    let body = with(body, "startAt", json!("2099-01-01T00:00:00.000Z"));
    site.create_as(&body).await;
    let told = run(&site, &["task", "show", "configured", "--json"]).json()["task"].clone();
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(told[field], *value, "{field}");
    }
}

#[tokio::test]
async fn s36_the_completed_tab_lists_the_completed_calls_with_their_details() {
    let Midst { completed, ended, .. } = in_the_midst().await;
    assert_eq!(tab(completed, "result"), [("out-1", "USER_BUSY")]);
    let callee = &completed["items"][0];
    for field in ["calleeId", "calledNumber", "endedAt"] {
        assert_eq!(callee[field], ended[field], "{field}");
    }
    assert_eq!(callee["attempts"], 1);
}

/// The event of a completed call of which the agent's platform has reported, and its `call show`; looked at once for all
/// tests that ask.
async fn call_details() -> &'static (Value, Value) {
    static DETAILS: OnceCell<(Value, Value)> = OnceCell::const_new();
    DETAILS.get_or_init(look_at_a_call).await
}

async fn look_at_a_call() -> (Value, Value) {
    let plan = Plan { more: "[recordings]\nroot = \"/var/recordings\"\n".to_owned(), ..Plan::default() };
    let site = Site::start("call-details", &plan).await;
    site.put_line(5, 20).await;
    let task = site.create("viewed", 5).await;
    site.import(&task, &[with(orders::row(3), "variables", json!({"firstName": "Ada", "ward": "3"}))]).await;
    site.ledger.completed(&task, SOON).await;
    let ended = site.ledger.about("call.ended", &task)[0].data().clone();
    let call = ended["callId"].as_str().unwrap();
    let report = json!({"callId": call, "majorIntent": "CONFIRM", "outputTags": {"mood": "good", "topics": ["a", "b"]},
        "variables": {"ward": "4"}, "conversation": [{"role": "agent", "content": "Hello"}, {"role": "user", "content": "Yes"}],
        "recording": {"path": "2026/x.wav", "seconds": 3}});
    site.upstream.accept("call.report", &report).await;
    let details = run(&site, &["call", "show", call, "--json"]).json();
    assert_eq!(run(&site, &["call", "show", "--task", "viewed", "--out-id", "out-3", "--json"]).json(), details);
    (ended, details["attempts"][0].clone())
}

#[tokio::test]
async fn s37_the_call_details_have_the_output_tags() {
    let (_, call) = call_details().await;
    assert_eq!(call["outputTags"], json!({"mood": "good", "topics": ["a", "b"]}), "{call}");
    assert_eq!(call["majorIntent"], "CONFIRM");
}

#[tokio::test]
async fn s38_the_call_details_have_the_call_variables() {
    let (ended, call) = call_details().await;
    assert_eq!(ended["variables"], json!({"firstName": "Ada", "ward": "3"}));
    assert_eq!(call["variables"], json!({"firstName": "Ada", "ward": "4"}), "those of the import, and of the report");
}

#[tokio::test]
async fn s39_the_call_details_have_the_recording() {
    let (_, call) = call_details().await;
    assert_eq!(call["recording"], json!({"path": "/var/recordings/2026/x.wav", "seconds": 3}), "{call}");
}

#[tokio::test]
async fn s40_the_call_details_have_the_call_logs() {
    let (ended, call) = call_details().await;
    let said = [("agent", "Hello"), ("user", "Yes")].map(|(role, content)| json!({"role": role, "content": content}));
    assert_eq!(call["conversation"], json!(said), "{call}");
    let log = [
        "result",
        "attempt",
        "callerNumber",
        "startedAt",
        "ringingAt",
        "answeredAt",
        "endedAt",
        "talkSeconds",
        "hangupBy",
    ];
    for field in log {
        assert!(!call[field].is_null() && call[field] == ended[field], "{field}: {call}");
    }
    assert_eq!((&call["result"], &call["callerNumber"]), (&json!("ANSWERED"), &json!(CALLER)));
}

#[tokio::test]
async fn s41_the_pending_tab_lists_who_waits_to_be_called() {
    // Whoever is called is not through.
    let expected = [("out-3", "CALLING"), ("out-4", "PENDING"), ("out-5", "PENDING")];
    assert_eq!(tab(&in_the_midst().await.pending, "state"), expected);
}

#[tokio::test]
async fn s42_the_failed_tab_lists_what_failed_to_execute() {
    let Midst { failed, called, .. } = in_the_midst().await;
    assert_eq!(tab(failed, "failedReason"), [("out-2", "NOT_DIALLABLE")]);
    assert_eq!(failed["items"][0]["calledNumber"], json!(number(2)));
    assert_eq!(called[..], [number(1), number(3)], "it was never placed");
}
