//! What became of the rows: printed as the receipts come in, so that nothing is kept of a long file.
//!
//! Numbers are printed whole: whoever imports them must find the rows that were rejected.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use uuid::Uuid;

use super::column::{Column, REASON};
use super::file::RefusedRow;
use crate::cli::output;
use crate::cli::reply::number;
use crate::domain::export::harmless;
use crate::domain::visible;

/// The sums so far, and where they are shown.
pub struct Report {
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    json: bool,
    errors: Errors,
    bar: ProgressBar,
}

/// The file of the rows that were not taken, which is there only when there are any: the columns of the imported file,
/// and the reason beside them.
struct Errors {
    path: PathBuf,
    columns: Vec<Column>,
    writer: Option<csv::Writer<File>>,
}

impl Errors {
    fn write(&mut self, rejected: &[RefusedRow]) -> anyhow::Result<()> {
        if rejected.is_empty() {
            return Ok(());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            empty => {
                let created = csv::Writer::from_path(&self.path).with_context(|| self.path.display().to_string())?;
                let writer = empty.insert(created);
                let names = self.columns.iter().map(Column::name);
                writer.write_record(names.chain(REASON))?;
                writer
            }
        };
        for row in rejected {
            // The same rows may be opened by a spreadsheet to be mended.
            let cells = self.columns.iter().map(|column| column.cell(&row.callee));
            let line = row.line.to_string();
            let reason = [line.as_str(), &row.code, &row.message];
            writer.write_record(cells.chain(reason).map(|cell| harmless(cell).into_owned()))?;
        }
        Ok(writer.flush()?)
    }
}

impl Report {
    /// `rows` is how many there are; the errors go beside the file, unless a place is named.
    pub fn new(json: bool, (path, columns): (PathBuf, &[Column]), rows: u64) -> Self {
        let errors = Errors { path, columns: columns.to_vec(), writer: None };
        let bar = if json { ProgressBar::hidden() } else { progress_bar(rows) };
        Self { accepted: 0, duplicates: 0, rejected: 0, json, errors, bar }
    }

    pub fn rows(&self) -> u64 {
        self.accepted + self.duplicates + self.rejected
    }

    /// True when nothing was wrong with any row.
    pub fn all_accepted(&self) -> bool {
        self.rejected == 0
    }

    /// The sums in words.
    pub fn totals(&self) -> String {
        let Self { accepted, duplicates, rejected, .. } = self;
        let plural = if *duplicates == 1 { "" } else { "s" };
        format!("{} rows: {accepted} accepted, {duplicates} duplicate{plural}, {rejected} rejected", self.rows())
    }

    /// Counts and prints the outcome of one batch.
    pub fn batch(&mut self, mut rejected: Vec<RefusedRow>, sent: usize, receipt: &Value) -> anyhow::Result<()> {
        rejected.sort_by_key(|row| row.line);
        self.errors.write(&rejected)?;
        self.print(&rejected, sent, receipt)?;
        self.accepted += number(receipt, "accepted");
        self.duplicates += number(receipt, "duplicates");
        self.rejected += rejected.len() as u64;
        self.bar.set_position(self.rows());
        self.bar.set_message(self.totals());
        Ok(())
    }

    fn print(&self, rejected: &[RefusedRow], sent: usize, receipt: &Value) -> anyhow::Result<()> {
        if self.json {
            let rows = rejected.iter().map(|row| {
                json!({"line": row.line, "calledNumber": row.called_number, "code": row.code, "message": row.message})
            });
            let mut printed = if sent > 0 { receipt.clone() } else { json!({"accepted": 0, "duplicates": 0}) };
            printed["rejected"] = rows.collect();
            return Ok(output::document(&printed)?);
        }
        self.bar.suspend(|| -> std::io::Result<()> {
            if self.rejected == 0 && !rejected.is_empty() {
                output::line(&table_line(["LINE", "NUMBER", "CODE", "MESSAGE"]))?;
            }
            rejected.iter().try_for_each(|row| {
                output::line(&table_line([&row.line.to_string(), &row.called_number, &row.code, &row.message]))
            })
        })?;
        Ok(())
    }

    /// Shows a reply that took no row at all; the reasons are the failure's to print.
    pub fn refused(&self, reply: &Value) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        if self.json {
            output::document(reply)?;
        }
        Ok(())
    }

    /// The sums, last.
    pub fn end(&self, task: Uuid) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        let Self { accepted, duplicates, rejected, .. } = self;
        let counts = json!({"accepted": accepted, "duplicates": duplicates, "rejected": rejected});
        let totals = json!({"taskId": task, "rows": self.rows(), "totals": counts});
        if self.json { output::document(&totals) } else { output::line(&self.totals()) }?;
        if self.errors.writer.is_some() {
            let path = self.errors.path.display().to_string();
            output::aside(&format!("the rejected rows with their reasons are in {}", visible::line(&path)));
        }
        Ok(())
    }
}

/// Of a fixed width, because the rows still to come are not known.
fn table_line([line, number, code, message]: [&str; 4]) -> String {
    format!("{line:>8}  {number:<20}  {code:<16}  {message}").trim_end().to_owned()
}

fn progress_bar(rows: u64) -> ProgressBar {
    // The template is a constant and right; a bar of the default style would do as well.
    let style = ProgressStyle::with_template("[{bar:20}] {percent:>3} %, {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(rows).with_style(style.progress_chars("=> "))
}
