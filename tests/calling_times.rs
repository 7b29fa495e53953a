//! No call outside its hours, and calls in the first second of each opening: by the carrier's record, on a clock that
//! the test sets, over weeks in which the zones change theirs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use calltaskd::clock::{Clock, ManualClock, SystemClock};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use futures_util::future::BoxFuture;
use harness::orders::{self, LINE, rows, with};
use harness::patience::{LATER, SOON, until};
use harness::plan::Plan;
use harness::record::Call;
use harness::site::Site;
use serde_json::{Value, json};

const OFFICE: [(u32, u32); 2] = [(9, 12), (14, 18)];
const WORKDAYS: [&str; 5] = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"];

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn placed_at(call: &Call) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(call.placed_at).unwrap()
}

/// Gives a daemon that calls when it must not the time to do so.
async fn a_breath() {
    tokio::time::sleep(Duration::from_millis(60)).await;
}

fn office_task(name: &str, zone: Tz) -> Value {
    let times: Value = OFFICE
        .iter()
        .map(|(start, end)| json!({"start": format!("{start:02}:00"), "end": format!("{end}:00")}))
        .collect();
    let body = with(orders::task(name, 2), "timeZone", json!(zone.name()));
    with(with(body, "callingDays", json!(WORKDAYS)), "callingTimes", times)
}

/// The hours of the office on these days, as the calendar of the zone has them.
fn office_hours(zone: Tz, days: (NaiveDate, u64)) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let workdays = days.0.iter_days().take(days.1 as usize).filter(|day| day.weekday().num_days_from_monday() < 5);
    let instant = |day: NaiveDate, hour| {
        let local = day.and_time(NaiveTime::from_hms_opt(hour, 0, 0).unwrap());
        zone.from_local_datetime(&local).unwrap().to_utc()
    };
    workdays.flat_map(|day| OFFICE.map(|(start, end)| (instant(day, start), instant(day, end)))).collect()
}

/// Whether the second number may be used: in London, not on Mondays, and not over lunch.
fn second_number_may(at: DateTime<Utc>) -> bool {
    let local = at.with_timezone(&Tz::Europe__London);
    local.weekday() != Weekday::Mon && !(12..15).contains(&local.hour())
}

/// Berlin changes its clocks on 25 October 2026, New York on 1 November, Kolkata never.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_lies_within_its_hours_and_every_opening_has_calls_at_once() {
    let days = (NaiveDate::from_ymd_opt(2026, 10, 22).unwrap(), 13);
    let clock = Arc::new(ManualClock::at(at("2026-10-22T00:00:00Z")));
    let mut site = Site::on_clock("office", &Plan::default(), &clock).await;
    site.put_line(20, 100).await;
    let (first, second) = (orders::CALLER, "+493055500002");
    let numbers = json!([{"number": first}, {"number": second, "timeZone": "Europe/London",
        "callingDays": ["TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"],
        "noCallTimes": [{"start": "12:00", "end": "15:00"}]}]);
    let line = with(orders::line(LINE, 20, 100), "callerNumbers", numbers);
    site.upstream.accept("service-instance.put", &line).await;
    let mut offices = Vec::new();
    for zone in [Tz::Europe__Berlin, Tz::America__New_York, Tz::Asia__Kolkata] {
        let task = site.create_as(&office_task(zone.name(), zone)).await;
        site.import(&task, &rows(0..2_000)).await;
        offices.push((task, office_hours(zone, days)));
    }

    let moments: BTreeSet<DateTime<Utc>> =
        offices.iter().flat_map(|(_, hours)| hours.iter().flat_map(|(start, end)| [*start, *end])).collect();
    for moment in moments {
        clock.set(moment - TimeDelta::milliseconds(1));
        a_breath().await;
        clock.set(moment);
        let mut opening = false;
        for (task, hours) in &offices {
            if hours.iter().any(|(start, _)| *start == moment) {
                let has_called = || {
                    let of_task = |call: &Call| call.task == *task && placed_at(call) == moment;
                    site.record().calls.iter().any(of_task).then_some(())
                };
                until(&format!("a call of {task} at {moment}"), SOON, has_called).await;
                opening = true;
            }
        }
        if !opening {
            a_breath().await;
        }
    }
    site.daemon.stop(LATER).await;

    let record = site.record();
    for (task, hours) in &offices {
        let outside = record
            .of_task(task)
            .only(|call| !hours.iter().any(|(start, end)| (*start..*end).contains(&placed_at(call))));
        assert!(outside.calls.is_empty(), "outside the hours of {task}: {:?}", outside.calls);
    }
    let second = record.of_caller(second);
    let outside = second.only(|call| !second_number_may(placed_at(call)));
    assert!(outside.calls.is_empty(), "from a number outside its hours: {:?}", outside.calls);
    let forbidden = record.of_caller(first).only(|call| !second_number_may(placed_at(call)));
    assert!(!second.calls.is_empty() && !forbidden.calls.is_empty(), "both numbers had their time");
}

/// A clock that runs like the machine's and shows another time.
#[derive(Debug)]
struct ShiftedClock(TimeDelta);

impl ShiftedClock {
    fn at(start: DateTime<Utc>) -> Self {
        Self(start - SystemClock.now())
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + self.0
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'_, ()> {
        Box::pin(async move { SystemClock.sleep_until(at - self.0).await })
    }
}

async fn morning(name: &str, clock: &Arc<ShiftedClock>) -> (Site, String) {
    let plan = Plan { talk_millis: [1_000, 3_000], ..Plan::default() };
    let site = Site::on_clock(name, &plan, clock).await;
    site.put_line(500, 500).await;
    let body = with(orders::task("morning", 200), "callingTimes", json!([{"start": "09:00", "end": "12:00"}]));
    let task = site.create_as(&body).await;
    site.import(&task, &rows(0..5_000)).await;
    (site, task)
}

