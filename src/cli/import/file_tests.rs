//! Files as spreadsheets write them, and as they go wrong.

use serde_json::json;

use super::*;

fn read(bytes: &[u8]) -> anyhow::Result<Vec<Row>> {
    let mut file = CalleeFile::read(Cursor::new(bytes.to_vec()))?;
    let mut rows = Vec::new();
    while let Some(row) = file.next_row()? {
        rows.push(row);
    }
    Ok(rows)
}

fn wrong(bytes: &[u8]) -> String {
    format!("{:#}", read(bytes).unwrap_err())
}

#[test]
fn columns_other_than_number_and_id_are_variables() {
    let rows = read(b"outId,calledNumber,firstName,time\n7,+493023125000,Ada,09:30\n8,+493023125001,,\n").unwrap();
    let variables = json!({"firstName": "Ada", "time": "09:30"});
    let first = json!({"calledNumber": "+493023125000", "outId": "7", "variables": variables});
    assert_eq!(rows[0], Row { line: 2, callee: Ok(first) });
    assert_eq!(rows[1].callee, Ok(json!({"calledNumber": "+493023125001", "outId": "8"})));
}

#[test]
fn a_spreadsheet_with_mark_semicolons_and_windows_lines_is_read() {
    let text = "\u{feff}calledNumber;\"name; in full\"\r\n+493023125000;\"Zoë, \"\"Z\"\"\"\r\n;\r\n";
    let rows = read(text.as_bytes()).unwrap();
    let variables = json!({"name; in full": "Zoë, \"Z\""});
    assert_eq!(rows[0].callee, Ok(json!({"calledNumber": "+493023125000", "variables": variables})));
    assert_eq!(rows[1].callee, Ok(json!({"calledNumber": ""})));
    assert_eq!(rows.len(), 2);
}

#[test]
fn rows_have_the_line_that_they_begin_on() {
    for end in ["\n", "\r\n"] {
        let lines = ["calledNumber,note", "1,a", "", "", "2,\"b", "", "c\"", "3,d", "", "4,e"];
        let numbers =
            |text: String| -> Vec<u64> { read(text.as_bytes()).unwrap().iter().map(|row| row.line).collect() };
        assert_eq!(numbers(lines.join(end)), [2, 5, 8, 10], "{end:?}");
        assert_eq!(numbers(lines.join(end) + end + end), [2, 5, 8, 10], "{end:?}");
    }
}

#[test]
fn the_first_line_must_name_the_number_and_each_column_once() {
    let found = wrong(b"number;name\n1;a\n");
    assert!(found.ends_with("the columns found are number, name"), "{found}");
    assert!(wrong(b"calledNumber,a,a\n").contains("two columns a"));
    assert!(wrong(b"calledNumber,a,\n").contains("column 3 has no name"));
    assert!(wrong(b"calledNumber,\xFF\n").contains("not UTF-8"));
    assert!(wrong(b"\xFF\xFEc\0a\0").contains("UTF-16"));
    assert!(wrong(b"").contains("empty"));
    assert!(wrong(b"\xEF\xBB\xBF").contains("empty"));
}

#[test]
fn a_row_that_cannot_be_sent_spoils_no_other() {
    let rows = read(b"calledNumber,name\n1,a,b\n2,\xFF\n3\n4,d,,\n").unwrap();
    let refused = rows[0].callee.clone().unwrap_err();
    assert_eq!((refused.line, refused.called_number.as_str(), refused.code.as_str()), (2, "1", "INVALID_VALUE"));
    assert_eq!(refused.callee, json!({"calledNumber": "1", "variables": {"name": "a"}}), "kept to be mended");
    assert!(rows[1].callee.clone().unwrap_err().message.contains("UTF-8"));
    assert_eq!(rows[2].callee, Ok(json!({"calledNumber": "3"})));
    assert_eq!(rows[3].callee, Ok(json!({"calledNumber": "4", "variables": {"name": "d"}})));
}

#[test]
fn the_index_of_a_receipt_leads_to_the_line() {
    let row = json!({"index": 1, "calledNumber": "12", "code": "NUMBER_INVALID", "message": "write it"});
    assert_eq!(RefusedRow::of_receipt(&row, (&[2, 9], &[])).line, 9);
}

#[test]
fn a_quote_that_is_never_closed_swallows_nobody_unseen() {
    let text = b"calledNumber,firstName\n+493023125000,Grace\n+493023125001,\"Ada\n+493023125002,Bob\n";
    let error = read(text).err().unwrap().to_string();
    assert_eq!(error, "line 3: a quote is opened and never closed; close it and import the file again");
    assert_eq!(read(b"calledNumber\n+493023125000").unwrap().len(), 1, "no line's end at the end");
}

