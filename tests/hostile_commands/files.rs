//! Files to import that are no lists of callees, whatever their size: a message, little memory, and no row sent.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::harness::daemon::peak_memory_kib;
use crate::harness::site::folder;
use crate::harness::{daemon, patience};

const MIB: usize = 1024 * 1024;
const MOST_MEMORY_KIB: u64 = 300 * 1_024;

/// Runs an import that needs no daemon, because the file is refused before one is asked; gives what it said last.
async fn refused(settings: &Path, file: &Path) -> String {
    let begun = Instant::now();
    let words = ["import", file.to_str().unwrap(), "--task", "autumn"];
    let said = settings.with_extension("said");
    let mut child = daemon::command(&words, settings)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let what = format!("the import of {} to end", file.display());
    let exit = patience::until(&what, patience::LATER, || {
        peak = peak.max(peak_memory_kib(child.id()).unwrap_or_default());
        child.try_wait().unwrap()
    })
    .await;
    let said = fs::read_to_string(said).unwrap();
    println!("{}: {:?}, VmHWM {peak} KiB: {said}", file.display(), begun.elapsed());
    assert_eq!(exit.code(), Some(1), "{said}");
    assert!(peak < MOST_MEMORY_KIB, "{peak} KiB for {}", file.display());
    assert!(said.contains(file.file_name().unwrap().to_str().unwrap()), "{said}");
    said
}

/// Parts of a workbook with one worksheet, and shared texts; each of them a beginning, something repeated, and an end.
struct Book<'b> {
    sheet: (&'b str, &'b str, usize),
    texts: (&'b str, &'b str, usize),
}

const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

impl Book<'_> {
    fn write(&self, path: &Path) {
        let mut book = ZipWriter::new(File::create(path).unwrap());
        let plain = [
            (
                "_rels/.rels",
                format!(
                    "<Relationships><Relationship Id=\"a\" Type=\"{RELATIONS}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
                ),
            ),
            (
                "xl/workbook.xml",
                format!(
                    "<workbook xmlns:r=\"{RELATIONS}\"><sheets><sheet name=\"a\" sheetId=\"1\" r:id=\"b\"/></sheets></workbook>"
                ),
            ),
            (
                "xl/_rels/workbook.xml.rels",
                format!(
                    "<Relationships><Relationship Id=\"b\" Type=\"{RELATIONS}/worksheet\" Target=\"worksheets/sheet1.xml\"/><Relationship Id=\"c\" Type=\"{RELATIONS}/sharedStrings\" Target=\"sharedStrings.xml\"/></Relationships>"
                ),
            ),
        ];
        for (name, text) in plain {
            book.start_file(name, SimpleFileOptions::default()).unwrap();
            book.write_all(text.as_bytes()).unwrap();
        }
        let sheet = ("xl/worksheets/sheet1.xml", ("<worksheet><sheetData>", "</sheetData></worksheet>"), self.sheet);
        let texts = ("xl/sharedStrings.xml", ("<sst>", "</sst>"), self.texts);
        for (name, (before, after), (first, again, times)) in [sheet, texts] {
            book.start_file(name, SimpleFileOptions::default()).unwrap();
            book.write_all([before, first].concat().as_bytes()).unwrap();
            let (many, most) = (again.repeat(10_000), times / 10_000);
            (0..most).for_each(|_| book.write_all(many.as_bytes()).unwrap());
            book.write_all(after.as_bytes()).unwrap();
        }
        book.finish().unwrap();
    }
}

const NAMES: &str = r#"<row r="1"><c r="A1" t="inlineStr"><is><t>calledNumber</t></is></c></row>"#;

