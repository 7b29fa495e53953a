//! One run from the empty database to the dump.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::aftermath::Aftermath;
use super::aimed;
use super::carrier::Carrier;
use super::consumer::Consumer;
use super::disk;
use super::faults::{self, Fault};
use super::fleet::Fleet;
use super::harness::daemon::command;
use super::harness::patience::{LATER, SOON, until};
use super::harness::servers::Servers;
use super::harness::site::folder;
use super::nemesis::{Means, Nemesis};
use super::outages::Outages;
use super::plan::{Scale, World, settings};
use super::producer::Producer;
use super::proxy::Network;
use super::sessions::Snapshot;
use super::witness;

/// How often a run says how far it is.
const NEWS: Duration = Duration::from_secs(10);
/// After so long without any, none will come: longer than a takeover and the longest calls together.
const NO_NEWS: Duration = Duration::from_secs(90);

/// Runs, and gives the folder with the evidence.
pub async fn run(scale: Scale, services: OsString) -> PathBuf {
    let folder = folder(&scale.name());
    println!("{scale:?}\nthe evidence: {}", folder.display());
    let servers = Servers::fresh().await;
    let place = servers.place.clone();
    let mut faults = faults::allowed(&scale);
    disk::give_a_small_one(&place, &services, &mut faults).await;
    if faults.contains(&Fault::Clock) {
        assert!(Command::new(&services).arg("faketime").status().unwrap().success(), "no clock can be made wrong");
    }
    let migration = folder.join("migration.toml");
    fs::write(&migration, settings(&place, (1, 1), &folder.join("unused.jsonl"))).unwrap();
    assert!(command(&["migrate"], &migration).output().unwrap().status.success(), "calltaskd migrate failed");
    witness::set_up(&place.database_url).await;
    let world = World::new(&scale);
    let mut plan = world.for_the_checker();
    plan["faults"] = json!(faults.iter().map(|fault| fault.name()).collect::<Vec<_>>());
    plan["faultsOfAKind"] = json!(scale.faults_of_a_kind());
    fs::write(folder.join("plan.json"), plan.to_string()).unwrap();

    let snapshot = Snapshot::hold(&place);
    let consumer = Consumer::open(&place, &folder).await;
    let mut carrier = Carrier::start(&folder, scale.seed).await;
    let network = Arc::new(Network::before(&place).await);
    let mut fleet = Fleet::start(&folder, &network.place(&place), &carrier, scale.without()).await;
    let mut producer = Producer::new(&place, &folder, &scale);
    producer.found(&world, carrier.agent_port).await;
    let tasks = world.tasks();
    let producing = tokio::spawn(async move { producer.import(&world, scale).await });
    let outages = Outages::new(services, &place, network.clone());
    let means = Means { outages, moods: carrier.moods.clone() };
    let nemesis = Nemesis::new(&folder, &scale, faults, means);
    let aftermath = Aftermath::of(&folder, &scale);
    let calm = CancellationToken::new();
    let harassing = scale.aimed.map(|aim| tokio::spawn(aimed::harass(aim, place.clone(), calm.clone())));
    nemesis.rage(&mut fleet, &aftermath).await;
    calm.cancel();
    if let Some(harassing) = harassing {
        harassing.await.unwrap();
    }
    let calm_since = Instant::now();
    producing.await.unwrap();

    wait_for_the_last(&consumer, &tasks, scale.callees).await;
    aftermath.wait_for_quiet(&mut fleet, calm_since).await;
    fleet.stop().await;
    carrier.stop().await;
    drop(snapshot);
    let marker = consumer.mark().await;
    until("the last event", SOON, || consumer.has_seen(&marker).then_some(())).await;
    aftermath.look_into_queues(&place).await;
    witness::dump(&place.database_url, &folder).await;
    folder
}

/// Waits until every callee is final and every task completed, or until nothing comes any more: then the checker says
/// what is missing.
async fn wait_for_the_last(consumer: &Consumer, tasks: &[Uuid], callees: usize) {
    let (mut told, mut news) = ((0, 0), Instant::now());
    until("every callee to be final and every task completed", 5 * LATER, || {
        let heard = consumer.heard();
        let completed: u64 = tasks.iter().filter_map(|task| heard.completed.get(task)).sum();
        let now = (heard.final_callees.len(), completed);
        if now != told && news.elapsed() > NEWS {
            (told, news) = (now, Instant::now());
            println!("      {} of {callees} callees are final", now.0);
        }
        let given_up = news.elapsed() > NO_NEWS;
        (now == (callees, callees as u64) || given_up).then_some(())
    })
    .await;
}
