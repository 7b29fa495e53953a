//! `task.create`, `task.start` and `task.stop`: replies and codes, and every problem at once.

use serde_json::{Value, json};

use crate::harness::orders::{self, with};
use crate::harness::plan::Plan;
use crate::harness::site::Site;

const NO_TASK: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test]
async fn a_task_has_the_id_that_its_sender_chose() {
    let site = Site::start("task-id", &Plan::default()).await;
    site.put_line(5, 5).await;
    let id = "7f9c24e8-3b1e-4d6a-9f0e-1c2d3e4f5a6b";
    let body = with(orders::task("chosen", 5), "taskId", json!(id));
    let reply = site.upstream.accept("task.create", &body).await;
    assert_eq!(reply, json!({"status": "ACCEPTED", "taskId": id, "name": "chosen", "state": "INITIALIZING"}));
    let again = with(orders::task("another", 5), "taskId", json!(id));
    site.upstream.reject("task.create", &again, &["TASK_ID_TAKEN taskId"]).await;
    site.upstream.reject("task.create", &orders::task("chosen", 5), &["NAME_TAKEN name"]).await;
    site.upstream.reject("task.create", &body, &["TASK_ID_TAKEN taskId", "NAME_TAKEN name"]).await;
    assert_ne!(site.create("minted", 5).await, id);
}

