//! The stages as tasks: what each is given, and the order in which they end.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Opened, keep_watchdog_fed, systemd};
use crate::bus::Bus;
use crate::bus::wire::v1::events::EventWriter;
use crate::bus::wire::v1::reading::Rules;
use crate::clock::Clock;
use crate::consumer::Subscriptions;
use crate::dialer::Trunks;
use crate::domain::redial::UncountedRule;
use crate::domain::service_instance::TrunkCapacities;
use crate::objects::Shelf;
use crate::objects::source::Web;
use crate::publisher::Publisher;
use crate::retry::Delays;
use crate::settings::Settings;
use crate::store::{FeedReader, Store};
use crate::telemetry::metrics::Metrics;
use crate::{admin, archivist, consumer, dispatcher, export, janitor};

/// The running stages.
pub struct Stages {
    /// Everything that may write events.
    writers: JoinSet<(&'static str, bool)>,
    /// The names of those that have not ended.
    unfinished: Vec<&'static str>,
    publisher: BoxFuture<'static, bool>,
    bus: Arc<Bus>,
    trunks: Trunks,
    drain: CancellationToken,
    finish: CancellationToken,
    clean: bool,
}

impl Stages {
    /// Starts all of them.
    pub fn start(
        settings: &Settings,
        (store, feed): (Store, FeedReader),
        clock: Arc<dyn Clock>,
        Opened { trunks, survivors, metrics }: Opened,
    ) -> std::io::Result<Self> {
        let (drain, finish) = (CancellationToken::new(), CancellationToken::new());
        let bus = Arc::new(Bus::new(&settings.bus, &settings.node.name));
        let keep = settings.events.unroutable_keep;
        let publisher = Publisher::new(store.clone(), (bus.clone(), feed), (keep, finish.clone()), &metrics);
        let publisher = tokio::spawn(publisher.run());
        let (subscribed, subscriptions) = watch::channel(Subscriptions::default());
        let parts = Parts { settings, store: store.clone(), bus: bus.clone(), clock, drain: drain.clone(), metrics };
        let consumer = Arc::new(parts.consumer(subscribed));
        let dispatcher = Arc::new(parts.dispatcher(trunks.clone()));
        let shelf = Shelf::open(&settings.exports.place).map_err(std::io::Error::other)?;
        let janitor = janitor::run(parts.janitor(shelf.clone()));
        let export = export::run(Arc::new(parts.export(shelf)));
        let archivist = archivist::run(Arc::new(parts.archivist()?));
        let mut writers = JoinSet::new();
        writers.spawn(async { ("consumer", ended(consumer::run(consumer).await)) });
        writers.spawn(async move { ("dispatcher", ended(dispatcher::run(dispatcher, survivors).await)) });
        writers.spawn(async { ("janitor", ended(tokio::spawn(janitor).await)) });
        writers.spawn(async { ("export", ended(tokio::spawn(export).await)) });
        writers.spawn(async { ("archivist", ended(tokio::spawn(archivist).await)) });
        // No writer and nobody's stage: whatever befalls it, the calls go on.
        tokio::spawn(admin::run(parts.admin((trunks.clone(), subscriptions.clone()), finish.clone())));
        tokio::spawn(announce(subscriptions, store));
        keep_watchdog_fed(finish.clone());
        let publisher = publisher.map(ended).boxed();
        let unfinished = vec!["consumer", "dispatcher", "janitor", "export", "archivist", "publisher"];
        Ok(Self { writers, unfinished, publisher, bus, trunks, drain, finish, clean: true })
    }

    /// Waits for a stage to end although nobody asked it to.
    pub async fn fallen(&mut self) -> &'static str {
        tokio::select! {
            Some(ended) = self.writers.join_next() => {
                self.clean = false;
                ended.map_or("a stage", |(stage, _)| stage)
            }
            _ = &mut self.publisher => {
                self.clean = false;
                self.publisher = std::future::ready(false).boxed();
                "publisher"
            }
        }
    }

    /// Begins the drain.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Lets go of every call.
    pub fn hang_up(&self) {
        self.trunks.hang_up_all();
    }

    /// The stages that have not ended yet.
    pub fn unfinished(&self) -> &[&'static str] {
        &self.unfinished
    }

    /// Waits until all have ended, the publisher last; `true` when none fell.
    pub async fn ended(&mut self) -> bool {
        while let Some(ended) = self.writers.join_next().await {
            if let Ok((stage, _)) = &ended {
                self.unfinished.retain(|name| name != stage);
            }
            self.clean &= ended.is_ok_and(|(_, clean)| clean);
        }
        self.finish.cancel();
        self.clean &= (&mut self.publisher).await;
        self.unfinished.clear();
        // Should this be asked again: a future that is done must not be.
        self.publisher = std::future::ready(self.clean).boxed();
        self.bus.consuming.close().await;
        self.bus.publishing.close().await;
        self.clean
    }
}

