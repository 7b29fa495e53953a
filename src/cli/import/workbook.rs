//! The first worksheet of an XLSX file as rows of texts, the way a person sees them.
//!
//! Must not hold the whole sheet: a thread reads it and is always some rows ahead.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Context, bail};
use calamine::{Reader, Xlsx, XlsxError, open_workbook};

use super::cell::text;
use super::unpacking::look_through;

/// Rows that the thread reads ahead.
const AHEAD: usize = 1_000;
/// A sheet may claim a cell anywhere; nobody has so many columns of callees.
const MOST_COLUMNS: usize = 1_000;

/// A row of the sheet.
#[derive(Debug, Default)]
pub struct Record {
    /// Its number in the sheet, from 1.
    pub line: u64,
    pub cells: Vec<String>,
    /// The first cell whose content is lost: its column, from 0, and what is wrong with it.
    pub lost: Option<(usize, String)>,
}

/// A worksheet, read row by row.
pub struct Sheet(Receiver<anyhow::Result<Record>>);

impl Sheet {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        look_through(path)?;
        let mut workbook: Xlsx<_> =
            open_workbook(path).map_err(|error: XlsxError| anyhow::anyhow!("the file is no XLSX: {error}"))?;
        let Some(name) = workbook.sheet_names().first().cloned() else { bail!("there is no worksheet in it") };
        let (rows, receiver) = sync_channel(AHEAD);
        std::thread::spawn(move || {
            if let Err(error) = read(&mut workbook, &name, &rows) {
                // Nobody listens any more when the import has ended early.
                drop(rows.send(Err(error)));
            }
        });
        Ok(Self(receiver))
    }

    /// The next row that has anything in it.
    pub fn next_record(&mut self) -> anyhow::Result<Option<Record>> {
        match self.0.recv() {
            Ok(row) => row.map(Some),
            Err(_) => Ok(None),
        }
    }
}

fn read(
    workbook: &mut Xlsx<std::io::BufReader<std::fs::File>>,
    name: &str,
    rows: &SyncSender<anyhow::Result<Record>>,
) -> anyhow::Result<()> {
    let mut cells = workbook.worksheet_cells_reader(name).context("the worksheet cannot be read")?;
    let mut row = Record::default();
    while let Some(cell) = cells.next_cell().context("the worksheet cannot be read")? {
        let (line, column) = cell.get_position();
        let (line, column) = (u64::from(line) + 1, usize::try_from(column).unwrap_or(usize::MAX));
        if line != row.line && !row.cells.is_empty() && rows.send(Ok(std::mem::take(&mut row))).is_err() {
            return Ok(());
        }
        let text = text(cell.get_value());
        if text.as_ref().is_ok_and(String::is_empty) {
            continue;
        }
        if column >= MOST_COLUMNS {
            bail!("row {line} has a cell in column {}; at most {MOST_COLUMNS} columns are read", column + 1);
        }
        row.line = line;
        row.cells.resize(row.cells.len().max(column + 1), String::new());
        match text {
            Ok(text) => row.cells[column] = text,
            Err(problem) => _ = row.lost.get_or_insert((column, problem)),
        }
    }
    if !row.cells.is_empty() {
        drop(rows.send(Ok(row)));
    }
    Ok(())
}

#[cfg(test)]
#[path = "workbook_tests.rs"]
mod tests;