#[test]
fn two_stray_quotes_swallow_nobody_unseen() {
    let names = "calledNumber,firstName\n+493023125000,Grace\n";
    let merged = wrong(format!("{names}+493023125001,\"Ada\n+493023125002,Bob\n+493023125003,Cem\"\n").as_bytes());
    assert!(merged.starts_with("line 3: a quoted cell goes over several lines, and line 4"), "{merged}");
    let after = wrong(format!("{names}+493023125001,\"Ada\n+493023125002,Bob\n+493023125003,\"Cem\n").as_bytes());
    assert!(after.starts_with("line 5: there is more in the cell after its closing quote"), "{after}");
    let number = wrong(format!("{names}\"+493023125001,Ada\n+493023125002\",Bob\n").as_bytes());
    assert!(number.starts_with("line 3: calledNumber or outId goes over several lines"), "{number}");
    let note = format!("{names}+493023125001,\"Ada\r\n(ring, please)\"\r\n");
    assert_eq!(read(note.as_bytes()).unwrap().len(), 2, "a note may have lines");
}

#[test]
fn the_reasons_in_a_file_of_rejected_rows_are_no_variables() {
    let text =
        "calledNumber,name,line,code,message\n+493023125000,Ada,7,NUMBER_INVALID,\"write it, please\"\n1,,2,,,x\n";
    let mut file = CalleeFile::read(Cursor::new(text)).unwrap();
    assert!(file.has_reasons());
    assert_eq!(file.columns().iter().map(Column::name).collect::<Vec<_>>(), ["calledNumber", "name"]);
    let row = file.next_row().unwrap().unwrap();
    assert_eq!(row.callee, Ok(json!({"calledNumber": "+493023125000", "variables": {"name": "Ada"}})));
    assert!(file.next_row().unwrap().unwrap().callee.unwrap_err().message.contains("more cells than columns"));
    let rows = read(b"calledNumber,line,code,message,name\n1,2,3,4,5\n").unwrap();
    let variables = json!({"line": "2", "code": "3", "message": "4", "name": "5"});
    assert_eq!(rows[0].callee, Ok(json!({"calledNumber": "1", "variables": variables})), "columns of somebody else");
}

#[test]
fn a_file_with_a_nul_is_no_text_wherever_it_stands() {
    assert_eq!(
        read(b"calledNumber\n+493023125000\n\0\n+493023125001\n")
            .unwrap_err()
            .to_string()
            .matches("line 3 has a NUL")
            .count(),
        1
    );
    assert!(wrong(b"calledNumber,a\n+493023125000,x\0\n").contains("line 2 has a NUL byte"));
    assert!(wrong(&[0; 100]).contains("line 1 has a NUL byte"));
    for mark in [[0xff, 0xfe], [0xfe, 0xff]] {
        assert!(wrong(&[&mark[..], b"c\0a\0"].concat()).contains("UTF-16"));
    }
}

#[test]
fn a_row_without_an_end_is_not_read_to_its_end() {
    let endless = |begin: &'static str| {
        let input = begin.as_bytes().chain(std::io::repeat(b'x'));
        CalleeFile::read(input).and_then(|mut file| file.next_row().map(drop)).unwrap_err()
    };
    for begin in ["calledNumber\n", "calledNumber\n\"", "calledNumber,a\n+493023125000,\"\n\n"] {
        assert!(format!("{:#}", endless(begin)).contains("line 2: the row goes on for more than 4 MiB"), "{begin}");
    }
    assert!(format!("{:#}", endless("calledNumber")).contains("line 1: the row goes on"));
}

#[test]
fn a_file_has_no_more_columns_than_a_workbook() {
    let names = |most: usize| (0..most).map(|index| format!(",c{index}")).collect::<String>();
    assert!(read(format!("calledNumber{}\n", names(999)).as_bytes()).is_ok());
    let found = wrong(format!("calledNumber{}\n", names(45_000)).as_bytes());
    assert!(found.contains("45001 columns; at most 1000 are read"), "{found}");
}

#[test]
fn line_ends_of_an_old_kind_are_told_as_such() {
    let found = wrong(b"calledNumber\r+493023125000\r+493023125001\r");
    assert!(found.contains("end in CR alone"), "{found}");
    let found = wrong(format!("calledNumber,a\r{}", "+493023125000,a\r".repeat(5_000)).as_bytes());
    assert!(found.contains("end in CR alone"), "{found}");
}

proptest::proptest! {
    #[test]
    fn any_file_is_read_or_refused(bytes in proptest::collection::vec(
        proptest::prop_oneof![
            proptest::sample::select(&b",;\"\n\r+0123456789 ax"[..]),
            proptest::num::u8::ANY,
        ], 0..200)) {
        if let Ok(rows) = read(&[b"calledNumber,outId,a\n", &bytes[..]].concat()) {
            // Each row that there is begins on a line of its own.
            for pair in rows.windows(2) {
                proptest::prop_assert!(pair[0].line < pair[1].line);
            }
        }
    }
}