/// On running clocks: the owner wakes for the opening, not by chance a while after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opening_has_calls_in_its_first_second() {
    let opening = at("2026-11-23T09:00:00Z");
    let clock = Arc::new(ShiftedClock::at(opening - TimeDelta::seconds(12)));
    let (site, _task) = morning("opening", &clock).await;
    let calls = until("calls", SOON, || Some(site.record().calls).filter(|calls| calls.len() >= 100)).await;
    assert!(clock.now() > opening);
    let first = placed_at(&calls[0]) - opening;
    println!("the first call began {} µs after the opening", first.num_microseconds().unwrap());
    assert!((TimeDelta::zero()..TimeDelta::milliseconds(500)).contains(&first), "{first}");
}

/// On running clocks, with calls as fast as they come: none begins when the window has closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_begins_after_the_closing() {
    let closing = at("2026-11-23T12:00:00Z");
    let clock = Arc::new(ShiftedClock::at(closing - TimeDelta::seconds(15)));
    let (mut site, task) = morning("closing", &clock).await;
    until("two seconds after the closing", SOON, || (clock.now() > closing + TimeDelta::seconds(2)).then_some(()))
        .await;
    site.daemon.stop(SOON).await;
    let calls = site.record().of_task(&task).calls;
    let last = calls.iter().map(placed_at).max().unwrap();
    println!("{} calls, the last {} before the closing", calls.len(), closing - last);
    assert!(last < closing && last > closing - TimeDelta::seconds(1), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_closes_leaves_the_calls_to_others_until_it_opens() {
    let clock = Arc::new(ManualClock::at(at("2026-11-23T06:00:00Z")));
    let site = Site::on_clock("numbers", &Plan::default(), &clock).await;
    site.put_line(20, 100).await;
    let number = |last: u32, start: &str, end: &str| {
        let times = json!([{"start": start, "end": end}]);
        json!({"number": format!("+49305550000{last}"), "timeZone": "UTC", "callingTimes": times})
    };
    let numbers = json!([number(1, "07:00", "08:00"), number(2, "08:00", "09:00")]);
    let line = with(orders::line(LINE, 20, 100), "callerNumbers", numbers);
    site.upstream.accept("service-instance.put", &line).await;
    let task = site.create("all day", 1).await;
    site.import(&task, &rows(0..100)).await;
    a_breath().await;
    for (moment, caller) in [("2026-11-23T07:00:00Z", 1), ("2026-11-23T08:00:00Z", 2), ("2026-11-24T07:00:00Z", 1)] {
        clock.set(at(moment) - TimeDelta::milliseconds(1));
        a_breath().await;
        clock.set(at(moment));
        let called = || site.record().calls.iter().find(|call| placed_at(call) == at(moment)).cloned();
        let call = until(&format!("a call at {moment}"), SOON, called).await;
        assert_eq!(call.caller, format!("+49305550000{caller}"));
        clock.set(at(moment) + TimeDelta::minutes(59));
        a_breath().await;
    }
    let hours: BTreeSet<u32> = site.record().calls.iter().map(|call| placed_at(call).hour()).collect();
    assert_eq!(hours, BTreeSet::from([7, 8]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_of_next_week_comes_next_week() {
    let clock = Arc::new(ManualClock::at(at("2026-11-23T06:00:00Z")));
    let site = Site::on_clock("next-week", &Plan::default(), &clock).await;
    site.put_line(20, 100).await;
    let body = with(office_task("next week", Tz::Europe__Berlin), "startMode", json!("SCHEDULED"));
    // A Sunday: it runs from then on, and calls when it may.
    let task = site.create_as(&with(body, "startAt", json!("2026-11-29T12:00:00+01:00"))).await;
    site.import(&task, &rows(0..3)).await;
    clock.set(at("2026-11-29T10:59:59.999Z"));
    a_breath().await;
    assert_eq!(site.task(&task).await["state"], "STOPPED");
    clock.set(at("2026-11-29T11:00:00Z"));
    let running = site.ledger.first("the start", SOON, |event| event.tells("task.running", &task)).await;
    assert_eq!(running.attribute("time"), "2026-11-29T11:00:00.000Z");
    a_breath().await;
    assert!(site.record().calls.is_empty());
    clock.set(at("2026-11-30T08:00:00Z"));
    site.ledger.completed(&task, SOON).await;
    assert!(site.record().calls.iter().all(|call| placed_at(call) == at("2026-11-30T08:00:00Z")));
}

/// Each of two daemons looks for starts, and each start comes once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_start_comes_once_however_many_daemons_there_are() {
    let clock = Arc::new(ManualClock::at(at("2026-11-23T06:00:00Z")));
    let mut site = Site::on_clock("two-daemons", &Plan::default(), &clock).await;
    let mut other = site.one_more(&Plan::default(), &clock).await;
    site.put_line(20, 100).await;
    let mut tasks = Vec::new();
    for number in 0..20 {
        let body = with(orders::task(&format!("task {number}"), 2), "startMode", json!("SCHEDULED"));
        let task = site.create_as(&with(body, "startAt", json!("2026-11-23T07:00:00Z"))).await;
        site.import(&task, &rows(0..1)).await;
        tasks.push(task);
    }
    clock.set(at("2026-11-23T07:00:00Z"));
    for task in &tasks {
        site.ledger.completed(task, SOON).await;
    }
    other.stop(SOON).await;
    site.stop_and_compare(20).await;
    for task in &tasks {
        assert_eq!(site.ledger.about("task.running", task).len(), 1);
    }
}
