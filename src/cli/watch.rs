//! `calltaskd task watch`: a task's progress, live.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::output;
use super::reply::{self, number, task_address, text};
use super::session::Session;
use super::table::Table;

/// How often the daemon is asked.
const POLL: Duration = Duration::from_millis(500);
/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(3);

pub async fn run(session: &Session, task: &str) -> anyhow::Result<ExitCode> {
    let mut client = session.client().await?;
    let mut display = Display::of(session);
    loop {
        let answer = client.query("task.get", &task_address(task)).await?;
        let over = matches!(state(&answer), "COMPLETED" | "STOPPED" | "START_FAILED");
        if over || reply::judge(&answer).is_err() {
            display.end();
            session.show(&answer, results)?;
            let completed = state(&answer) == "COMPLETED";
            return Ok(if completed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        display.show(&answer);
        tokio::time::sleep(POLL).await;
    }
}

fn state(answer: &Value) -> &str {
    answer.get("task").map_or("", |task| text(task, "state"))
}

/// How many callees stand where.
#[derive(Debug, Clone, Copy)]
struct Counts {
    pending: u64,
    calling: u64,
    completed: u64,
    failed: u64,
}

impl Counts {
    fn of(answer: &Value) -> Self {
        let count = |key| answer.pointer("/task/counts").map_or(0, |counts| number(counts, key));
        Self {
            pending: count("pending"),
            calling: count("calling"),
            completed: count("completed"),
            failed: count("failed"),
        }
    }

    fn done(self) -> u64 {
        self.completed + self.failed
    }

    fn all(self) -> u64 {
        self.pending + self.calling + self.done()
    }
}

/// Where the progress goes: to stderr, so that stdout holds the results alone.
enum Display {
    Bar(ProgressBar),
    Lines { last: Option<Instant> },
    Nothing,
}

impl Display {
    fn of(session: &Session) -> Self {
        if session.json {
            return Self::Nothing;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: None };
        }
        let template = "{elapsed_precise} [{bar:32}] {pos} of {len} callees, {msg}";
        // The template is a constant and right; a bar of the default style would do as well.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::new(0).with_style(style.progress_chars("=> ")))
    }

    fn show(&mut self, answer: &Value) {
        let counts = Counts::of(answer);
        match self {
            Self::Bar(bar) => {
                let answered = answer.pointer("/task/results/ANSWERED").and_then(Value::as_u64).unwrap_or(0);
                bar.set_length(counts.all());
                bar.set_position(counts.done());
                bar.set_message(format!("{} in calls, {answered} answered", counts.calling));
            }
            Self::Lines { last } if last.is_none_or(|last| last.elapsed() >= LINE_EVERY) => {
                *last = Some(Instant::now());
                let Counts { pending, calling, .. } = counts;
                let (state, done, all) = (state(answer), counts.done(), counts.all());
                let line = format!("{state}: {done} of {all} callees, {calling} in calls, {pending} waiting");
                output::aside(&line);
            }
            Self::Lines { .. } | Self::Nothing => {}
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// How the task ended, and how its callees did.
fn results(answer: &Value) -> String {
    let counts = Counts::of(answer);
    let mut table = Table::new(["RESULT", ">CALLEES", ">SHARE"]);
    let mut row = |name: &str, callees: u64| {
        let permille = (callees * 1_000).checked_div(counts.all()).unwrap_or(0);
        table.row([name.to_owned(), callees.to_string(), format!("{}.{} %", permille / 10, permille % 10)]);
    };
    let results = answer.pointer("/task/results").and_then(Value::as_object);
    let mut results: Vec<_> =
        results.into_iter().flatten().map(|(name, callees)| (name, callees.as_u64().unwrap_or(0))).collect();
    results.sort_by_key(|(_, callees)| std::cmp::Reverse(*callees));
    results.into_iter().for_each(|(name, callees)| row(name, callees));
    for (name, callees) in [("not dialled", counts.failed), ("waiting", counts.pending), ("in calls", counts.calling)] {
        if callees > 0 {
            row(name, callees);
        }
    }
    row("all", counts.all());
    format!("{}\n\n{table}", conclusion(answer))
}

fn conclusion(answer: &Value) -> String {
    let [name, reason] = ["name", "reason"].map(|key| answer.get("task").map_or("", |task| text(task, key)));
    match reason {
        "" => format!("task {name} is {}", state(answer)),
        reason => format!("task {name} is {}: {reason}", state(answer)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_results_add_up_to_all_callees() {
        let answer = json!({"status": "OK", "task": {
            "name": "autumn", "state": "STOPPED",
            "counts": {"pending": 2, "calling": 0, "completed": 7, "failed": 1},
            "results": {"ANSWERED": 5, "USER_BUSY": 2},
        }});
        let expected = "task autumn is STOPPED\n\n\
            RESULT       CALLEES    SHARE\n\
            ANSWERED           5   50.0 %\n\
            USER_BUSY          2   20.0 %\n\
            not dialled        1   10.0 %\n\
            waiting            2   20.0 %\n\
            all               10  100.0 %";
        assert_eq!(results(&answer), expected);
    }
}