/// Those of the message alone and those that only the stored records show.
#[tokio::test]
async fn every_problem_of_a_task_is_named_at_once() {
    let site = Site::start("task-problems", &Plan::default()).await;
    site.put_line(5, 5).await;
    site.create("taken", 5).await;
    let body = json!({
        "taskId": "x", "name": "taken", "agentId": "nobody", "serviceInstanceId": "nowhere", "concurrency": 0,
        "startMode": "LATER", "timeZone": "Mars/Base", "callingDays": ["MONDAY", "FUNDAY"],
        "callingTimes": [{"start": "9:00", "end": "12:00"}, {"start": "13:00"}],
        "ringTimeoutSeconds": 9, "maxTalkSeconds": "60", "odd": {},
    });
    let errors = [
        "INVALID_VALUE taskId",
        "NAME_TAKEN name",
        "AGENT_UNKNOWN agentId",
        "SERVICE_INSTANCE_UNKNOWN serviceInstanceId",
        "OUT_OF_RANGE concurrency",
        "INVALID_VALUE startMode",
        "INVALID_VALUE timeZone",
        "INVALID_VALUE callingDays[1]",
        "INVALID_VALUE callingTimes[0].start",
        "REQUIRED callingTimes[1].end",
        "OUT_OF_RANGE ringTimeoutSeconds",
        "WRONG_TYPE maxTalkSeconds",
        "UNKNOWN_FIELD odd",
    ];
    site.upstream.reject("task.create", &body, &errors).await;
    let required = ["name", "agentId", "serviceInstanceId", "concurrency", "startMode", "callingDays", "callingTimes"];
    let required = required.map(|field| format!("REQUIRED {field}"));
    site.upstream.reject("task.create", &json!({}), &required.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn single_mistakes_in_a_task_have_their_code_and_field() {
    let site = Site::start("task-mistakes", &Plan::default()).await;
    site.put_line(5, 5).await;
    let unpublished = with(orders::agent("draft"), "published", json!(false));
    site.upstream.accept("agent.put", &unpublished).await;
    let times = |ranges: &[(&str, &str)]| -> Value {
        ranges.iter().map(|(start, end)| json!({"start": start, "end": end})).collect()
    };
    for (field, value, error) in [
        ("agentId", json!("draft"), "AGENT_NOT_PUBLISHED agentId"),
        ("concurrency", json!(1001), "OUT_OF_RANGE concurrency"),
        ("concurrency", json!(1.5), "WRONG_TYPE concurrency"),
        ("name", json!("n".repeat(129)), "TOO_LONG name"),
        ("name", json!(["n"]), "WRONG_TYPE name"),
        ("startAt", json!("2030-01-01T00:00:00Z"), "INVALID_VALUE startAt"),
        ("callingTimes", times(&[("12:00", "09:00")]), "INVALID_VALUE callingTimes[0].end"),
        ("callingTimes", times(&[("00:00", "24:01")]), "INVALID_VALUE callingTimes[0].end"),
        ("callingTimes", times(&[("09:00", "12:00"), ("11:00", "24:00")]), "INVALID_VALUE callingTimes"),
        ("callingDays", json!("MONDAY"), "WRONG_TYPE callingDays"),
        ("ringTimeoutSeconds", json!(121), "OUT_OF_RANGE ringTimeoutSeconds"),
        ("maxTalkSeconds", json!(7201), "OUT_OF_RANGE maxTalkSeconds"),
    ] {
        site.upstream.reject("task.create", &with(orders::task("one", 5), field, value), &[error]).await;
    }
    let longest = with(orders::task(&"n".repeat(128), 1000), "ringTimeoutSeconds", json!(120));
    site.upstream.accept("task.create", &longest).await;
}

#[tokio::test]
async fn mistakes_in_times_starts_and_redials_are_named_at_once() {
    let site = Site::start("task-times", &Plan::default()).await;
    site.put_line(5, 5).await;
    let spoilt = |fields: Value| {
        let start = orders::task("one", 5);
        fields.as_object().unwrap().iter().fold(start, |body, (field, value)| with(body, field, value.clone()))
    };
    let times = json!([{"start": "24:00", "end": "24:00"}, {"start": "09:00", "end": "09:00"}, {"end": "9"},
        {"start": "10:00", "end": "12:00"}, {"start": "11:59", "end": "13:00", "odd": 1}, {"start": "11:00", "end": "11:30"}, 5]);
    let errors = [
        "INVALID_VALUE callingTimes[0].start",
        "INVALID_VALUE callingTimes[1].end",
        "REQUIRED callingTimes[2].start",
        "INVALID_VALUE callingTimes[2].end",
        "UNKNOWN_FIELD callingTimes[4].odd",
        "WRONG_TYPE callingTimes[6]",
        "INVALID_VALUE callingTimes",
        "OUT_OF_RANGE callingDays",
        "REQUIRED startAt",
        "REQUIRED redial.reasons",
        "OUT_OF_RANGE redial.times",
        "WRONG_TYPE redial.intervalMinutes",
        "UNKNOWN_FIELD redial.odd",
    ];
    let body = json!({"callingTimes": times, "callingDays": [], "startMode": "SCHEDULED",
        "redial": {"times": 4, "intervalMinutes": "5", "odd": 1}});
    site.upstream.reject("task.create", &spoilt(body), &errors).await;
    let redial = |field: &str, value: Value| json!({"redial": with(json!({"reasons": ["USER_BUSY"], "times": 1, "intervalMinutes": 1}), field, value)});
    for (fields, error) in [
        (json!({"callingTimes": []}), "OUT_OF_RANGE callingTimes"),
        (json!({"callingDays": ["MONDAY", "MONDAY"]}), "INVALID_VALUE callingDays"),
        (json!({"startMode": "SCHEDULED", "startAt": "tomorrow"}), "INVALID_VALUE startAt"),
        (json!({"startMode": "SCHEDULED", "startAt": 5}), "WRONG_TYPE startAt"),
        (json!({"startMode": "SCHEDULED", "startAt": "2030-01-01T00:00:00"}), "INVALID_VALUE startAt"),
        (json!({"redial": []}), "WRONG_TYPE redial"),
        (redial("reasons", json!([])), "OUT_OF_RANGE redial.reasons"),
        (redial("reasons", json!(["USER_BUSY", "USER_BUSY"])), "INVALID_VALUE redial.reasons"),
        (redial("reasons", json!(["NO_ANSWER", "ANSWERED"])), "INVALID_VALUE redial.reasons[1]"),
        (redial("times", json!(0)), "OUT_OF_RANGE redial.times"),
        (redial("intervalMinutes", json!(721)), "OUT_OF_RANGE redial.intervalMinutes"),
    ] {
        site.upstream.reject("task.create", &spoilt(fields), &[error]).await;
    }
}

#[tokio::test]
async fn a_start_or_stop_needs_one_task_in_the_right_state() {
    let site = Site::start("task-address", &Plan::default()).await;
    site.put_line(5, 5).await;
    let id = site.create("mine", 5).await;
    for command in ["task.start", "task.stop"] {
        site.upstream.reject(command, &json!({}), &["REQUIRED taskId"]).await;
        let odd = json!({"taskId": 5, "odd": 1});
        site.upstream.reject(command, &odd, &["WRONG_TYPE taskId", "UNKNOWN_FIELD odd"]).await;
        let both = json!({"taskId": id, "taskName": "mine"});
        site.upstream.reject(command, &both, &["INVALID_VALUE taskName"]).await;
        site.upstream.command(command, &json!({"taskId": NO_TASK})).await.assert_code("NOT_FOUND");
        site.upstream.command(command, &json!({"taskName": "nobody's"})).await.assert_code("NOT_FOUND");
        for address in [json!({"taskId": id}), json!({"taskName": "mine"})] {
            let reply = site.upstream.command(command, &address).await;
            reply.assert_code("WRONG_STATE");
            assert_eq!(reply.json["errors"][0]["state"], "INITIALIZING", "{}", reply.json);
        }
    }
}
