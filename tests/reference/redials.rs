//! "Redial When Unanswered", on a clock that the test sets.

use std::collections::BTreeMap;
use std::sync::Arc;

use calltaskd::clock::ManualClock;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::calling_hours::{at, clock_at, placed_at, witnessed};
use crate::harness::downstream::Event;
use crate::harness::orders::{self, number, rows, with};
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::Site;

/// Numbers that end in 1 to 7 have one reason always.
const REASONS: [(&str, &str); 7] = [
    ("1", "CALL_REJECTED"),
    ("2", "USER_BUSY"),
    ("3", "SUSPEND"),
    ("4", "INVALID_NUMBER"),
    ("5", "POWERED_OFF"),
    ("6", "NETWORK_BUSY"),
    ("7", "NO_ANSWER"),
];

async fn site(name: &str, clock: &Arc<ManualClock>) -> Site {
    let plan = Plan { force: REASONS.to_vec(), ..Plan::default() };
    let site = Site::on_clock(name, &plan, clock).await;
    site.put_line(50, 50).await;
    site
}

fn task(reasons: &[&str], times: u32, minutes: i64) -> Value {
    let redial = json!({"reasons": reasons, "times": times, "intervalMinutes": minutes});
    with(orders::task("redialled", 20), "redial", redial)
}

/// The ends of the task's calls, when there are so many.
async fn ends(site: &Site, task: &str, count: usize) -> Vec<Arc<Event>> {
    let enough = |events: &[Arc<Event>]| events.iter().filter(|event| event.tells("call.ended", task)).count() >= count;
    site.ledger.wait_until("the ends of the calls", SOON, enough).await;
    site.ledger.about("call.ended", task)
}

fn redial_at(event: &Event) -> DateTime<Utc> {
    at(event.text("redialAt"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s18_nobody_is_called_again_unless_redials_are_enabled() {
    let clock = clock_at("2026-11-23T09:00:00Z");
    let site = site("disabled", &clock).await;
    let task = site.create("once", 20).await;
    site.import(&task, &rows(1..8)).await;
    site.ledger.completed(&task, SOON).await;
    clock.set(at("2026-11-24T09:00:00Z"));
    let other = site.create("other", 20).await;
    witnessed(&site, &other).await;
    assert_eq!(site.record().of_task(&task).calls.len(), 7);
    assert!(site.ledger.about("call.ended", &task).iter().all(|event| event.is_final()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_only_the_selected_failure_reasons_trigger_a_redial() {
    let clock = clock_at("2026-11-23T09:00:00Z");
    let site = site("reasons", &clock).await;
    let any = REASONS.map(|(_, reason)| reason);
    let all = site.create_as(&with(task(&any, 1, 10), "name", json!("each can be selected"))).await;
    site.import(&all, &rows(11..18)).await;
    let two = site.create_as(&task(&["USER_BUSY", "NO_ANSWER"], 1, 10)).await;
    site.import(&two, &rows(1..8)).await;
    let firsts = ends(&site, &two, 7).await;
    let due =
        firsts.iter().chain(&ends(&site, &all, 7).await).filter(|event| !event.is_final()).map(|e| redial_at(e)).max();
    clock.set(due.unwrap());
    for (task, again) in [(&two, vec![number(2), number(7)]), (&all, (11..18).map(number).collect())] {
        site.ledger.completed(task, SOON).await;
        let mut attempts: BTreeMap<String, usize> = BTreeMap::new();
        for call in site.record().of_task(task).calls {
            *attempts.entry(call.called).or_default() += 1;
        }
        let twice: Vec<String> =
            attempts.into_iter().filter(|(_, count)| *count == 2).map(|(called, _)| called).collect();
        assert_eq!(twice, again);
        assert_eq!(site.record().of_task(task).calls.len(), 7 + again.len());
    }
    let answered = with(task(&["ANSWERED"], 1, 10), "name", json!("no failure"));
    site.upstream.reject("task.create", &answered, &["INVALID_VALUE redial.reasons[0]"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s20_the_number_of_redial_attempts_can_be_set() {
    let clock = clock_at("2026-11-23T09:00:00Z");
    let site = site("attempts", &clock).await;
    for (times, index) in [(1, 2), (2, 12), (3, 22)] {
        let body = with(task(&["USER_BUSY"], times, 5), "name", json!(format!("{times} times")));
        let task = site.create_as(&body).await;
        site.import(&task, &rows(index..index + 1)).await;
        for attempt in 1..=times as usize {
            let last = ends(&site, &task, attempt).await[attempt - 1].clone();
            clock.set(redial_at(&last));
        }
        site.ledger.completed(&task, SOON).await;
        assert_eq!(site.record().of_task(&task).calls.len(), 1 + times as usize, "{times} redials");
    }
    let four = task(&["USER_BUSY"], 4, 5);
    site.upstream.reject("task.create", &four, &["OUT_OF_RANGE redial.times"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s21_the_redial_interval_can_be_set() {
    const MINUTES: i64 = 7;
    let clock = clock_at("2026-11-23T09:00:00Z");
    let site = site("interval", &clock).await;
    let task = site.create_as(&task(&["USER_BUSY"], 1, MINUTES)).await;
    site.import(&task, &rows(2..3)).await;
    let first = ends(&site, &task, 1).await[0].clone();
    let due = at(first.text("endedAt")) + TimeDelta::minutes(MINUTES);
    assert_eq!(redial_at(&first), due);
    let other = site.create("other", 20).await;
    clock.set(due - TimeDelta::milliseconds(1));
    witnessed(&site, &other).await;
    clock.set(due);
    site.ledger.completed(&task, SOON).await;
    let calls = site.record().of_task(&task).calls;
    assert_eq!((calls.len(), placed_at(&calls[1])), (2, due));
}
