//! Where the log goes and what may stand in it.
//!
//! Must not know the settings (they import this folder) and must never let a phone number or a password
//! through: some libraries write whole messages, statement parameters or URLs, and a filter that an operator
//! sets at night must not be the only thing between those and the log.

mod lines;
pub mod metrics;

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, ParseError, dynamic_filter_fn, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// Directives like `info,calltaskd::dispatcher=debug`; [`filter`] judges them.
    pub level: String,
    pub format: LogFormat,
}

/// The shape of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// The journal when stderr leads there, text on a terminal, else JSON.
    Auto,
    Text,
    Json,
    Journald,
}

impl LogFormat {
    /// Every format with the name that the settings give it.
    pub const ALL: [(&str, Self); 4] =
        [("auto", Self::Auto), ("text", Self::Text), ("json", Self::Json), ("journald", Self::Journald)];
}

/// Why a text is no filter. The message fits a problem of the settings.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error("cannot be understood; write a level or directives, like info,calltaskd=debug")]
    Unreadable(#[from] ParseError),
    #[error("has {0}, which is no level (off, error, warn, info, debug, trace); for a target write {0}=LEVEL")]
    NoLevel(String),
}

/// What these targets say at this level, or at a more talkative one, holds phone numbers or passwords.
///
/// lapin prints a returned message with its body as a warning and every frame at trace level, its transport
/// prints the URL of the broker, tokio-postgres prints the parameters of each statement, and rsipstack prints every SIP
/// message whole.
const CONFIDENTIAL: [(&str, Level); 5] = [
    ("lapin::returned_messages", Level::WARN),
    ("lapin", Level::TRACE),
    ("amq_protocol_tcp", Level::TRACE),
    ("tokio_postgres::query", Level::DEBUG),
    ("rsipstack", Level::INFO),
];

type Output = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts the log of this process. A second start changes nothing: tests run several daemons in one process.
pub fn start(logging: &Logging) {
    let terminal = io::stderr().is_terminal();
    let format = chosen(logging.format, stderr_is_journal(), terminal);
    let (output, failure) = output(format, terminal);
    let filter = filter(&logging.level).unwrap_or_else(|_| EnvFilter::new("info"));
    if subscriber(output, filter, &PROVOKED_LINES).try_init().is_ok()
        && let Some(error) = failure
    {
        tracing::warn!(%error, "the journal cannot be reached, so the log goes to stderr");
    }
}

/// Reads the directives of `logging.level`.
pub fn filter(level: &str) -> Result<EnvFilter, FilterError> {
    // The library takes a lone word for a target and then logs nothing else: "verbose" would mean silence.
    let lone = |word: &&str| !word.is_empty() && !word.contains(['=', '[']);
    for word in level.split(',').map(str::trim).filter(lone) {
        if word.parse::<LevelFilter>().is_err() {
            return Err(FilterError::NoLevel(word.to_owned()));
        }
    }
    Ok(EnvFilter::try_new(level)?)
}

fn subscriber(output: Output, filter: EnvFilter, provoked: &'static Budget) -> impl Subscriber + Send + Sync {
    tracing_subscriber::registry()
        .with(output)
        // Asked for each line that the others let through.
        .with(dynamic_filter_fn(|metadata, _| has_room(metadata, provoked)))
        .with(filter)
        .with(filter_fn(|metadata| !is_confidential(metadata)))
}

/// What strangers can make the SIP library warn of: a line for each message that cannot be read.
const PROVOKED: &str = "rsipstack";
/// Its lines within a minute; more would let anybody fill the disk.
const MOST_PROVOKED: u64 = 20;
static PROVOKED_LINES: Budget = Budget::new();

/// Counts what may be logged within a minute, and what is left out.
struct Budget {
    minute: AtomicU64,
    used: AtomicU64,
    left_out: AtomicU64,
}

impl Budget {
    const fn new() -> Self {
        Self { minute: AtomicU64::new(0), used: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    /// Whether there is room for one more line.
    fn admit(&self, now: u64) -> bool {
        if self.minute.swap(now, Ordering::Relaxed) != now {
            self.used.store(0, Ordering::Relaxed);
        }
        let room = self.used.fetch_add(1, Ordering::Relaxed) < MOST_PROVOKED;
        self.left_out.fetch_add(u64::from(!room), Ordering::Relaxed);
        room
    }
}

/// How many lines of the SIP library were left out of the log since this was asked last.
pub fn take_left_out() -> u64 {
    PROVOKED_LINES.left_out.swap(0, Ordering::Relaxed)
}

fn has_room(metadata: &Metadata<'_>, provoked: &Budget) -> bool {
    !metadata.target().starts_with(PROVOKED) || provoked.admit(minute())
}

/// The minutes since the first such line.
fn minute() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGAN.elapsed().as_secs() / 60
}

fn is_confidential(metadata: &Metadata<'_>) -> bool {
    CONFIDENTIAL.iter().any(|(target, level)| {
        let inner = metadata.target().strip_prefix(target);
        // In tracing's order a more talkative level is the greater one.
        inner.is_some_and(|rest| rest.is_empty() || rest.starts_with("::")) && metadata.level() >= level
    })
}

fn chosen(format: LogFormat, journal: bool, terminal: bool) -> LogFormat {
    match format {
        LogFormat::Auto if journal => LogFormat::Journald,
        LogFormat::Auto if terminal => LogFormat::Text,
        LogFormat::Auto => LogFormat::Json,
        chosen => chosen,
    }
}

/// The layer that writes, and why it is not the wished one: without a journal the log must still go somewhere.
fn output(format: LogFormat, terminal: bool) -> (Output, Option<io::Error>) {
    match format {
        LogFormat::Json => (json(io::stderr), None),
        LogFormat::Journald => match tracing_journald::layer() {
            Ok(journal) => (journal.with_syslog_identifier("calltaskd".to_owned()).boxed(), None),
            Err(error) => (lines::text(terminal, io::stderr), Some(error)),
        },
        LogFormat::Text | LogFormat::Auto => (lines::text(terminal, io::stderr), None),
    }
}

fn json<W>(writer: W) -> Output
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer).boxed()
}