/// Workbooks that are refused, each with what is said of it.
#[allow(clippy::too_many_lines, reason = "a table")]
fn bombs() -> Vec<(&'static str, Book<'static>, &'static str)> {
    let none = ("", "", 0);
    vec![
        ("texts", Book { sheet: (NAMES, "", 0), texts: ("", "<si><t>a</t></si>", 20_000_000) }, "texts and formats"),
        ("long-text", Book { sheet: (NAMES, "", 0), texts: ("<si><t>", "aaaaaaaaaa", 40_000_000) }, "a cell of it"),
        (
            "long-cell",
            Book { sheet: (r#"<row r="1"><c r="A1" t="inlineStr"><is><t>"#, "aaaaaaaaaa", 40_000_000), texts: none },
            "a cell of it",
        ),
        (
            "rich-cell",
            Book {
                sheet: (r#"<row r="1"><c r="A1" t="inlineStr"><is>"#, "<r><t>aaaaaaaaaa</t></r>", 10_000_000),
                texts: none,
            },
            "a cell of it",
        ),
        ("attribute", Book { sheet: ("<row r=\"", "1111111111", 20_000_000), texts: none }, "a cell of it"),
        ("no-rows", Book { sheet: ("", "<a>aaaaaaaaaaaaaaaaaaa</a>", 10_000_000), texts: none }, "holds no rows"),
        ("comment", Book { sheet: ("<!--", "<c/>aaaaaa", 20_000_000), texts: none }, "a cell of it"),
        (
            "cell-in-cell",
            Book {
                sheet: (r#"<row r="1"><c r="A1" t="inlineStr"><is>"#, "<r><t>aaaaaaaaaa</t></r><c/>", 10_000_000),
                texts: none,
            },
            "a cell of it",
        ),
        (
            "names-of-cells",
            Book {
                sheet: (NAMES, "<definedName name=\"a\">aaaaaaaaaaaaaaaaaaaa</definedName>", 10_000_000),
                texts: none,
            },
            "texts and formats",
        ),
        (
            "prefix",
            Book {
                sheet: (NAMES, "", 0),
                texts: ("<c/>", "<aaaaaaaaaaaaaaaaaaaa:si><t>a</t></aaaaaaaaaaaaaaaaaaaa:si>", 30_000_000),
            },
            "texts and formats",
        ),
        (
            "no-column",
            Book { sheet: (NAMES, r#"<row r="6"><c r="ZZZZZZZZ6"/></row>"#, 10_000), texts: none },
            "ZZZZZZZZ6, which no worksheet has",
        ),
        ("formats", Book { sheet: (NAMES, "", 0), texts: ("", "<xf/>", 10_000_000) }, "texts and formats"),
        (
            "far-column",
            Book { sheet: (r#"<row r="1"><c r="XFD1" t="inlineStr"><is><t>x</t></is></c></row>"#, "", 0), texts: none },
            "at most 1000 columns",
        ),
        ("empty-rows", Book { sheet: ("", "<row r=\"9\"/>", 2_000_000), texts: none }, "the file is empty"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workbook_that_unpacks_to_too_much_is_refused() {
    let files = folder("hostile-workbooks");
    let settings = files.join("calltaskd.toml");
    fs::write(&settings, "").unwrap();
    for (name, book, expected) in bombs() {
        let path = files.join(format!("{name}.xlsx"));
        book.write(&path);
        let said = refused(&settings, &path).await;
        assert!(said.contains(expected), "{name}: {said}");
        fs::remove_file(path).unwrap();
    }
}

fn write(files: &Path, name: &str, parts: &[(&[u8], usize)]) -> PathBuf {
    let path = files.join(name);
    let mut file = File::create(&path).unwrap();
    for (part, times) in parts {
        (0..*times).for_each(|_| file.write_all(part).unwrap());
    }
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_list_is_refused_with_a_reason() {
    let files = folder("hostile-files");
    let settings = files.join("calltaskd.toml");
    fs::write(&settings, "").unwrap();
    let names: (&[u8], usize) = (b"calledNumber,note\n+493023125000,", 1);
    let line = vec![b'x'; MIB];
    let quotes = b"\"\"".repeat(MIB / 2);
    let notes = b"a\n".repeat(MIB);
    let nested: Vec<u8> = "calledNumber\n+493023125000\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let expectations = [
        (write(&files, "line.csv", &[names, (&line, 1_024)]), "line 2: the row goes on for more than 4 MiB"),
        (write(&files, "quote.csv", &[names, (b"\"", 1), (&line, 64)]), "line 2: the row goes on for more than 4 MiB"),
        (
            write(&files, "quotes.csv", &[names, (b"\"", 1), (&quotes, 64)]),
            "line 2: the row goes on for more than 4 MiB",
        ),
        (write(&files, "lines.csv", &[names, (b"\"", 1), (&notes, 10)]), "line 2: the row goes on for more than 4 MiB"),
        (write(&files, "columns.csv", &[(b"a,", 30_000), (b"\n", 1)]), "at most 1000 are read"),
        (write(&files, "cr.csv", &[(b"calledNumber\r+493023125000\r", 1)]), "end in CR alone"),
        (write(&files, "nul.csv", &[names, (b"x\n\0\n+493023125001,y\n", 1)]), "line 3 has a NUL byte"),
        (write(&files, "utf-16.csv", &[(&nested, 1)]), "has a NUL byte"),
        (write(&files, "mark.csv", &[(b"\xff\xfe", 1), (&nested, 1)]), "UTF-16"),
        (write(&files, "no-book.xlsx", &[(&line, 1)]), "no XLSX"),
        (files.clone(), "directory"),
        (PathBuf::from("/dev/zero"), "line 1 has a NUL byte"),
    ];
    for (file, expected) in expectations {
        let said = refused(&settings, &file).await;
        assert!(said.contains(expected), "{}: {said}", file.display());
    }
    let pipe = files.join("pipe.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let into = pipe.clone();
    // Ends when nobody reads any more.
    let writer = std::thread::spawn(move || {
        let mut pipe = File::options().write(true).open(into).unwrap();
        while pipe.write_all(&line).is_ok() {}
    });
    assert!(refused(&settings, &pipe).await.contains("the row goes on for more than 4 MiB"));
    writer.join().unwrap();
    fs::remove_dir_all(files).unwrap();
}
