//! Cells as a spreadsheet keeps them.

use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};
use serde_json::json;

use super::super::file::{CalleeFile, Row};
use super::super::unpacking::tests::book;
use super::*;

const COLUMNS: [&str; 5] = ["calledNumber", "firstName", "time", "day", "at"];

fn rows(fill: impl FnOnce(&mut rust_xlsxwriter::Worksheet)) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callees.xlsx");
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (column, name) in (0..).zip(COLUMNS) {
        sheet.write_string(0, column, name).unwrap();
    }
    fill(sheet);
    workbook.save(&path).unwrap();
    let mut file = CalleeFile::open(&path)?;
    std::iter::from_fn(|| file.next_row().transpose()).collect()
}

#[test]
fn times_and_dates_come_as_people_read_them() {
    let rows = rows(|sheet| {
        let format = |code| Format::new().set_num_format(code);
        let moment = ExcelDateTime::from_ymd(2026, 12, 1).unwrap();
        sheet.write_number(1, 0, 493_023_125_000_f64).unwrap();
        sheet.write_with_format(1, 2, ExcelDateTime::from_hms(9, 30, 0).unwrap(), &format("h:mm")).unwrap();
        sheet.write_with_format(1, 3, &moment, &format("dd.mm.yyyy")).unwrap();
        let moment = moment.and_hms(9, 30, 15).unwrap();
        sheet.write_with_format(1, 4, &moment, &format("yyyy-mm-dd hh:mm:ss")).unwrap();
        sheet.write_string(2, 0, "+493023125001").unwrap();
        sheet.write_with_format(2, 2, ExcelDateTime::from_hms(26, 0, 0).unwrap(), &format("[h]:mm")).unwrap();
        sheet.write_number_with_format(2, 3, 1_500, &format("#,##0.00")).unwrap();
    })
    .unwrap();
    let variables = json!({"time": "09:30", "day": "2026-12-01", "at": "2026-12-01 09:30:15"});
    assert_eq!(rows[0], Row { line: 2, callee: Ok(json!({"calledNumber": "493023125000", "variables": variables})) });
    let variables = json!({"time": "26:00", "day": "1500"});
    assert_eq!(rows[1].callee, Ok(json!({"calledNumber": "+493023125001", "variables": variables})));
}

#[test]
fn a_cell_that_lost_what_was_typed_rejects_its_row_alone() {
    let rows = rows(|sheet| {
        sheet.write_number(1, 0, 4_930_231_250_001_230_f64).unwrap();
        sheet.write_string(2, 0, "+493023125001").unwrap();
        sheet.write_formula(2, 1, Formula::new("=NA()").set_result("#N/A")).unwrap();
        sheet.write_string(2, 2, "09:30").unwrap();
        sheet.write_string(3, 0, "+493023125002").unwrap();
    })
    .unwrap();
    let long = rows[0].callee.clone().unwrap_err();
    assert!(long.message.starts_with("calledNumber is a number of more than 15 digits"), "{long:?}");
    let error = rows[1].callee.clone().unwrap_err();
    assert_eq!(error.message, "firstName has the error #N/A; mend it in the workbook");
    assert_eq!((error.line, error.called_number.as_str()), (3, "+493023125001"));
    assert_eq!(error.callee, json!({"calledNumber": "+493023125001", "variables": {"time": "09:30"}}), "what is whole");
    assert_eq!(rows[2].callee, Ok(json!({"calledNumber": "+493023125002"})));
}

#[test]
fn a_lost_name_of_a_column_refuses_the_file() {
    let refused = rows(|sheet| _ = sheet.write_number(0, 5, 1e15).unwrap()).unwrap_err();
    assert!(format!("{refused:#}").contains("the name of column 6 is a number of more than 15 digits"), "{refused:#}");
}

#[test]
fn a_date_after_the_last_one_rejects_its_row_alone() {
    let rows = rows(|sheet| {
        let date = Format::new().set_num_format("yyyy-mm-dd");
        for (row, days) in [(1, 2_958_466.0), (2, 2_958_465.0), (3, 1e15)] {
            sheet.write_string(row, 0, "+493023125000").unwrap();
            sheet.write_number_with_format(row, 3, days, &date).unwrap();
        }
    })
    .unwrap();
    for row in [&rows[0], &rows[2]] {
        let error = row.callee.clone().unwrap_err();
        assert!(error.message.starts_with("day is a date or time after all"), "{error:?}");
    }
    assert_eq!(rows[1].callee.clone().unwrap()["variables"]["day"], "9999-12-31");
}

#[test]
fn a_reader_that_dies_is_not_the_end_of_the_file() {
    let record = || Record { line: 2, cells: vec!["1".to_owned()], lost: None };
    let sound = move |rows: &Rows| {
        drop(rows.send(Said::Row(record())));
        Ok(())
    };
    let mut sheet = Sheet::read_by(sound);
    assert_eq!(sheet.next_record().unwrap().unwrap().line, 2);
    assert!(sheet.next_record().unwrap().is_none());
    let mut sheet = Sheet::read_by(move |rows: &Rows| {
        drop(rows.send(Said::Row(record())));
        panic!("as a library may")
    });
    assert_eq!(sheet.next_record().unwrap().unwrap().line, 2);
    let error = sheet.next_record().unwrap_err().to_string();
    assert!(error.contains("ended before the worksheet did"), "{error}");
}

#[test]
fn a_row_of_shared_texts_is_bounded_by_what_they_become() {
    let cell = r#"<c t="s"><v>0</v></c>"#;
    let row = format!("<row>{}</row>", cell.repeat(200));
    let text = "a".repeat(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callees.xlsx");
    let texts = format!("<sst><si><t>{text}</t></si></sst>");
    book(&path, &format!("<worksheet><sheetData>{row}</sheetData></worksheet>"), &[("xl/sharedStrings.xml", &texts)]);
    let error = format!("{:#}", CalleeFile::open(&path).map(|_| ()).unwrap_err());
    assert!(error.contains("row 1 goes on for more than 4 MiB"), "{error}");
}
