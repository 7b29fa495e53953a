//! A list of the daemon's, page by page: a table for people, one JSON document a line for scripts.
//!
//! Must not hold more than a page: a task may have a million callees.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::input::without_nulls;
use super::output;
use super::reply::{self, items};
use super::session::Session;
use super::table::Table;

/// Rows of one answer.
const PAGE: u32 = 1_000;

/// What is asked, and how it is shown.
pub struct Listing<const N: usize> {
    pub query: &'static str,
    /// Its fields; those without a value are left out.
    pub question: Value,
    pub headings: [&'static str; N],
    /// What is said where there is nothing.
    pub nothing: &'static str,
}

impl<const N: usize> Listing<N> {
    pub async fn print(self, session: &Session, row: impl Fn(&Value) -> [String; N]) -> anyhow::Result<ExitCode> {
        let mut client = session.client().await?;
        let mut question = without_nulls(self.question);
        question["limit"] = json!(PAGE);
        let (mut table, mut rows) = (Table::new(self.headings), 0);
        loop {
            let page = client.query(self.query, &question).await?;
            if let Err(refusal) = reply::judge(&page) {
                if session.json {
                    output::document(&page)?;
                }
                return Err(refusal.into());
            }
            let items = items(&page, "items");
            rows += items.len();
            if session.json {
                items.iter().try_for_each(output::document)?;
            } else if !items.is_empty() {
                items.iter().for_each(|item| table.row(row(item)));
                output::lines(&table.part())?;
            }
            match page.get("next") {
                Some(next) if !next.is_null() => question["after"] = next.clone(),
                _ => break,
            }
        }
        if rows == 0 && !session.json {
            output::line(self.nothing)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