fn ended<E: std::fmt::Display>(outcome: Result<(), E>) -> bool {
    if let Err(error) = &outcome {
        tracing::error!(%error, "a stage fell");
    }
    outcome.is_ok()
}

/// Says `ready` when commands and queries are subscribed to and the store answers.
async fn announce(mut subscriptions: watch::Receiver<Subscriptions>, store: Store) {
    let mut delays = Delays::up_to(Duration::from_secs(1));
    while subscriptions.wait_for(Subscriptions::all).await.is_ok() {
        if store.ping().await.is_ok() {
            tracing::info!("ready");
            systemd::ready();
            return;
        }
        tokio::time::sleep(delays.next_delay()).await;
    }
}

/// What the stages are made from.
struct Parts<'s> {
    settings: &'s Settings,
    store: Store,
    bus: Arc<Bus>,
    clock: Arc<dyn Clock>,
    drain: CancellationToken,
    metrics: Metrics,
}

impl Parts<'_> {
    fn admin(
        &self,
        (trunks, subscriptions): (Trunks, watch::Receiver<Subscriptions>),
        end: CancellationToken,
    ) -> admin::Context {
        admin::Context {
            settings: self.settings.admin.clone(),
            metrics: self.metrics.clone(),
            store: self.store.clone(),
            trunks,
            subscriptions,
            drain: self.drain.clone(),
            end,
        }
    }

    fn events(&self) -> EventWriter {
        EventWriter::new(&self.settings.node.name)
    }

    fn capacities(&self) -> TrunkCapacities {
        self.settings.trunks.iter().map(|(name, trunk)| (name.clone(), trunk.capacity())).collect()
    }

    fn consumer(&self, subscribed: watch::Sender<Subscriptions>) -> consumer::Context {
        let settings = self.settings;
        consumer::Context {
            store: self.store.clone(),
            bus: self.bus.clone(),
            clock: self.clock.clone(),
            events: self.events(),
            rules: Rules {
                default_region: settings.numbers.default_region,
                default_time_zone: settings.tasks.time_zone.into(),
                most_concurrency: settings.limits.task_concurrency,
                trunks: self.capacities(),
                recordings_root: settings.recordings.root.clone(),
            },
            fetch_recordings: settings.recordings.fetch,
            drain: self.drain.clone(),
            subscribed,
            metrics: self.metrics.clone(),
        }
    }

    fn dispatcher(&self, trunks: Trunks) -> dispatcher::Context {
        let settings = self.settings;
        dispatcher::Context {
            store: self.store.clone(),
            trunks,
            capacities: self.capacities(),
            clock: self.clock.clone(),
            events: self.events(),
            uncounted: UncountedRule {
                most: settings.limits.uncounted_attempts,
                delay: settings.limits.uncounted_retry,
            },
            high_water: settings.events.high_water,
            node: settings.node.name.clone(),
            drain: self.drain.clone(),
            metrics: self.metrics.clone(),
        }
    }

    fn janitor(&self, shelf: Shelf) -> janitor::Context {
        janitor::Context {
            store: self.store.clone(),
            shelf,
            clock: self.clock.clone(),
            keep_days: self.settings.inbox.keep_days,
            drain: self.drain.clone(),
        }
    }

    fn archivist(&self) -> std::io::Result<archivist::Context> {
        let settings = &self.settings.recordings;
        let sources = || {
            Ok::<_, std::io::Error>(archivist::Sources {
                web: Web::new(Some(settings.hosts.clone())).map_err(std::io::Error::other)?,
                root: settings.root.clone(),
                most_bytes: settings.most_bytes,
                timeout: settings.timeout,
            })
        };
        Ok(archivist::Context {
            store: self.store.clone(),
            shelf: Shelf::open(&settings.place).map_err(std::io::Error::other)?,
            clock: self.clock.clone(),
            sources: settings.fetch.then(sources).transpose()?,
            keep: settings.keep,
            drain: self.drain.clone(),
            metrics: self.metrics.clone(),
        })
    }

    fn export(&self, shelf: Shelf) -> export::Context {
        export::Context {
            store: self.store.clone(),
            shelf,
            clock: self.clock.clone(),
            events: self.events(),
            keep: TimeDelta::days(self.settings.exports.keep_days.into()),
            drain: self.drain.clone(),
        }
    }
}