/// True when systemd connected this process's stderr to the journal (systemd.exec(5), `JOURNAL_STREAM`).
///
/// The variable is inherited also by a process whose stderr leads elsewhere by now, so device and inode count.
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() else {
        return false;
    };
    let metadata = File::from(stderr).metadata();
    metadata.is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    pub(super) fn subscribed(level: &str, output: Output, log: impl FnOnce()) {
        // Tests run at the same time, and each may have all that is left of a minute.
        let budget = Box::leak(Box::new(Budget::new()));
        tracing::subscriber::with_default(subscriber(output, filter(level).unwrap(), budget), log);
    }

    fn logged(level: &str, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        subscribed(level, json(move || writer.clone()), log);
        written.text()
    }

    #[test]
    fn no_filter_lets_a_message_body_a_parameter_or_a_url_into_the_log() {
        for level in ["trace", "lapin::returned_messages=trace,tokio_postgres::query=trace,lapin=trace,rsipstack=trace"]
        {
            let log = logged(level, || {
                tracing::warn!(target: "lapin::returned_messages", "body +4930123456");
                tracing::trace!(target: "lapin::channels", "frame +4930123456");
                tracing::trace!(target: "amq_protocol_tcp", "amqp://guest:guest@");
                tracing::debug!(target: "tokio_postgres::query", "parameters +4930123456");
                tracing::info!(target: "rsipstack::transport::udp", "INVITE sip:+4930123456");
                tracing::error!(target: "lapin::returned_messages", "kept one");
                tracing::debug!(target: "lapin::channels", "kept two");
                tracing::info!(target: "tokio_postgres::query", "kept three");
                tracing::warn!(target: "rsipstack::transport::udp", "kept four");
            });
            assert!(!log.contains("+4930") && !log.contains("guest"), "{level}: {log}");
            assert_eq!(log.matches("kept").count(), 4, "{level}: {log}");
        }
    }

    #[test]
    fn strangers_cannot_fill_the_log() {
        let budget = Budget::new();
        let admitted = |minute| (0..1_000).filter(|_| budget.admit(minute)).count();
        assert_eq!((admitted(7), admitted(7), admitted(8)), (20, 0, 20));
        assert_eq!(budget.left_out.load(Ordering::Relaxed), 2_960);
        let log = logged("info", || {
            for _ in 0..1_000 {
                tracing::warn!(target: "rsipstack::transaction::endpoint", "bad message");
                tracing::info!(target: "calltaskd::store", "ours");
            }
        });
        // A minute may end meanwhile.
        assert!(log.matches("bad message").count() <= 40, "{log}");
        assert_eq!(log.matches("ours").count(), 1_000);
    }

    #[test]
    fn the_level_decides_what_is_logged() {
        let log = logged("info,calltaskd::dispatcher=debug", || {
            tracing::debug!(target: "calltaskd::dispatcher", "shown");
            tracing::debug!(target: "calltaskd::store", "hidden");
            tracing::info!(target: "calltaskd::store", number = 7, "shown too");
        });
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(log.contains(r#""message":"shown too","number":7"#), "{log}");
    }

    #[test]
    fn a_filter_is_a_level_or_directives() {
        for good in ["info", "WARN", "off", "info,calltaskd=debug", "calltaskd[call{id=1}]=debug"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        assert!(matches!(filter("verbose"), Err(FilterError::NoLevel(word)) if word == "verbose"));
        for bad in ["calltaskd=loud", "a=b=c", "info,[{"] {
            assert!(matches!(filter(bad), Err(FilterError::Unreadable(_))), "{bad}");
        }
    }

    #[test]
    fn automatic_format_prefers_the_journal_then_the_terminal() {
        assert_eq!(chosen(LogFormat::Auto, true, true), LogFormat::Journald);
        assert_eq!(chosen(LogFormat::Auto, false, true), LogFormat::Text);
        assert_eq!(chosen(LogFormat::Auto, false, false), LogFormat::Json);
        assert_eq!(chosen(LogFormat::Text, true, false), LogFormat::Text);
    }
}
