//! Redials by rule, on a clock that the test sets: how many, when, from which number, and out of one budget.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use calltaskd::clock::{Clock, ManualClock};
use chrono::{DateTime, TimeDelta, Utc};
use harness::downstream::Event;
use harness::orders::{self, LINE, rows, with};
use harness::patience::SOON;
use harness::plan::Plan;
use harness::site::Site;
use serde_json::{Value, json};

const REASONS: [&str; 7] =
    ["CALL_REJECTED", "USER_BUSY", "SUSPEND", "INVALID_NUMBER", "POWERED_OFF", "NETWORK_BUSY", "NO_ANSWER"];
/// By reason: how often, and after how many minutes.
const RULES: [(u64, i64); 7] = [(1, 1), (2, 2), (3, 59), (1, 60), (2, 719), (3, 720), (2, 7)];

/// Callees whose numbers end in 1 to 7 have one reason always, those in 8 and 9 one after the other.
fn plan() -> Plan {
    let mut force: Vec<_> = ["1", "2", "3", "4", "5", "6", "7"].into_iter().zip(REASONS).collect();
    force.push(("8", "CALL_REJECTED,USER_BUSY,SUSPEND,INVALID_NUMBER,POWERED_OFF,NETWORK_BUSY,NO_ANSWER"));
    force.push(("9", "CANCEL,USER_BUSY,CANCEL,CANCEL,NO_ANSWER,SUSPEND,POWERED_OFF"));
    Plan { force, ..Plan::default() }
}

async fn site(name: &str, clock: &Arc<ManualClock>) -> Site {
    let site = Site::on_clock(name, &plan(), clock).await;
    site.put_line(300, 300).await;
    let numbers: Value = (1..=5).map(|last| json!({"number": format!("+49305550000{last}")})).collect();
    let line = with(orders::line(LINE, 300, 300), "callerNumbers", numbers);
    site.upstream.accept("service-instance.put", &line).await;
    site
}

fn task(name: &str, reasons: &[&str], (times, minutes): (u64, i64)) -> Value {
    let redial = json!({"reasons": reasons, "times": times, "intervalMinutes": minutes});
    with(orders::task(name, 100), "redial", redial)
}

fn instant(event: &Event, field: &str) -> DateTime<Utc> {
    event.text(field).parse().unwrap()
}

/// The attempts so far of each callee of these tasks, in order.
fn attempts(site: &Site) -> BTreeMap<String, Vec<Arc<Event>>> {
    by_callee(&site.ledger.events())
}

fn by_callee(events: &[Arc<Event>]) -> BTreeMap<String, Vec<Arc<Event>>> {
    let mut callees: BTreeMap<String, Vec<Arc<Event>>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind() == "call.ended") {
        callees.entry(event.text("calleeId").to_owned()).or_default().push(event.clone());
    }
    for attempts in callees.values_mut() {
        attempts.sort_by_key(|event| event.data()["attempt"].as_u64());
        attempts.dedup_by_key(|event| event.data()["attempt"].as_u64());
    }
    callees
}

/// Sets the clock to one redial after the other until all callees are final; never while a call is up, which would end
/// at a time that the clock has left behind.
async fn play(site: &Site, clock: &ManualClock, callees: usize) {
    let mut awaited: BTreeMap<String, usize> = BTreeMap::new();
    loop {
        let all_ended = |events: &[Arc<Event>]| {
            let attempts = by_callee(events);
            let ended = |callee| attempts.get(callee).map_or(0, Vec::len);
            attempts.len() == callees && awaited.iter().all(|(callee, count)| ended(callee) >= *count)
        };
        site.ledger.wait_until("every call that is due to end", SOON, all_ended).await;
        let attempts = attempts(site);
        let last = |(callee, attempts): (_, &Vec<Arc<Event>>)| Some((callee, attempts.last()?.clone()));
        let waiting: Vec<(&String, Arc<Event>)> =
            attempts.iter().filter_map(last).filter(|(_, last)| !last.is_final()).collect();
        let Some(next) = waiting.iter().map(|(_, last)| instant(last, "redialAt")).min() else { break };
        if next > clock.now() {
            clock.set(next - TimeDelta::milliseconds(1));
            // For a daemon that calls too early.
            tokio::time::sleep(Duration::from_millis(60)).await;
            clock.set(next);
        }
        let due = waiting.into_iter().filter(|(_, last)| instant(last, "redialAt") <= next);
        awaited = due.map(|(callee, _)| (callee.clone(), attempts[callee].len() + 1)).collect();
    }
}

/// Everything that is the same for all: routing keys, gaps to the second, and the caller number.
fn assert_in_order(site: &Site, attempts: &[Arc<Event>], minutes: i64) {
    let placed: HashMap<String, i64> = site.record().calls.into_iter().map(|call| (call.id, call.placed_at)).collect();
    for pair in attempts.windows(2) {
        let (ended_at, due) = (instant(&pair[0], "endedAt"), instant(&pair[0], "redialAt"));
        let wait = if pair[0].data()["counted"] == true { TimeDelta::minutes(minutes) } else { TimeDelta::zero() };
        assert_eq!(due - ended_at, wait, "{}", pair[0].json);
        let late = placed[pair[1].text("callId")] - due.timestamp_micros();
        assert!((0..1_000_000).contains(&late), "{late} µs after {due}");
        assert_eq!(pair[0].routing_key, "call.ended.redial");
        assert_eq!(pair[1].text("callerNumber"), pair[0].text("callerNumber"));
    }
    let last = attempts.last().unwrap();
    assert_eq!((last.routing_key.as_str(), last.data().get("redialAt")), ("call.ended.final", None));
}

