//! `service-instance.put`: what it answers, and that the shares of a trunk never exceed the trunk.

use serde_json::{Value, json};

use crate::harness::orders;
use crate::harness::plan::Plan;
use crate::harness::site::Site;

/// A trunk with limits of its own, beside the one that every test has.
fn with_small_trunk() -> Plan {
    let more = "[trunks.small]\nkind = \"simulated\"\nmax_channels = 10\nmax_cps = 5\n";
    Plan { more: more.to_owned(), ..Plan::default() }
}

fn on_small_trunk(id: &str, max_concurrent: u32, max_cps: u32) -> Value {
    orders::with(orders::line(id, max_concurrent, max_cps), "trunk", json!("small"))
}

#[tokio::test]
async fn every_problem_of_a_service_instance_is_named_at_once() {
    let site = Site::start("service-instance-problems", &Plan::default()).await;
    let reply = site.upstream.accept("service-instance.put", &orders::line("one", 5, 5)).await;
    assert_eq!(reply, json!({"status": "ACCEPTED", "serviceInstanceId": "one"}));
    let body = json!({
        "name": "Line", "trunk": 5, "maxConcurrent": "many", "maxCps": 0, "odd": 1,
        "callerNumbers": [{"number": orders::CALLER}, {"number": "12"}, {"maxConcurrent": 0}],
    });
    let errors = [
        "REQUIRED serviceInstanceId",
        "WRONG_TYPE trunk",
        "WRONG_TYPE maxConcurrent",
        "OUT_OF_RANGE maxCps",
        "NUMBER_INVALID callerNumbers[1].number",
        "REQUIRED callerNumbers[2].number",
        "OUT_OF_RANGE callerNumbers[2].maxConcurrent",
        "UNKNOWN_FIELD odd",
    ];
    site.upstream.reject("service-instance.put", &body, &errors).await;
}

#[tokio::test]
async fn mistakes_in_the_hours_of_numbers_are_named_at_once() {
    let site = Site::start("number-hours", &Plan::default()).await;
    let night = json!([{"start": "00:00", "end": "06:00"}, {"start": "22:00", "end": "24:00"}]);
    let right = json!({"number": orders::CALLER, "timeZone": "Europe/Berlin", "callingDays": ["MONDAY"],
        "callingTimes": [{"start": "09:00", "end": "17:00"}], "noCallTimes": night});
    let put = |numbers: Value| orders::with(orders::line("one", 5, 5), "callerNumbers", numbers);
    site.upstream.accept("service-instance.put", &put(json!([right]))).await;
    let wrong = json!({"number": "+493055500002", "timeZone": "Mars/Base", "callingDays": ["FUNDAY"],
        "callingTimes": [{"start": "17:00", "end": "09:00"}],
        "noCallTimes": [{"start": "22:00", "end": "24:30"}, {"start": "01:00", "end": "03:00"}, {"start": "02:00", "end": "04:00"}]});
    let errors = [
        "INVALID_VALUE callerNumbers[1].timeZone",
        "INVALID_VALUE callerNumbers[1].callingDays[0]",
        "INVALID_VALUE callerNumbers[1].callingTimes[0].end",
        "INVALID_VALUE callerNumbers[1].noCallTimes[0].end",
        "INVALID_VALUE callerNumbers[1].noCallTimes",
    ];
    site.upstream.reject("service-instance.put", &put(json!([right, wrong])), &errors).await;
}

#[tokio::test]
async fn a_service_instance_needs_a_trunk_of_the_settings() {
    let site = Site::start("trunk-unknown", &Plan::default()).await;
    let unknown = orders::with(orders::line("one", 5, 5), "trunk", json!("nowhere"));
    site.upstream.reject("service-instance.put", &unknown, &["TRUNK_UNKNOWN trunk"]).await;
    let spelled_otherwise = orders::with(orders::line("one", 5, 5), "trunk", json!("Simulated"));
    site.upstream.accept("service-instance.put", &spelled_otherwise).await;
}

#[tokio::test]
async fn shares_never_add_up_to_more_than_their_trunk_has() {
    let site = Site::start("trunk-overcommitted", &with_small_trunk()).await;
    let put = async |id, max_concurrent, max_cps| {
        site.upstream.command("service-instance.put", &on_small_trunk(id, max_concurrent, max_cps)).await
    };
    assert_eq!(put("a", 6, 3).await.status(), "ACCEPTED");
    put("b", 5, 2).await.assert_code("TRUNK_OVERCOMMITTED");
    put("b", 4, 3).await.assert_code("TRUNK_OVERCOMMITTED");
    assert_eq!(put("b", 4, 2).await.status(), "ACCEPTED");
    // A put replaces its own share: it does not count beside itself.
    assert_eq!(put("b", 4, 1).await.status(), "ACCEPTED");
    put("b", 7, 1).await.assert_code("TRUNK_OVERCOMMITTED");
    // Retired, it leaves its share to others.
    assert_eq!(put("a", 0, 1).await.status(), "ACCEPTED");
    assert_eq!(put("b", 10, 1).await.status(), "ACCEPTED");
}

#[tokio::test]
async fn what_is_wrong_with_the_trunk_is_named_beside_the_rest() {
    let site = Site::start("trunk-beside", &Plan::default()).await;
    let body = orders::with(orders::line("one", 5, 0), "trunk", json!("nowhere"));
    let errors = ["TRUNK_UNKNOWN trunk", "OUT_OF_RANGE maxCps"];
    site.upstream.reject("service-instance.put", &body, &errors).await;
}
