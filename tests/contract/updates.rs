//! `task.update` and `task.delete`.

use serde_json::{Value, json};

use crate::harness::downstream::Event;
use crate::harness::orders::{self, rows, with};
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::Site;

#[tokio::test]
async fn an_update_changes_what_it_names_and_clears_by_null() {
    let mut site = Site::start("update-fields", &Plan::default()).await;
    site.put_line(10, 50).await;
    site.upstream.accept("service-instance.put", &orders::line("line-2", 10, 50)).await;
    let redial = json!({"reasons": ["USER_BUSY"], "times": 1, "intervalMinutes": 5});
    let body = with(with(orders::task("old", 5), "redial", redial), "ringTimeoutSeconds", json!(20));
    let task = site.upstream.accept("task.create", &body).await["taskId"].as_str().unwrap().to_owned();
    let before = site.task(&task).await;
    let changes = json!({"taskName": "old", "name": "new", "serviceInstanceId": "line-2", "concurrency": 7,
        "callingTimes": [{"start": "00:00", "end": "12:00"}, {"start": "12:00", "end": "24:00"}],
        "redial": null, "ringTimeoutSeconds": null});
    let reply = site.upstream.accept("task.update", &changes).await;
    let expected = json!({"status": "ACCEPTED", "taskId": task, "name": "new", "state": "INITIALIZING"});
    assert_eq!(reply, expected);
    let after = site.task(&task).await;
    let mut wanted = with(with(before, "name", json!("new")), "redial", Value::Null);
    for (field, value) in [
        ("serviceInstanceId", json!("line-2")),
        ("concurrency", json!(7)),
        ("callingTimes", changes["callingTimes"].clone()),
        ("ringTimeoutSeconds", json!(45)),
    ] {
        wanted = with(wanted, field, value);
    }
    assert_eq!(after, wanted);
    let updated = site.ledger.first("task.updated", SOON, |event| event.tells("task.updated", &task)).await;
    let passage = (updated.text("previousState"), updated.text("state"), updated.text("name"));
    assert_eq!(passage, ("INITIALIZING", "INITIALIZING", "new"));
    // The old name is free, and the task dials by its new settings.
    site.create("old", 5).await;
    site.import(&task, &rows(0..5)).await;
    site.ledger.completed(&task, SOON).await;
    let reply = site.upstream.command("task.update", &json!({"taskId": task, "concurrency": 1})).await;
    reply.assert_code("WRONG_STATE");
    site.stop_and_compare(5).await;
}

#[tokio::test]
async fn the_merged_task_is_judged() {
    let site = Site::start("update-mistakes", &Plan::default()).await;
    site.put_line(10, 50).await;
    site.create("taken", 5).await;
    let task = site.create("mine", 5).await;
    for (changes, errors) in [
        (json!({"name": "taken"}), vec!["NAME_TAKEN name"]),
        (json!({"name": null, "concurrency": 0}), vec!["REQUIRED name", "OUT_OF_RANGE concurrency"]),
        (json!({"agentId": orders::AGENT}), vec!["UNKNOWN_FIELD agentId"]),
        (json!({"startMode": "SCHEDULED"}), vec!["REQUIRED startAt"]),
        (json!({"startAt": "2030-01-01T00:00:00Z"}), vec!["INVALID_VALUE startAt"]),
        (json!({"serviceInstanceId": "nobody"}), vec!["SERVICE_INSTANCE_UNKNOWN serviceInstanceId"]),
        (
            json!({"callingTimes": [{"start": "9"}]}),
            vec!["INVALID_VALUE callingTimes[0].start", "REQUIRED callingTimes[0].end"],
        ),
    ] {
        site.upstream.reject("task.update", &with(changes, "taskId", json!(task)), &errors).await;
    }
    site.upstream.accept("task.update", &json!({"taskId": task, "name": "mine"})).await;
    site.upstream.command("task.update", &json!({"taskName": "nobody's"})).await.assert_code("NOT_FOUND");
}

#[tokio::test]
async fn an_update_of_the_start_arms_it_again() {
    let mut site = Site::start("update-start", &Plan::default()).await;
    site.put_mute_line().await;
    let task = site.create("again", 5).await;
    site.import(&task, &rows(0..3)).await;
    assert_eq!(site.task(&task).await["state"], "START_FAILED");
    site.put_line(10, 50).await;
    let changes = json!({"taskId": task, "startMode": "SCHEDULED", "startAt": "2026-01-01T00:00:00Z"});
    let reply = site.upstream.accept("task.update", &changes).await;
    assert_eq!(reply["state"], "START_FAILED");
    site.ledger.completed(&task, SOON).await;
    site.stop_and_compare(3).await;
}

#[tokio::test]
async fn with_calls_in_the_air_a_task_keeps_its_line_and_stays() {
    let mut site = Site::start("update-in-the-air", &Plan::lasting(3_000)).await;
    site.put_line(10, 50).await;
    site.upstream.accept("service-instance.put", &orders::line("line-2", 10, 50)).await;
    let task = site.create("air", 5).await;
    site.import(&task, &rows(0..2)).await;
    until("two calls", SOON, || (site.record().in_the_air() == 2).then_some(())).await;
    site.upstream.command("task.delete", &json!({"taskId": task})).await.assert_code("WRONG_STATE");
    site.upstream.accept("task.stop", &json!({"taskId": task})).await;
    let changes = json!({"taskId": task, "serviceInstanceId": "line-2"});
    site.upstream.reject("task.update", &changes, &["CALLS_IN_PROGRESS serviceInstanceId"]).await;
    site.upstream.accept("task.update", &json!({"taskId": task, "concurrency": 6})).await;
    site.upstream.reject("task.delete", &json!({"taskId": task}), &["CALLS_IN_PROGRESS"]).await;
    let finals = |events: &[std::sync::Arc<Event>]| events.iter().filter(|event| event.is_final()).count() == 2;
    site.ledger.wait_until("both ends", SOON, finals).await;
    site.upstream.accept("task.update", &changes).await;
    site.upstream.accept("task.start", &json!({"taskId": task})).await;
    site.ledger.completed(&task, SOON).await;
    site.stop_and_compare(2).await;
}

#[tokio::test]
async fn a_deleted_task_is_gone_and_its_name_is_free() {
    let site = Site::start("delete", &Plan::default()).await;
    site.put_mute_line().await;
    let task = site.create("gone", 5).await;
    site.import(&task, &rows(0..3)).await;
    let reply = site.upstream.accept("task.delete", &json!({"taskName": "gone"})).await;
    assert_eq!(reply["taskId"], json!(task));
    let deleted = site.ledger.first("task.deleted", SOON, |event| event.tells("task.deleted", &task)).await;
    assert_eq!((deleted.text("state"), &deleted.data()["counts"]["pending"]), ("START_FAILED", &json!(3)));
    assert_eq!(site.upstream.query("task.get", &json!({"taskId": task})).await["status"], "NOT_FOUND");
    for command in ["task.delete", "task.start", "task.update"] {
        site.upstream.command(command, &json!({"taskId": task})).await.assert_code("NOT_FOUND");
    }
    let cancel = json!({"taskId": task, "outIds": ["out-1"]});
    site.upstream.command("callees.cancel", &cancel).await.assert_code("NOT_FOUND");
    let same = with(orders::task("gone", 5), "taskId", json!(task));
    site.upstream.reject("task.create", &same, &["TASK_ID_TAKEN taskId"]).await;
    site.create("gone", 5).await;
}
