//! "Calling Workdays" and "Calling Time", on a clock that the test sets.

use std::sync::Arc;

use calltaskd::clock::ManualClock;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::harness::orders::{self, CALLER, LINE, row, rows, with};
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::record::Call;
use crate::harness::site::Site;

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn clock_at(text: &str) -> Arc<ManualClock> {
    Arc::new(ManualClock::at(at(text)))
}

pub fn placed_at(call: &Call) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(call.placed_at).unwrap()
}

/// Has another task, which may always call, call somebody: so the daemon had the time to do wrong.
pub async fn witnessed(site: &Site, other: &str) {
    let called = site.record().of_task(other).calls.len();
    site.import(other, &[row(5_000 + called)]).await;
    let ended = || (site.record().of_task(other).ended() > called).then_some(());
    until("the call of the other task", SOON, ended).await;
}

/// Sets the clock to one moment after the other: the task, one call at a time, must call once at each that is open,
/// and not otherwise.
async fn assert_calls(site: &Site, clock: &ManualClock, (task, other): (&str, &str), moments: &[(&str, bool)]) {
    for (moment, is_open) in moments {
        until("no call to be up", SOON, || (site.record().in_the_air() == 0).then_some(())).await;
        clock.set(at(moment));
        witnessed(site, other).await;
        if *is_open {
            let calls =
                || site.record().of_task(task).calls.iter().any(|call| placed_at(call) == at(moment)).then_some(());
            until(&format!("a call at {moment}"), SOON, calls).await;
        }
    }
    let open: Vec<_> = moments.iter().filter(|(_, is_open)| *is_open).map(|(moment, _)| at(moment)).collect();
    // The clock stands still: who is free again before it is set calls once more at the same moment.
    let mut called: Vec<_> = site.record().of_task(task).calls.iter().map(placed_at).collect();
    called.dedup();
    assert_eq!(called, open);
}

/// A daemon with a task that has these fields and calls one after the other, and the other task.
async fn site_with(name: &str, clock: &Arc<ManualClock>, fields: &[(&str, Value)]) -> (Site, String, String) {
    let site = Site::on_clock(name, &Plan::default(), clock).await;
    site.put_line(50, 50).await;
    site.upstream.accept("service-instance.put", &orders::line("line-2", 50, 50)).await;
    let body = fields.iter().fold(orders::task("asked", 1), |body, (field, value)| with(body, field, value.clone()));
    let task = site.create_as(&body).await;
    site.import(&task, &rows(0..20)).await;
    let other = site.create_as(&with(orders::task("other", 50), "serviceInstanceId", json!("line-2"))).await;
    (site, task, other)
}

fn times(ranges: &[(&str, &str)]) -> Value {
    ranges.iter().map(|(start, end)| json!({"start": start, "end": end})).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s13_calls_are_placed_on_the_selected_workdays_only() {
    // A Sunday.
    let clock = clock_at("2026-11-22T12:00:00Z");
    let days = [("callingDays", json!(["MONDAY", "WEDNESDAY"]))];
    let (site, task, other) = site_with("workdays", &clock, &days).await;
    let moments = [
        ("2026-11-22T23:59:59.999Z", false),
        ("2026-11-23T00:00:00Z", true),
        ("2026-11-24T12:00:00Z", false),
        ("2026-11-25T12:00:00Z", true),
        ("2026-11-26T00:00:00Z", false),
        ("2026-11-30T12:00:00Z", true),
    ];
    assert_calls(&site, &clock, (&task, &other), &moments).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_calls_are_placed_between_the_start_and_end_times_of_each_day() {
    let clock = clock_at("2026-11-23T06:00:00Z");
    let fields = [("callingTimes", times(&[("09:00", "12:00")])), ("timeZone", json!("Europe/Berlin"))];
    let (site, task, other) = site_with("times", &clock, &fields).await;
    let moments = [
        ("2026-11-23T07:59:59.999Z", false),
        ("2026-11-23T08:00:00Z", true),
        ("2026-11-23T10:59:59Z", true),
        ("2026-11-23T11:00:00Z", false),
        ("2026-11-24T08:00:00Z", true),
        ("2026-11-24T11:00:00Z", false),
    ];
    assert_calls(&site, &clock, (&task, &other), &moments).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s15_several_time_ranges_can_be_added() {
    let clock = clock_at("2026-11-23T06:00:00Z");
    let ranges = [("callingTimes", times(&[("09:00", "12:00"), ("14:00", "15:30"), ("20:00", "24:00")]))];
    let (site, task, other) = site_with("ranges", &clock, &ranges).await;
    let moments = [
        ("2026-11-23T09:00:00Z", true),
        ("2026-11-23T12:00:00Z", false),
        ("2026-11-23T14:00:00Z", true),
        ("2026-11-23T15:30:00Z", false),
        ("2026-11-23T20:00:00Z", true),
        ("2026-11-24T00:00:00Z", false),
    ];
    assert_calls(&site, &clock, (&task, &other), &moments).await;
}

/// The task may call all day; the carrier lets its number call in the morning, and not over breakfast.
fn restricted() -> Value {
    let restriction = json!([{"number": CALLER, "timeZone": "Europe/Berlin", "callingDays": ["MONDAY", "TUESDAY"],
        "callingTimes": times(&[("08:00", "11:00")]), "noCallTimes": times(&[("09:00", "10:00")])}]);
    with(orders::line(LINE, 50, 50), "callerNumbers", restriction)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s16_the_carriers_restriction_of_a_number_schedules_the_actual_calls() {
    let clock = clock_at("2026-11-22T12:00:00Z");
    let days = [("startMode", json!("SCHEDULED")), ("startAt", json!("2026-11-22T13:00:00Z"))];
    let (site, task, other) = site_with("carrier", &clock, &days).await;
    site.upstream.accept("service-instance.put", &restricted()).await;
    let moments = [
        ("2026-11-22T13:00:00Z", false),
        ("2026-11-23T06:59:59.999Z", false),
        ("2026-11-23T07:00:00Z", true),
        ("2026-11-23T08:00:00Z", false),
        ("2026-11-23T09:00:00Z", true),
        ("2026-11-23T10:00:00Z", false),
        ("2026-11-24T07:00:00Z", true),
        ("2026-11-25T07:00:00Z", false),
    ];
    assert_calls(&site, &clock, (&task, &other), &moments).await;
    assert_eq!(site.task(&task).await["state"], "RUNNING", "it waits for its numbers");
}

#[tokio::test]
async fn s17_the_calling_times_of_the_numbers_can_be_viewed() {
    let site = Site::start("restrictions", &Plan::default()).await;
    site.upstream.accept("service-instance.put", &restricted()).await;
    let told = site.upstream.query("service-instance.get", &json!({"serviceInstanceId": LINE})).await;
    assert_eq!(told["serviceInstance"]["callerNumbers"], restricted()["callerNumbers"], "{told}");
    let listed = site.upstream.query("service-instance.list", &json!({})).await;
    assert_eq!(listed["items"][0]["callerNumbers"], restricted()["callerNumbers"], "{listed}");
}
