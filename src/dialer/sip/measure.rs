//! What the operator's gauges show of SIP: read when somebody asks, so that no call costs anything for it.

use super::line::Line;
use super::lock;
use super::stack::Stack;
use crate::telemetry::metrics::{
    Metric, Metrics, SIP_ANSWERS, SIP_CALLS, SIP_DIALOGS, SIP_TRANSACTIONS, TRUNK_PAUSED, TRUNK_SERVERS, TRUNK_SLOWED,
};

impl Line {
    pub(super) fn measure(&self, metrics: &Metrics) {
        let trunk = [self.trunk.0.as_str()];
        set(metrics, (&SIP_CALLS, &trunk), lock(&self.up).len());
        let (up, all) = self.servers.count();
        set(metrics, (&TRUNK_SERVERS, &[trunk[0], "up"]), up);
        set(metrics, (&TRUNK_SERVERS, &[trunk[0], "down"]), all - up);
        set(metrics, (&TRUNK_PAUSED, &trunk), usize::from(self.gate.is_paused()));
        metrics.gauge(&TRUNK_SLOWED, &trunk).set(self.gate.pace().map_or(0.0, f64::from));
    }
}

impl Stack {
    /// Sets the gauges of what all trunks share.
    pub fn measure(&self, metrics: &Metrics) {
        let transactions = self.endpoint.get_stats();
        set(metrics, (&SIP_TRANSACTIONS, &["running"]), transactions.running_transactions);
        set(metrics, (&SIP_TRANSACTIONS, &["waiting"]), transactions.waiting_ack);
        set(metrics, (&SIP_DIALOGS, &[]), self.legs.count());
        set(metrics, (&SIP_ANSWERS, &[]), self.answers.count());
    }
}

#[allow(clippy::cast_precision_loss, reason = "nobody has so many calls")]
fn set(metrics: &Metrics, (metric, labels): (&Metric, &[&str]), value: usize) {
    metrics.gauge(metric, labels).set(value as f64);
}
