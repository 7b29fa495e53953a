//! `calltaskd import`: a CSV or XLSX file becomes `callees.import` commands, one batch after the other.
//!
//! Must not hold more than a batch in memory. The whole file is looked through before anything is sent, so that one that
//! cannot be read to its end is not imported by half; what a row is worth is the daemon's to judge. Each batch
//! has a message id that is computed from what is in it, so an import that was cut off is mended by the same
//! command again.

mod batch;
mod cell;
mod check;
mod column;
mod file;
mod part;
mod plain;
mod quotes;
mod report;
mod unpacking;
mod workbook;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;
use uuid::Uuid;

use super::output;
use super::reply::{self, items, number};
use super::session::Session;
use crate::bus::Client;
use batch::Batch;
use file::{CalleeFile, RefusedRow};
use report::Report;

/// Import callees from a CSV or XLSX file.
///
/// A CSV file is UTF-8, with or without a byte order mark, its columns separated by commas or semicolons; of an XLSX
/// file (FILE.xlsx) the first worksheet is read. `calltaskd template` makes one to fill in. The first line names the
/// columns: `calledNumber` must be there, `outId` may be, and each other column is a variable by that name; one for each
/// variable that the agent requires. Empty cells are left out.
///
/// The whole file is read before anything is sent. One whose quotes are wrong (text after a closing quote, or a cell over
/// several lines that has swallowed rows) is refused with the line.
///
/// The same file sent again with the same options, as after an interruption, imports nothing twice: its batches
/// are recognised (for `inbox.keep_days`, 30) and get their first replies again. To import the same rows once more
/// on purpose, give another --batch-id, and --allow-duplicate-numbers.
///
/// Rejected rows are printed with their line in the file, and written with the reason beside each to
/// FILE.errors.csv; the exit code is 0 all the same. Mend them there and import that file: its last columns (line, code,
/// message) are left out. With --json, each batch's receipt is printed as one line, and the
/// totals as the last.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// What to import
    #[arg(value_name = "FILE.csv|FILE.xlsx")]
    file: PathBuf,
    /// The task's id, or its name
    #[arg(long)]
    task: String,
    /// Goes with each callee into its events
    #[arg(long, value_name = "ID")]
    batch_id: Option<String>,
    /// Rows of one command
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=5_000))]
    batch_rows: u32,
    /// Take a row without outId also when the task has its number already
    #[arg(long)]
    allow_duplicate_numbers: bool,
    /// Where to write the rejected rows [default: beside the file, as FILE.errors.csv]
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Check every row and send none; the exit code is 1 when some are wrong. Duplicates are those within the file: which
    /// callees the task has already only the daemon knows
    #[arg(long)]
    dry_run: bool,
}

impl ImportArgs {
    fn errors_path(&self) -> PathBuf {
        let beside = || {
            let mut name = self.file.file_name().unwrap_or_default().to_owned();
            name.push(".errors.csv");
            self.file.with_file_name(name)
        };
        self.errors.clone().unwrap_or_else(beside)
    }
}

pub async fn run(session: &Session, arguments: &ImportArgs) -> anyhow::Result<ExitCode> {
    let rows = check::count(&arguments.file)?;
    if rows == Some(0) {
        bail!("there are no rows below the names of the columns");
    }
    let mut file = CalleeFile::open(&arguments.file)?;
    if file.has_reasons() {
        let reasons = column::REASON.join(", ");
        output::aside(&format!("the last columns, {reasons}, are of an earlier import and left out"));
    }
    let mut report = Report::new(session.json, (arguments.errors_path(), file.columns()), rows.unwrap_or(0));
    let mut client = session.client().await?;
    let (task, required) = check::task(&mut client, &arguments.task).await?;
    check::columns(&file, &required)?;
    if arguments.dry_run {
        let allow_duplicate_numbers = arguments.allow_duplicate_numbers;
        let rules = check::Rules { region: session.default_region, required: &required, allow_duplicate_numbers };
        check::check(&mut file, &mut report, &rules)?;
        report.end(task)?;
        return Ok(if report.all_accepted() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let mut importer = Importer { client, task, arguments, batches: 0 };
    let imported = importer.import(&mut file, &mut report).await;
    imported.with_context(|| {
        let mended = "once that is mended, the same command again imports nobody twice";
        format!("the import ended after {}; {mended}", report.totals())
    })?;
    report.end(task)?;
    if !report.all_accepted() {
        output::aside(how_to_go_on(arguments));
    }
    Ok(ExitCode::SUCCESS)
}

/// Said, because an import that is repeated looks like one that was done: the receipts are the same.
fn how_to_go_on(arguments: &ImportArgs) -> &'static str {
    if arguments.allow_duplicate_numbers {
        // The whole file again would take its rows without outId a second time.
        return "mend the rows there, or the cause elsewhere (the agent, the task), and import that file with another --batch-id";
    }
    "mend the rows there and import that file; or, after mending the cause elsewhere (the agent, the task), import the \
     same file again with another --batch-id: the same command again gets the same replies"
}

struct Importer<'a> {
    client: Client<'a>,
    task: Uuid,
    arguments: &'a ImportArgs,
    batches: u64,
}

impl Importer<'_> {
    async fn import(&mut self, file: &mut CalleeFile, report: &mut Report) -> anyhow::Result<()> {
        let mut batch = Batch::of(self.arguments.batch_rows as usize);
        while let Some(row) = file.next_row()? {
            if let Some(full) = batch.add(row) {
                self.send(full, report).await?;
            }
        }
        self.send(batch, report).await
    }

    async fn send(&mut self, batch: Batch, report: &mut Report) -> anyhow::Result<()> {
        self.batches += 1;
        if batch.callees.is_empty() {
            return report.batch(batch.refused, batch.lines.len(), &Value::Null);
        }
        let sent = batch.callees.len();
        let (first, last) = (batch.lines.first().copied(), batch.lines.last().copied());
        let body = batch::body(self.task, self.arguments, batch.callees);
        let message_id = batch::message_id(self.task, self.batches, &body);
        let receipt = self.client.command("callees.import", &message_id, &body).await?;
        if let Err(refusal) = reply::judge(&receipt) {
            report.refused(&receipt)?;
            let lines = || format!("lines {} to {} are rejected as a whole", first.unwrap_or(0), last.unwrap_or(0));
            return Err(refusal).with_context(lines);
        }
        let rejected = items(&receipt, "rejected");
        let accounted = number(&receipt, "accepted") + number(&receipt, "duplicates") + rejected.len() as u64;
        if accounted != sent as u64 {
            bail!("the receipt accounts for {accounted} of {sent} rows: {receipt}");
        }
        let by_daemon = rejected.iter().map(|row| RefusedRow::of_receipt(row, (&batch.lines, items(&body, "callees"))));
        report.batch(batch.refused.into_iter().chain(by_daemon).collect(), sent, &receipt)
    }
}
