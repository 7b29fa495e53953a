//! Every metric by name, with what it counts, and the recorder that one daemon's are kept in.
//!
//! The recorder is the daemon's own and is handed to whoever counts, because several daemons may run in one process and
//! a global one would add them up. A label must have few values and tell nobody's number: trunks, service instances and
//! words of ours only. `docs/operations.md` lists the same metrics; a test holds the two equal.

use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only rises; begins at zero with the daemon.
    Counter,
    /// It is what it is now.
    Gauge,
    /// It counts observations by their size.
    Histogram,
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! metrics_list {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $unit:ident, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name, kind: Kind::$kind, unit: Unit::$unit, labels: &[$($label),*], help: $help,
            };
        )*
        /// Every metric.
        pub const ALL: &[&Metric] = &[$(&$constant),*];
    };
}

metrics_list! {
    BUILD_INFO = Gauge "calltaskd_build_info" ["version"] Count, "1, with the version of the daemon.";
    CALLS_PLACED = Counter "calltaskd_calls_placed_total" ["trunk"] Count, "Calls handed to the trunk.";
    CALLS_ENDED = Counter "calltaskd_calls_ended_total" ["trunk", "result", "scope"] Count,
        "Attempts whose end is committed: as many as there are call.ended events.";
    CALL_SETUP = Histogram "calltaskd_call_setup_seconds" ["trunk"] Seconds, "From the INVITE to the callee's answer, over SIP.";
    SIP_CALLS = Gauge "calltaskd_sip_calls" ["trunk"] Count, "Calls over SIP that are up, from the INVITE to the carrier's last word.";
    SIP_DIALOGS = Gauge "calltaskd_sip_dialogs" [] Count, "Legs that can be spoken to: two for each call with its agent.";
    SIP_TRANSACTIONS = Gauge "calltaskd_sip_transactions" ["state"] Count,
        "SIP transactions: running, or waiting for an ACK.";
    SIP_ANSWERS = Gauge "calltaskd_sip_answers_remembered" [] Count,
        "INVITEs whose answers may still be repeated: until 32 s after the last word, and up to 5 s more.";
    TRUNK_SERVERS = Gauge "calltaskd_trunk_servers" ["trunk", "state"] Count,
        "Servers of a SIP trunk: up, or down (no connection to it, or no answer to OPTIONS).";
    TRUNK_PAUSED = Gauge "calltaskd_trunk_paused" ["trunk"] Count, "1 while a SIP trunk gets no calls because it failed them.";
    TRUNK_SLOWED = Gauge "calltaskd_trunk_slowed_to" ["trunk"] Count,
        "Calls per second that an overloaded SIP trunk is slowed down to; 0 while it is not.";
    LEASE_HELD = Gauge "calltaskd_lease_held" ["service_instance"] Count,
        "1 while this daemon dials for the service instance.";
    SLOTS_HELD = Gauge "calltaskd_slots_held" ["service_instance"] Count, "Slots that calls hold.";
    SLOTS_LIMIT = Gauge "calltaskd_slots_limit" ["service_instance"] Count,
        "Slots that calls may hold, as long as this daemon dials for the service instance.";
    COMMANDS = Counter "calltaskd_commands_total" ["command", "outcome"] Count,
        "Commands consumed: accepted, rejected, or dead (to the dead letters).";
    RECORDINGS = Counter "calltaskd_recordings_total" ["outcome"] Count,
        "Recordings that were fetched: kept, or failed when no further try is made.";
    OUTBOX_WAITING = Gauge "calltaskd_outbox_waiting" [] Count,
        "Events of this daemon that the broker has not confirmed; parked ones are not counted.";
    EVENTS_CONFIRMED = Counter "calltaskd_events_confirmed_total" [] Count, "Events that the broker confirmed.";
    EVENTS_PARKED = Counter "calltaskd_events_parked_total" [] Count, "Events parked, because no queue is bound for them.";
}

