//! Workbooks of a few kilobytes that are none of a list.

use std::io::Write;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

/// A workbook of one worksheet; `others` stand beside or in the place of what it needs.
pub fn book(path: &Path, sheet: &str, others: &[(&str, &str)]) {
    let root = format!(
        "<Relationships><Relationship Id=\"a\" Type=\"{RELATIONS}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
    );
    let book = r#"<workbook><sheets><sheet name="a" sheetId="1" r:id="b"/></sheets></workbook>"#;
    let sheets = format!(
        "<Relationships><Relationship Id=\"b\" Type=\"{RELATIONS}/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>"
    );
    let parts = [
        ("_rels/.rels", &*root),
        ("xl/workbook.xml", book),
        ("xl/_rels/workbook.xml.rels", &*sheets),
        ("xl/worksheets/sheet1.xml", sheet),
    ];
    let mut written = ZipWriter::new(File::create(path).unwrap());
    let kept = parts.iter().filter(|(name, _)| others.iter().all(|(other, _)| other != name));
    for (name, text) in kept.chain(others) {
        written.start_file(*name, SimpleFileOptions::default()).unwrap();
        written.write_all(text.as_bytes()).unwrap();
    }
    written.finish().unwrap();
}

/// What the look says of a workbook; nothing where it is fit to be read.
fn said(sheet: &str, others: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callees.xlsx");
    book(&path, sheet, others);
    look_through(&path).map_or_else(|error| error.to_string(), |()| String::new())
}

fn sheet(rows: &str) -> String {
    format!("<worksheet><sheetData>{rows}</sheetData></worksheet>")
}

const MIB_OF_TEXT: usize = 1024 * 1024;

#[test]
fn what_no_worksheet_has_room_for_is_no_reference_of_a_cell() {
    for sound in ["A1", "XFD1048576", "xfd9", "7"] {
        assert_eq!(said(&sheet(&format!("<row r=\"1\"><c r=\"{sound}\"/></row>")), &[]), "", "{sound}");
    }
    for (row, cell) in [
        ("6", "ZZZZZZZZ6"),
        ("6", "XFE6"),
        ("1048577", "A1"),
        ("6", "A1048577"),
        ("99999999999999999999", "A2"),
        ("4294967297", "A2"),
    ] {
        for sheet in [
            sheet(&format!("<row r=\"{row}\"><c r=\"{cell}\"/></row>")),
            sheet(&format!("<x:row s=\"1\" r = '{row}'><x:c s=\"1\"\tr='{cell}'></x:c></x:row>")),
        ] {
            let said = said(&sheet, &[]);
            assert!(said.contains("no worksheet has"), "{sheet}: {said}");
        }
    }
}

#[test]
fn texts_are_counted_with_any_prefix_and_names_of_cells_wherever_they_stand() {
    let text = "A".repeat(3 * MIB_OF_TEXT);
    let name = format!("<definedName name=\"a\">{text}</definedName>").repeat(70);
    let names = format!("<workbook><c/><sheets><sheet name=\"s\" r:id=\"b\"/></sheets>{name}</workbook>");
    let said_of = |part: &str, text: &str| said(&sheet(""), &[(part, text)]);
    assert!(said_of("xl/workbook.xml", &names).contains("texts and formats"));
    let prefix = "a".repeat(20);
    let texts = format!("<c/><{prefix}:si><t>{text}</t></{prefix}:si>").repeat(70);
    assert!(said_of("xl/sharedStrings.xml", &format!("<sst><c/>{texts}</sst>")).contains("texts and formats"));
}

#[test]
fn a_text_is_bounded_whatever_stands_in_it() {
    let text = "A".repeat(MIB_OF_TEXT);
    let parts = |between: &str| format!("<t>{text}</t>{between}").repeat(5);
    for between in ["<c/>", "<c></c>", "<row/>", "<!-- </is></c> -->", "<![CDATA[</is></c>]]>", "<a b='</is></c>'/>"] {
        let said = said(&sheet(&format!("<row><c t=\"inlineStr\"><is>{}</is></c></row>", parts(between))), &[]);
        assert!(said.contains("a cell of it"), "{between}: {said}");
    }
    let comment = format!("<!-- {} -->", format!("<c/>{text}").repeat(5));
    assert!(said(&sheet(&comment), &[]).contains("a cell of it"));
    let wrong = format!("<row><c><is></x></y>{}</is></c></row>", format!("<t>{text}</t><c/>").repeat(200));
    assert!(said(&sheet(&wrong), &[]).contains("texts and formats"));
}

#[test]
fn what_the_library_copies_is_counted_as_often_as_it_is_copied() {
    let long = "a".repeat(1_000_000);
    let format = format!("<numFmts><numFmt numFmtId=\"200\" formatCode=\"{long}\"/></numFmts>");
    let formats =
        format!("<styleSheet>{format}<cellXfs>{}</cellXfs></styleSheet>", "<xf numFmtId=\"200\"/>".repeat(1_000));
    assert!(said(&sheet(""), &[("xl/styles.xml", &formats)]).contains("texts and formats"));
    let targets = format!("<Relationships><Relationship Id=\"b\" Target=\"{long}\"/></Relationships>");
    assert!(said(&sheet(""), &[("xl/_rels/workbook.xml.rels", &targets)]).contains("longer than 16 KiB"));
    let claimed = "<sst uniqueCount=\"99999999999999999\"><si><t>a</t></si></sst>";
    assert!(said(&sheet(""), &[("xl/sharedStrings.xml", claimed)]).contains("texts and formats"));
    assert!(said(&sheet(&"<a>".repeat(10_000)), &[]).contains("in each other"));
}

#[test]
fn pictures_are_none_of_its_business() {
    let picture = "\u{1}<a></b></c><si/>".repeat(1_000);
    assert_eq!(said(&sheet(""), &[("xl/media/image1.emf", &picture)]), "");
}