/// Each reason in a task of its own that asks for it alone, with a callee for each of the seven.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reason_leads_to_as_many_redials_as_its_rule_says_and_no_other_does() {
    let clock = Arc::new(ManualClock::at("2026-11-23T09:00:00.250Z".parse().unwrap()));
    let mut site = site("reasons", &clock).await;
    let mut rules = HashMap::new();
    for (reason, rule) in REASONS.into_iter().zip(RULES) {
        let task = site.create_as(&task(reason, &[reason], rule)).await;
        site.import(&task, &rows(1..8)).await;
        rules.insert(task, (reason, rule));
    }
    play(&site, &clock, 49).await;
    site.stop_and_compare(49).await;
    let callees = attempts(&site);
    assert_eq!(callees.len(), 49);
    for attempts in callees.values() {
        let (reason, (times, minutes)) = rules[attempts[0].text("taskId")];
        let result = attempts[0].text("result");
        let expected = if result == reason { 1 + times } else { 1 };
        assert_eq!(attempts.len() as u64, expected, "{result} in a task that redials after {reason}");
        assert_in_order(&site, attempts, minutes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_reasons_share_one_budget_and_what_is_not_counted_uses_nothing_of_it() {
    let clock = Arc::new(ManualClock::at("2026-11-23T09:00:00Z".parse().unwrap()));
    let mut site = site("budget", &clock).await;
    for times in 1..=3 {
        let task = site.create_as(&task(&format!("{times} times"), &REASONS, (times, 10))).await;
        site.import(&task, &rows(8..10)).await;
    }
    play(&site, &clock, 6).await;
    site.stop_and_compare(6).await;
    let told =
        |attempts: &[Arc<Event>]| attempts.iter().map(|event| event.text("result").to_owned()).collect::<Vec<_>>();
    for attempts in attempts(&site).values() {
        let times: usize = attempts[0].text("taskName")[..1].parse().unwrap();
        let expected = match attempts[0].text("result") {
            "CALL_REJECTED" => REASONS[..=times].to_vec(),
            _ => {
                ["CANCEL", "USER_BUSY", "CANCEL", "CANCEL", "NO_ANSWER", "SUSPEND", "POWERED_OFF"][..4 + times].to_vec()
            }
        };
        assert_eq!(told(attempts), expected);
        assert_in_order(&site, attempts, 10);
    }
}

/// The task may call from 09:00 to 12:00.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redial_that_falls_outside_the_window_comes_at_the_next_opening() {
    let clock = Arc::new(ManualClock::at("2026-11-23T11:54:59Z".parse().unwrap()));
    let mut site = site("outside", &clock).await;
    let body = with(task("morning", &REASONS, (2, 5)), "callingTimes", json!([{"start": "09:00", "end": "12:00"}]));
    let task = site.create_as(&body).await;
    site.import(&task, &rows(2..3)).await;
    play(&site, &clock, 1).await;
    site.stop_and_compare(1).await;
    let redials: Vec<_> =
        site.ledger.about("call.ended", &task).iter().map(|event| event.text("redialAt").to_owned()).collect();
    assert_eq!(redials, ["2026-11-23T11:59:59.000Z", "2026-11-24T09:00:00.000Z", ""]);
}

/// The first number may be used until 10:00; the redial is due then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redial_from_a_number_that_has_closed_comes_from_another() {
    let clock = Arc::new(ManualClock::at("2026-11-23T09:00:00Z".parse().unwrap()));
    let mut site = site("other-number", &clock).await;
    let morning = json!([{"start": "09:00", "end": "10:00"}]);
    let (first, second) = (orders::CALLER, "+493055500002");
    let numbers = json!([{"number": first, "timeZone": "UTC", "callingTimes": morning}, {"number": second}]);
    let line = with(orders::line(LINE, 300, 300), "callerNumbers", numbers);
    site.upstream.accept("service-instance.put", &line).await;
    let task = site.create_as(&task("to ten", &REASONS, (2, 60))).await;
    // As many as there are numbers, so that each is used.
    site.import(&task, &[orders::row(2), orders::row(12)]).await;
    play(&site, &clock, 2).await;
    site.stop_and_compare(2).await;
    for attempts in attempts(&site).values() {
        let callers: Vec<_> = attempts.iter().map(|event| event.text("callerNumber")).collect();
        assert_eq!(callers[1..], [second, second], "{callers:?}");
    }
    let used: Vec<_> = attempts(&site).values().map(|attempts| attempts[0].text("callerNumber").to_owned()).collect();
    assert!(used.contains(&first.to_owned()) && used.contains(&second.to_owned()), "{used:?}");
}
