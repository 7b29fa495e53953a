//! Rows that go into one command, and the id that the command has whenever it is sent.

use serde_json::{Value, json};
use uuid::Uuid;

use super::ImportArgs;
use super::file::{RefusedRow, Row};

/// A command's body stays below 1 MiB with what surrounds its rows: brokers are slow with larger ones.
pub const MOST_BYTES: usize = 1_000_000;

/// Rows in the order of the file.
#[derive(Debug)]
pub struct Batch {
    most_rows: usize,
    bytes: usize,
    pub callees: Vec<Value>,
    /// Where each callee stands in the file.
    pub lines: Vec<u64>,
    /// Rows of the same part of the file that cannot be sent.
    pub refused: Vec<RefusedRow>,
}

impl Batch {
    pub fn of(most_rows: usize) -> Self {
        Self { most_rows, bytes: 0, callees: Vec::new(), lines: Vec::new(), refused: Vec::new() }
    }

    /// Takes a row; gives back the rows so far when it is the first that does not go with them.
    pub fn add(&mut self, row: Row) -> Option<Self> {
        // Of a refused row, too: it is kept until its batch is reported.
        let bytes = row.callee.as_ref().unwrap_or_else(|refused| &refused.callee).to_string().len() + 1;
        let rows = self.callees.len() + self.refused.len();
        let full = rows >= self.most_rows || self.bytes + bytes > MOST_BYTES && rows > 0;
        let before = full.then(|| std::mem::replace(self, Self::of(self.most_rows)));
        match row.callee {
            Ok(_) if bytes > MOST_BYTES => self.refused.push(too_long(row.line)),
            Ok(callee) => {
                self.bytes += bytes;
                self.callees.push(callee);
                self.lines.push(row.line);
            }
            Err(refused) => {
                self.bytes += bytes;
                self.refused.push(refused);
            }
        }
        before
    }
}

fn too_long(line: u64) -> RefusedRow {
    let message = "longer than a megabyte; is a quote missing?".to_owned();
    RefusedRow { line, called_number: String::new(), code: "TOO_LONG".to_owned(), message, callee: Value::Null }
}

/// The command.
pub fn body(task: Uuid, arguments: &ImportArgs, callees: Vec<Value>) -> Value {
    let mut body = json!({"taskId": task, "callees": callees});
    if let Some(batch_id) = &arguments.batch_id {
        body["batchId"] = json!(batch_id);
    }
    if arguments.allow_duplicate_numbers {
        body["allowDuplicateNumbers"] = json!(true);
    }
    body
}

/// The same for the same rows at the same place of a file, and for no others. The place counts because a file
/// may have the same rows twice.
pub fn message_id(task: Uuid, place: u64, body: &Value) -> String {
    Uuid::new_v5(&task, format!("{place}:{body}").as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: u64, number: &str) -> Row {
        Row { line, callee: Ok(json!({ "calledNumber": number })) }
    }

    #[test]
    fn a_batch_ends_at_its_number_of_rows_also_of_refused_ones() {
        let mut batch = Batch::of(2);
        assert!(batch.add(row(2, "1")).is_none());
        assert!(batch.add(Row { line: 3, callee: Err(too_long(3)) }).is_none());
        let full = batch.add(row(4, "2")).unwrap();
        assert_eq!((full.callees.len(), full.refused.len(), full.lines), (1, 1, vec![2]));
        assert_eq!(batch.lines, [4]);
    }

    #[test]
    fn a_batch_ends_before_it_is_too_large_and_a_huge_row_is_refused() {
        let mut batch = Batch::of(5_000);
        let half = "1".repeat(MOST_BYTES / 2);
        assert!(batch.add(row(2, &half)).is_none());
        assert!(batch.add(row(3, &half)).is_some());
        let before = batch.add(row(4, &"1".repeat(MOST_BYTES))).unwrap();
        assert_eq!(before.lines, [3]);
        assert_eq!((batch.callees.len(), batch.refused[0].line), (0, 4));
    }

    #[test]
    fn huge_rows_that_are_refused_are_not_kept_by_the_thousand() {
        let mut batch = Batch::of(5_000);
        let refused = |line| Err(RefusedRow { callee: json!({ "note": "1".repeat(MOST_BYTES) }), ..too_long(line) });
        assert!(batch.add(Row { line: 2, callee: refused(2) }).is_none());
        let before = batch.add(Row { line: 3, callee: refused(3) }).unwrap();
        assert_eq!((before.refused[0].line, batch.refused[0].line), (2, 3));
    }

    #[test]
    fn the_message_id_depends_on_task_place_and_content() {
        let (task, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let body = json!({"callees": [{"calledNumber": "1"}]});
        let id = message_id(task, 1, &body);
        assert_eq!(id, message_id(task, 1, &body));
        for different in [message_id(other, 1, &body), message_id(task, 2, &body), message_id(task, 1, &json!({}))] {
            assert_ne!(id, different);
        }
    }
}
