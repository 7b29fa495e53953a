//! What became of the rows: printed as the receipts come in, so that nothing is kept of a long file.
//!
//! Numbers are printed whole: whoever imports them must find the rows that were rejected.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use uuid::Uuid;

use super::file::RefusedRow;
use crate::cli::output;
use crate::cli::reply::number;

/// The sums so far, and where they are shown.
pub struct Report {
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    json: bool,
    errors: Option<csv::Writer<File>>,
    bar: ProgressBar,
}

impl Report {
    pub fn new(json: bool, errors: Option<&Path>, size: Option<u64>) -> anyhow::Result<Self> {
        let create = |path: &Path| -> anyhow::Result<_> {
            let mut writer = csv::Writer::from_path(path).with_context(|| path.display().to_string())?;
            writer.write_record(["line", "calledNumber", "code", "message"])?;
            Ok(writer)
        };
        let errors = errors.map(create).transpose()?;
        let bar = if json { ProgressBar::hidden() } else { progress_bar(size) };
        Ok(Self { accepted: 0, duplicates: 0, rejected: 0, json, errors, bar })
    }

    pub fn rows(&self) -> u64 {
        self.accepted + self.duplicates + self.rejected
    }

    /// The sums in words.
    pub fn totals(&self) -> String {
        let Self { accepted, duplicates, rejected, .. } = self;
        let plural = if *duplicates == 1 { "" } else { "s" };
        format!("{} rows: {accepted} accepted, {duplicates} duplicate{plural}, {rejected} rejected", self.rows())
    }

    pub fn read_up_to(&self, bytes: u64) {
        self.bar.set_position(bytes);
        self.bar.set_message(self.totals());
    }

    /// Counts and prints the outcome of one batch.
    pub fn batch(&mut self, mut rejected: Vec<RefusedRow>, sent: usize, receipt: &Value) -> anyhow::Result<()> {
        rejected.sort_by_key(|row| row.line);
        if let Some(errors) = &mut self.errors {
            for row in &rejected {
                errors.write_record([&row.line.to_string(), &row.called_number, &row.code, &row.message])?;
            }
            errors.flush()?;
        }
        self.print(&rejected, sent, receipt)?;
        self.accepted += number(receipt, "accepted");
        self.duplicates += number(receipt, "duplicates");
        self.rejected += rejected.len() as u64;
        Ok(())
    }

    fn print(&self, rejected: &[RefusedRow], sent: usize, receipt: &Value) -> anyhow::Result<()> {
        if self.json {
            let rows = rejected.iter().map(|row| {
                json!({"line": row.line, "calledNumber": row.called_number, "code": row.code, "message": row.message})
            });
            let mut printed = if sent > 0 { receipt.clone() } else { json!({"accepted": 0, "duplicates": 0}) };
            printed["rejected"] = rows.collect();
            return Ok(output::line(&printed.to_string())?);
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
            output::line(&reply.to_string())?;
        }
        Ok(())
    }

    /// The sums, last.
    pub fn end(&self, task: Uuid) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        let Self { accepted, duplicates, rejected, .. } = self;
        let counts = json!({"accepted": accepted, "duplicates": duplicates, "rejected": rejected});
        let totals = json!({"taskId": task, "rows": self.rows(), "totals": counts});
        output::line(&if self.json { totals.to_string() } else { self.totals() })?;
        Ok(())
    }
}

/// Of a fixed width, because the rows still to come are not known.
fn table_line([line, number, code, message]: [&str; 4]) -> String {
    format!("{line:>8}  {number:<20}  {code:<16}  {message}").trim_end().to_owned()
}

fn progress_bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "[{bar:20}] {percent:>3} %, {msg}"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    // The templates are constants and right; a bar of the default style would do as well.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style.progress_chars("=> "))
}
