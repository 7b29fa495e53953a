//! The settings of one test's daemon, written as its operator would write them.

use std::fmt::Write;
use std::path::Path;

use super::servers::Place;

/// What differs from test to test. Short calls that are all answered, unless a test wants others.
#[derive(Debug, Clone)]
pub struct Plan {
    pub ring_millis: [u32; 2],
    pub talk_millis: [u32; 2],
    /// How often each result is drawn.
    pub results: Vec<(&'static str, u32)>,
    /// The results of numbers, by their last digits.
    pub force: Vec<(&'static str, &'static str)>,
    pub grace_seconds: u32,
    /// How long the broker may take for a message.
    pub publish_timeout_seconds: u32,
    /// How soon a callee is called again whose call was not counted.
    pub uncounted_retry_seconds: u32,
    /// Where the operator's endpoint is; by default nowhere.
    pub admin: &'static str,
    /// The highest concurrency of a task.
    pub task_concurrency: u32,
    /// Further sections.
    pub more: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            ring_millis: [10, 50],
            talk_millis: [10, 50],
            results: vec![("ANSWERED", 1)],
            force: Vec::new(),
            grace_seconds: 30,
            publish_timeout_seconds: 10,
            uncounted_retry_seconds: 5,
            admin: "",
            task_concurrency: 1_000,
            more: String::new(),
        }
    }
}

impl Plan {
    /// Calls that all last about this long.
    pub fn lasting(talk_millis: u32) -> Self {
        Self { talk_millis: [talk_millis; 2], ..Self::default() }
    }

    /// The settings file. A quoted text of Rust is one of TOML too, as long as it is plain ASCII.
    pub fn toml(&self, place: &Place, record: &Path) -> String {
        let Self { ring_millis, talk_millis, grace_seconds, uncounted_retry_seconds, admin, .. } = self;
        let Self { publish_timeout_seconds, task_concurrency, more, .. } = self;
        let Place { database_url, amqp_url, prefix } = place;
        let mut toml = format!(
            "[node]\nname = \"test-node\"\n\
             [database]\nurl = {database_url:?}\n\
             [bus]\nurl = {amqp_url:?}\nprefix = {prefix:?}\npublish_timeout_seconds = {publish_timeout_seconds}\n\
             [limits]\ntask_concurrency = {task_concurrency}\nuncounted_retry_seconds = {uncounted_retry_seconds}\n\
             [shutdown]\ngrace_seconds = {grace_seconds}\n\
             [admin]\nbind = {admin:?}\n[logging]\nformat = \"json\"\n\
             [trunks.simulated]\nkind = \"simulated\"\nseed = 7\nrecord = {record:?}\n\
             ring_millis = {ring_millis:?}\ntalk_millis = {talk_millis:?}\n\
             [trunks.simulated.results]\n"
        );
        for (result, weight) in &self.results {
            writeln!(toml, "{result} = {weight}").unwrap();
        }
        writeln!(toml, "[trunks.simulated.force]").unwrap();
        for (ending, results) in &self.force {
            writeln!(toml, "{ending:?} = {results:?}").unwrap();
        }
        writeln!(toml, "{more}").unwrap();
        toml
    }
}
