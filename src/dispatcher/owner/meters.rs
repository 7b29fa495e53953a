//! What one owner shows to the operator: whether it dials, its slots, and its calls.
//!
//! Must not decide anything: the pool counts for itself.

use metrics::Gauge;

use crate::domain::call::{CallResult, Scope};
use crate::domain::ids::{ServiceInstanceId, TrunkName};
use crate::domain::pool::Pool;
use crate::telemetry::metrics::{CALLS_ENDED, CALLS_PLACED, LEASE_HELD, Metrics, SLOTS_HELD, SLOTS_LIMIT};

/// The meters of one owner.
pub(super) struct Meters {
    metrics: Metrics,
    lease: Gauge,
    held: Gauge,
    limit: Gauge,
    /// That of the service instance, when it was looked at last.
    trunk: TrunkName,
}

impl Meters {
    pub fn new(metrics: Metrics, service_instance: &ServiceInstanceId) -> Self {
        let labels = [service_instance.0.as_str()];
        let lease = metrics.gauge(&LEASE_HELD, &labels);
        let (held, limit) = (metrics.gauge(&SLOTS_HELD, &labels), metrics.gauge(&SLOTS_LIMIT, &labels));
        Self { metrics, lease, held, limit, trunk: TrunkName::new("unknown") }
    }

    pub fn set_trunk(&mut self, trunk: &TrunkName) {
        self.trunk = trunk.clone();
    }

    pub fn set(&self, dials: bool, pool: &Pool) {
        self.lease.set(f64::from(u8::from(dials)));
        self.held.set(pool.held());
        // What another daemon may hold is its own to show.
        self.limit.set(if dials { pool.limit() } else { 0 });
    }

    pub fn placed(&self) {
        self.metrics.counter(&CALLS_PLACED, &[&self.trunk.0]).increment(1);
    }

    pub fn ended(&self, (result, scope): (CallResult, Scope)) {
        let labels = [self.trunk.0.as_str(), result.as_str(), scope.as_str()];
        self.metrics.counter(&CALLS_ENDED, &labels).increment(1);
    }
}
