//! The daemon: starts the stages, says when it is ready, and stops in two steps.
//!
//! *Drain*: nothing more is consumed or claimed; calls go on; the publisher empties the outbox last. *Abort*,
//! after the grace or at a second signal: every call is hung up, recorded and told of. A stage that falls drains
//! the daemon and fails its exit code; starting it again is systemd's part.

mod stages;
mod systemd;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::dialer::{Survivor, Trunks};
use crate::domain::ids::Holder;
use crate::retry::Delays;
use crate::settings::Settings;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use stages::Stages;

/// How long what is left may take: the carrier's last word (64*T1, the library's rounding, a little), its recording, and
/// that it is told of. Without that word nobody knows whether a phone rings, and the callee would pay for it.
const AFTER_ABORT: Duration = Duration::from_secs(45);

/// Who asks the daemon to stop: once for the drain, once more for the abort.
enum Stop {
    /// SIGTERM and SIGINT.
    Signals(Signal, Signal),
    /// Whoever runs the daemon within its own process.
    Token(Option<CancellationToken>),
}

impl Stop {
    fn signals() -> std::io::Result<Self> {
        Ok(Self::Signals(signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
    }

    async fn next(&mut self) -> &'static str {
        match self {
            Self::Signals(terminate, interrupt) => tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            },
            Self::Token(token) => {
                match token {
                    Some(token) => token.cancelled().await,
                    // It asks but once.
                    None => std::future::pending().await,
                }
                *token = None;
                "a token"
            }
        }
    }
}

/// Runs until a signal or a fallen stage, and stops in two steps.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let stop = Stop::signals().context("signals cannot be handled")?;
    let clean = run_until(stop, &settings, Arc::new(SystemClock)).await?;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same within a process that goes on, by another clock, until `stop` is cancelled; `true` when it ended as it
/// should. Leases, time-outs and the bus keep to the machine's time.
pub async fn run_inside(settings: &Settings, clock: Arc<dyn Clock>, stop: CancellationToken) -> anyhow::Result<bool> {
    run_until(Stop::Token(Some(stop)), settings, clock).await
}

async fn run_until(mut stop: Stop, settings: &Settings, clock: Arc<dyn Clock>) -> anyhow::Result<bool> {
    let holder = Holder(uuid::Uuid::new_v4());
    tracing::info!(node = settings.node.name, %holder, version = env!("CARGO_PKG_VERSION"), "starting");
    let (store, feed) = Store::new(&settings.database, holder);
    // Spawned, because a statement must not be dropped half-way.
    let prepared = tokio::spawn(prepare(store.clone(), settings.clone(), clock.clone()));
    let opened = tokio::select! {
        prepared = prepared => prepared.context("the preparation fell")?.context("the trunks cannot be opened")?,
        asked_by = stop.next() => {
            tracing::info!(asked_by, "stopping before the start");
            return Ok(true);
        }
    };
    let stages = Stages::start(settings, (store.clone(), feed), clock, opened);
    let mut stages = stages.context("the stages cannot be started")?;
    let fell = tokio::select! {
        asked_by = stop.next() => {
            tracing::info!(asked_by, grace = ?settings.shutdown.grace, "draining");
            false
        }
        stage = stages.fallen() => {
            tracing::error!(stage, "ALARM: a stage fell; draining");
            true
        }
    };
    systemd::stopping();
    let drained = drain(&mut stages, &mut stop, settings.shutdown.grace).await;
    if let Err(error) = store.sign_off().await {
        tracing::warn!(%error, "not signed off; others wait for the heartbeat to be gone");
    }
    tracing::info!(clean = drained && !fell, "stopped");
    Ok(drained && !fell)
}

/// What is there before any stage is.
struct Opened {
    trunks: Trunks,
    survivors: Vec<Survivor>,
    metrics: Metrics,
}

/// Waits for the database and brings it up to date; then opens the trunks, because calls may be up already.
async fn prepare(store: Store, settings: Settings, clock: Arc<dyn Clock>) -> std::io::Result<Opened> {
    bring_up_to_date(&store, settings.database.migrate_on_start).await;
    let metrics = Metrics::default();
    let (trunks, survivors) = Trunks::open((&settings.trunks, &settings.sip), &clock, &store, &metrics).await?;
    Ok(Opened { trunks, survivors, metrics })
}

async fn bring_up_to_date(store: &Store, migrate: bool) {
    let mut delays = Delays::up_to(Duration::from_secs(5));
    loop {
        let outcome = match migrate {
            true => store.migrate().await.map(|applied| tracing::info!(?applied, "the schema is up to date")),
            false => store.ping().await,
        };
        match outcome {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "waiting for the database"),
        }
        tokio::time::sleep(delays.next_delay()).await;
    }
}

/// Drains, then aborts; `true` when every stage ended by itself.
async fn drain(stages: &mut Stages, stop: &mut Stop, grace: Duration) -> bool {
    stages.drain();
    tokio::select! {
        clean = stages.ended() => return clean,
        () = tokio::time::sleep(grace) => tracing::warn!("the grace is over: hanging up"),
        asked_by = stop.next() => tracing::warn!(asked_by, "asked a second time: hanging up"),
    }
    stages.hang_up();
    match tokio::time::timeout(AFTER_ABORT, stages.ended()).await {
        Ok(clean) => clean,
        Err(_) => {
            let stages = stages.unfinished().join(", ");
            tracing::error!(stages, "ALARM: stages did not end; what is open is settled at the next start");
            false
        }
    }
}

/// Asks for the watchdog's ping as long as the runtime turns.
fn keep_watchdog_fed(stop: CancellationToken) {
    if let Some(interval) = systemd::watchdog_interval() {
        tokio::spawn(async move {
            while !stop.is_cancelled() {
                systemd::alive();
                tokio::time::sleep(interval / 2).await;
            }
        });
    }
}
