//! The file itself: CSV or XLSX, written row by row. Blocking, for a thread of its own.
//!
//! The file has no name while it grows, so a daemon that dies leaves nothing behind.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;

use rust_xlsxwriter::{Format, Workbook, XlsxError};
use tokio::sync::mpsc;

use crate::bus::wire::v1::instant_text;
use crate::domain::export::{Cell, Columns, ExportFormat, ExportRow, harmless};

/// Rows of a worksheet below its line of names; more go on in another worksheet.
const SHEET_ROWS: u32 = 1_048_575;

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum SheetError {
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Csv(#[from] csv::Error),
    #[error(transparent)]
    Xlsx(#[from] XlsxError),
}

/// Writes every row that comes in; gives the file, from its beginning, and the number of rows.
pub(super) fn write(
    format: ExportFormat,
    columns: &Columns,
    folder: &Path,
    slices: mpsc::Receiver<Vec<ExportRow>>,
) -> Result<(File, u64), SheetError> {
    let file = tempfile::tempfile_in(folder)?;
    let (mut file, rows) = match format {
        ExportFormat::Csv => csv(file, columns, slices)?,
        ExportFormat::Xlsx => xlsx(file, (columns, folder), slices)?,
    };
    file.rewind()?;
    Ok((file, rows))
}

fn csv(file: File, columns: &Columns, mut slices: mpsc::Receiver<Vec<ExportRow>>) -> Result<(File, u64), SheetError> {
    let mut writer = csv::Writer::from_writer(BufWriter::new(file));
    writer.write_record(columns.names().iter().map(|name| harmless(name).into_owned()))?;
    let mut rows = 0;
    while let Some(slice) = slices.blocking_recv() {
        for row in slice {
            for cell in columns.cells(row, instant_text) {
                match cell {
                    Cell::Empty => writer.write_field("")?,
                    Cell::Text(text) => writer.write_field(harmless(&text).as_bytes())?,
                    Cell::Number(number) => writer.write_field(number.to_string())?,
                }
            }
            writer.write_record(None::<&[u8]>)?;
            rows += 1;
        }
    }
    let mut buffer = writer.into_inner().map_err(|error| error.into_error())?;
    buffer.flush()?;
    Ok((buffer.into_inner().map_err(|error| error.into_error())?, rows))
}

/// A text is written as a text, which no spreadsheet computes, so it needs no mark before it as in CSV.
fn xlsx(
    file: File,
    (columns, folder): (&Columns, &Path),
    mut slices: mpsc::Receiver<Vec<ExportRow>>,
) -> Result<(File, u64), SheetError> {
    let mut workbook = Workbook::new();
    workbook.set_tempdir(folder)?;
    add_sheet(&mut workbook, columns)?;
    let (mut sheet, mut line, mut rows) = (0, 0, 0);
    while let Some(slice) = slices.blocking_recv() {
        for row in slice {
            if line == SHEET_ROWS {
                add_sheet(&mut workbook, columns)?;
                (sheet, line) = (sheet + 1, 0);
            }
            line += 1;
            rows += 1;
            let worksheet = workbook.worksheet_from_index(sheet)?;
            for (column, cell) in (0..).zip(columns.cells(row, instant_text)) {
                match cell {
                    Cell::Empty => {}
                    Cell::Text(text) => drop(worksheet.write_string(line, column, text)?),
                    Cell::Number(number) => drop(worksheet.write_number(line, column, number)?),
                }
            }
        }
    }
    let mut buffer = BufWriter::new(file);
    workbook.save_to_writer(&mut buffer)?;
    Ok((buffer.into_inner().map_err(|error| error.into_error())?, rows))
}

fn add_sheet(workbook: &mut Workbook, columns: &Columns) -> Result<(), SheetError> {
    let bold = Format::new().set_bold();
    let sheet = workbook.add_worksheet_with_constant_memory()?;
    sheet.set_freeze_panes(1, 0)?;
    for (column, name) in (0..).zip(columns.names()) {
        sheet.set_column_width(column, 20)?;
        sheet.write_string_with_format(0, column, name, &bold)?;
    }
    Ok(())
}