/// From a local network to a phone that rings for as long as it may.
const SETUP_BUCKETS: [f64; 14] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 7.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0];

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The metrics of one daemon; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let setup = Matcher::Full(CALL_SETUP.name.to_owned());
        let builder = PrometheusBuilder::new();
        // Refused only where there are no buckets.
        let builder = builder.set_buckets_for_metric(setup, &SETUP_BUCKETS).unwrap_or_default();
        let recorder = builder.build_recorder();
        for metric in ALL {
            let (name, unit, help) = (metric.name.into(), Some(metric.unit), metric.help.into());
            match metric.kind {
                Kind::Counter => recorder.describe_counter(name, unit, help),
                Kind::Gauge => recorder.describe_gauge(name, unit, help),
                Kind::Histogram => recorder.describe_histogram(name, unit, help),
            }
        }
        let metrics = Self { handle: recorder.handle(), recorder: Arc::new(recorder) };
        metrics.gauge(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")]).set(1);
        metrics
    }
}

impl Metrics {
    /// A counter, with a value for each of its labels in their order.
    pub fn counter(&self, metric: &Metric, values: &[&str]) -> Counter {
        debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
        self.recorder.register_counter(&key(metric, values), &METADATA)
    }

    /// A gauge, with a value for each of its labels in their order.
    pub fn gauge(&self, metric: &Metric, values: &[&str]) -> Gauge {
        debug_assert_eq!(metric.kind, Kind::Gauge, "{}", metric.name);
        self.recorder.register_gauge(&key(metric, values), &METADATA)
    }

    /// A histogram, with a value for each of its labels in their order.
    pub fn histogram(&self, metric: &Metric, values: &[&str]) -> Histogram {
        debug_assert_eq!(metric.kind, Kind::Histogram, "{}", metric.name);
        self.recorder.register_histogram(&key(metric, values), &METADATA)
    }

    /// All of it, in the text format of Prometheus.
    pub fn text(&self) -> String {
        self.handle.render()
    }

    /// Sums up what was observed. Observations wait in memory for this, also where nobody ever asks for the text.
    pub fn tidy(&self) {
        self.handle.run_upkeep();
    }
}

fn key(metric: &Metric, values: &[&str]) -> Key {
    debug_assert_eq!(metric.labels.len(), values.len(), "the labels of {}", metric.name);
    let labels = metric.labels.iter().zip(values).map(|(label, value)| Label::new(*label, (*value).to_owned()));
    Key::from_parts(metric.name, labels.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_daemon_counts_for_itself() {
        let (one, other) = (Metrics::default(), Metrics::default());
        one.counter(&CALLS_PLACED, &["carrier"]).increment(2);
        other.counter(&CALLS_PLACED, &["carrier"]).increment(5);
        one.histogram(&CALL_SETUP, &["carrier"]).record(0.3);
        one.tidy();
        let text = one.text();
        assert!(text.contains("calltaskd_calls_placed_total{trunk=\"carrier\"} 2\n"), "{text}");
        assert!(text.contains("# HELP calltaskd_calls_placed_total Calls handed to the trunk."), "{text}");
        assert!(text.contains("calltaskd_call_setup_seconds_bucket{trunk=\"carrier\",le=\"0.5\"} 1\n"), "{text}");
        assert!(other.text().contains("calltaskd_calls_placed_total{trunk=\"carrier\"} 5\n"));
    }

    #[test]
    fn names_tell_kind_and_unit() {
        let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len(), "a name is used twice");
        for metric in ALL {
            assert!(metric.name.starts_with("calltaskd_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert_eq!(metric.name.ends_with("_seconds"), metric.unit == Unit::Seconds, "{}", metric.name);
        }
    }

    /// The table's rows: name with labels, kind, what it counts.
    #[test]
    fn the_operators_table_lists_every_metric_and_no_other() {
        let page = include_str!("../../docs/operations.md");
        let table = page.split("\n## ").find(|section| section.starts_with("Metrics\n")).unwrap();
        let rows: BTreeSet<String> =
            table.lines().filter(|line| line.starts_with("| `calltaskd_")).map(str::to_owned).collect();
        let expected: BTreeSet<String> = ALL.iter().map(|metric| row(metric)).collect();
        let list = expected.iter().fold(String::new(), |list, row| list + row + "\n");
        assert_eq!(rows, expected, "docs/operations.md must have these rows:\n{list}");
    }

    fn row(metric: &Metric) -> String {
        let labels = match metric.labels {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(", ")),
        };
        let kind = format!("{:?}", metric.kind).to_lowercase();
        format!("| `{}{labels}` | {kind} | {} |", metric.name, metric.help)
    }
}
