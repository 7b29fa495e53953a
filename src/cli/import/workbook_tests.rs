//! Cells as a spreadsheet keeps them.

use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};
use serde_json::json;

use super::super::file::{CalleeFile, Row};

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
