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
use crate::domain::ids::Holder;
use crate::retry::Delays;
use crate::settings::Settings;
use crate::store::Store;
use stages::Stages;

/// How long the hung-up calls may take to be recorded and told of.
const AFTER_ABORT: Duration = Duration::from_secs(15);

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Runs until a signal or a fallen stage, and stops in two steps.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("signals cannot be handled")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let holder = Holder(uuid::Uuid::new_v4());
    tracing::info!(node = settings.node.name, %holder, version = env!("CARGO_PKG_VERSION"), "starting");
    let (store, feed) = Store::new(&settings.database, holder);
    // Spawned, because a migration must not be dropped half-way.
    let prepared = tokio::spawn(prepare(store.clone(), settings.database.migrate_on_start));
    tokio::select! {
        prepared = prepared => prepared.context("the preparation fell")?,
        name = signals.next() => {
            tracing::info!(signal = name, "stopping before the start");
            return Ok(ExitCode::SUCCESS);
        }
    }
    let mut stages = Stages::start(&settings, (store.clone(), feed), clock).context("the stages cannot be started")?;
    let fell = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, grace = ?settings.shutdown.grace, "draining");
            false
        }
        stage = stages.fallen() => {
            tracing::error!(stage, "ALARM: a stage fell; draining");
            true
        }
    };
    systemd::stopping();
    let drained = drain(&mut stages, &mut signals, settings.shutdown.grace).await;
    if let Err(error) = store.sign_off().await {
        tracing::warn!(%error, "not signed off; others wait for the heartbeat to be gone");
    }
    tracing::info!(clean = drained && !fell, "stopped");
    Ok(if drained && !fell { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Waits for the database and brings it up to date.
async fn prepare(store: Store, migrate: bool) {
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
async fn drain(stages: &mut Stages, signals: &mut Signals, grace: Duration) -> bool {
    stages.drain();
    tokio::select! {
        clean = stages.ended() => return clean,
        () = tokio::time::sleep(grace) => tracing::warn!("the grace is over: hanging up"),
        name = signals.next() => tracing::warn!(signal = name, "a second signal: hanging up"),
    }
    stages.hang_up();
    match tokio::time::timeout(AFTER_ABORT, stages.ended()).await {
        Ok(clean) => clean,
        Err(_) => {
            tracing::error!("ALARM: the stages did not end; what is open is settled at the next start");
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
