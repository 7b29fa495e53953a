//! Whether each call was placed within the hours of its task, by the carrier's clock, which is that of the whole run.

use std::collections::HashMap;

use super::evidence::{CallingTime, Evidence, PlannedTask};
use super::limits::HEARD_LATE;
use super::names;
use super::record::Placing;
use super::report::Invariant;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

pub fn hours(evidence: &Evidence) -> Invariant {
    let spans = |task: &PlannedTask| (task.task_id, task.calling_times.iter().map(span).collect::<Vec<_>>());
    let windows: HashMap<_, _> = evidence.plan.tasks.iter().map(spans).collect();
    let complaint = |placing: &Placing| {
        let windows = windows.get(&placing.task?).filter(|windows| !windows.is_empty())?;
        let of_day = placing.at.rem_euclid(DAY);
        // What was sent in time may be heard a little after the end.
        let in_time = windows.iter().any(|(start, end)| (*start..*end + HEARD_LATE).contains(&of_day));
        let (minute, rest) = (of_day / MINUTE, of_day % MINUTE);
        let (hour, minute) = (minute / 60, minute % 60);
        (!in_time).then(|| format!("{} was placed at {hour:02}:{minute:02} and {rest} microseconds", placing.call))
    };
    Invariant::none(names::HOURS, evidence.records.placings.iter().filter_map(complaint).collect())
}

/// Nor may anybody place one who does not know what time it is.
pub fn misled(evidence: &Evidence) -> Invariant {
    let records = &evidence.records;
    let is_misled =
        |placing: &&Placing| evidence.processes.get(records.process(placing)).is_some_and(|process| process.misled);
    let told = |placing: &Placing| format!("{} was placed by {}", placing.call, records.process(placing));
    Invariant::none(names::MISLED, records.placings.iter().filter(is_misled).map(told).collect())
}

/// In microseconds of the day.
fn span(time: &CallingTime) -> (i64, i64) {
    (of_day(&time.start), of_day(&time.end))
}

fn of_day(text: &str) -> i64 {
    let read = |text: &str| text.parse::<i64>().ok();
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((read(hour)?, read(minute)?)));
    let Some((hour, minute)) = parts else { panic!("plan.json: {text} is no time of the day") };
    (hour * 60 + minute) * MINUTE
}
