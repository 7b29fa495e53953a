//! The section `recordings`: what may be reported, and whether and where recordings are fetched and kept.
//!
//! A URL comes over the bus from a system that only makes calls, and the daemon would ask for it from within the
//! operator's network. So URLs are fetched from the hosts that the operator names, and from no other: an empty list means
//! none, and fetching from everywhere is a decision that has to be written down (`"*"`).

use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;

use super::place::{Place, absolute};
use super::reader::Section;
use crate::domain::fields::{self, Parsed};
use crate::domain::problem::{Code, Problem};
use crate::domain::recording::HostRule;

const FOLDER: &str = "/var/lib/calltaskd/recordings";
const MEBIBYTE: u64 = 1024 * 1024;

/// Recordings that the agent platform reports.
#[derive(Debug, Clone)]
pub struct Recordings {
    /// The folder that reported paths must lie below; without it only URLs can be reported.
    pub root: Option<PathBuf>,
    /// Whether they are fetched; else what was reported is kept as a reference.
    pub fetch: bool,
    /// Where URLs may lead; nowhere without any.
    pub hosts: Vec<HostRule>,
    /// Where what was fetched goes.
    pub place: Place,
    pub most_bytes: u64,
    /// For one try to fetch one recording.
    pub timeout: Duration,
    /// `None`: as long as its task is there.
    pub keep: Option<TimeDelta>,
}

impl Recordings {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let mebibytes = section.number("max_mebibytes", 200, 1..=10_240);
        let keep_days = section.number("keep_days", 0, 0..=36_500);
        let recordings = Self {
            root: section.optional("root", absolute),
            fetch: section.flag("fetch", false),
            hosts: section.optional("hosts", hosts).unwrap_or_default(),
            place: Place::read(section, FOLDER),
            most_bytes: u64::from(mebibytes) * MEBIBYTE,
            timeout: section.seconds("timeout_seconds", 300, 1..=86_400),
            keep: (keep_days > 0).then(|| TimeDelta::days(keep_days.into())),
        };
        recordings.judge(section);
        recordings
    }

    fn judge(&self, section: &mut Section<'_>) {
        if !self.fetch {
            return;
        }
        if self.hosts.is_empty() && self.root.is_none() {
            let message =
                "nothing can be fetched without hosts (for URLs; [\"*\"] for any) or root (for paths); give one";
            section.problem(Problem::of("fetch", Code::Required, message));
        }
        let folder = &self.place.folder;
        if self.root.as_ref().is_some_and(|root| root.starts_with(folder) || folder.starts_with(root)) {
            let message =
                "must not lie within recordings.root, nor that within it: what is kept could be reported again";
            section.problem(Problem::of("folder", Code::InvalidValue, message));
        }
    }
}

/// A list; in the environment a text with commas.
fn hosts(value: &Value) -> Parsed<Vec<HostRule>> {
    let host = |value: &Value| {
        let wrong = || Problem::new(Code::InvalidValue, "must be HOST, HOST:PORT, *.DOMAIN or *, without http://");
        Ok(fields::line(1..=262)(value)?.trim().parse().map_err(|()| wrong())?)
    };
    match value.as_str() {
        Some(text) => {
            let parts: Vec<Value> = text.split(',').filter(|part| !part.trim().is_empty()).map(Value::from).collect();
            fields::list(0..=1_000, host)(&Value::Array(parts))
        }
        None => fields::list(0..=1_000, host)(value),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{found, loaded};
    use crate::domain::problem::Code;

    #[test]
    fn fetching_needs_to_know_from_where() {
        let mistake = |text: &str, key: &str, code| assert_eq!(found(text, &[]), [(format!("recordings.{key}"), code)]);
        mistake("[recordings]\nfetch = true", "fetch", Code::Required);
        mistake("[recordings]\nroot = \"/a\"\nfetch = true\nhosts = [\"https://a\"]", "hosts[0]", Code::InvalidValue);
        let nested = "[recordings]\nfetch = true\nroot = \"/a\"\nfolder = \"/a/b\"";
        mistake(nested, "folder", Code::InvalidValue);
        assert!(loaded("[recordings]\nroot = \"/var/lib/calltaskd/recordings\"", &[]).is_ok());
    }

    #[test]
    fn the_environment_separates_hosts_by_commas() {
        let environment =
            [("CALLTASKD__RECORDINGS__HOSTS", "a.example, *.b.example,"), ("CALLTASKD__RECORDINGS__FETCH", "true")];
        let recordings = loaded("", &environment).unwrap().recordings;
        assert!(recordings.hosts == ["a.example", "*.b.example"].map(|host| host.parse().unwrap()));
        assert_eq!((recordings.fetch, recordings.most_bytes, recordings.keep), (true, 209_715_200, None));
    }
}
