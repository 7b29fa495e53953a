//! The operator's endpoint: `/metrics` for Prometheus, `/health/live` and `/health/ready` for whoever starts daemons.
//!
//! It must never be a reason not to dial: where its address is taken, by another daemon of the host for example, the
//! daemon goes on without it and tries again until the address is free. It must cost nothing either: a scrape reads
//! memory alone, the store is asked at most once a second whether it answers, and connections are few and short.

mod door;
mod health;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::consumer::Subscriptions;
use crate::dialer::Trunks;
use crate::retry::Delays;
use crate::settings::Admin;
use crate::store::Store;
use crate::telemetry::metrics::{Metrics, OUTBOX_WAITING};
use door::Door;
use health::Health;

/// How often observations are summed up.
const BETWEEN_SUMS: Duration = Duration::from_secs(5);

/// What the operator may see.
#[derive(Debug)]
pub struct Context {
    pub settings: Admin,
    pub metrics: Metrics,
    pub store: Store,
    pub trunks: Trunks,
    pub subscriptions: watch::Receiver<Subscriptions>,
    /// Cancelled when no call may start any more.
    pub drain: CancellationToken,
    /// Cancelled when the daemon has nothing left to show.
    pub end: CancellationToken,
}

/// Serves until the end.
pub async fn run(context: Context) {
    let end = context.end.clone();
    let shown = Arc::new(Shown { health: Health::default(), context });
    tokio::select! {
        () = end.cancelled() => {}
        () = keep_summing(&shown.context.metrics) => {}
        () = serve(shown.clone()) => {}
    }
}

async fn keep_summing(metrics: &Metrics) {
    let mut sums = tokio::time::interval(BETWEEN_SUMS);
    loop {
        sums.tick().await;
        metrics.tidy();
    }
}

/// What every request is answered from.
struct Shown {
    context: Context,
    health: Health,
}

async fn serve(shown: Arc<Shown>) {
    let Some(address) = shown.context.settings.bind else { return std::future::pending().await };
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(async || "live\n"))
        .route("/health/ready", get(async |State(shown): State<Arc<Shown>>| shown.health.of(&shown.context).await))
        .with_state(shown);
    let mut delays = Delays::up_to(Duration::from_secs(10));
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let address = listener.local_addr().unwrap_or(address).to_string();
                tracing::info!(address, "the operator's endpoint is open");
                // It ends only by an error that no later request would meet.
                drop(axum::serve(Door::new(listener), routes.clone()).await);
            }
            Err(error) if !told => {
                told = true;
                tracing::warn!(%address, %error, "the operator's endpoint cannot be opened; it is tried again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(delays.next_delay()).await;
    }
}

async fn metrics(State(shown): State<Arc<Shown>>) -> impl IntoResponse {
    let Context { metrics, store, trunks, .. } = &shown.context;
    trunks.measure(metrics);
    #[allow(clippy::cast_precision_loss, reason = "nobody has so many events")]
    metrics.gauge(&OUTBOX_WAITING, &[]).set(store.feed().unpublished() as f64);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.text())
}
