//! Daemons with different trunks in their settings: any of them may take a command, and only one of them can place
//! the calls.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::agreement::assert_agree_after_a_crash;
use crate::harness::orders::{self, rows, with};
use crate::harness::patience::{LATER, SOON, until};
use crate::harness::plan::Plan;
use crate::harness::record::Record;
use crate::harness::site::{self, Site};

const CALLEES: usize = 40;
const MISSED: &str = "ALARM: nobody dials for a service instance: no live daemon has its trunk in the settings";

/// A lease's length, the time that nobody may dial for it, and the time between two looks: 32 s, and some more.
const MISSED_BY: Duration = Duration::from_secs(45);

/// A service instance on the trunk that only the second daemon has.
fn on_berlin(id: &str, max_concurrent: u32) -> Value {
    with(orders::line(id, max_concurrent, 50), "trunk", json!("berlin"))
}

fn with_berlin(record: &Path) -> Plan {
    let more = format!(
        "[trunks.berlin]\nkind = \"simulated\"\nmax_channels = 10\nring_millis = [500, 500]\n\
         talk_millis = [500, 500]\nrecord = {record:?}\n[trunks.berlin.results]\nANSWERED = 1\n"
    );
    Plan { more, ..Plan::default() }
}

fn counted(task: &Value, state: &str) -> u64 {
    task["counts"][state].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_one_daemon_can_dial_is_known_to_all_and_missed_by_all() {
    let mut site = Site::start("missed", &Plan::default()).await;
    // The first daemon consumes commands, and goes on to.
    site.upstream.reject("service-instance.put", &on_berlin(orders::LINE, 5), &["TRUNK_UNKNOWN trunk"]).await;
    let record = site::folder("missed-carrier").join("berlin.jsonl");
    let mut beside = site.start_beside(&with_berlin(&record)).await;
    site.upstream.accept("agent.put", &orders::agent(orders::AGENT)).await;
    site.upstream.accept("service-instance.put", &on_berlin(orders::LINE, 8)).await;
    let too_much = site.upstream.command("service-instance.put", &on_berlin("line-2", 3)).await;
    too_much.assert_code("TRUNK_OVERCOMMITTED");
    let task = site.create("by the second", 5).await;
    site.import(&task, &rows(0..CALLEES)).await;
    let some_ended = || (Record::read(&record).ended() >= 10).then_some(());
    until("calls that ended at the one that has the trunk", SOON, some_ended).await;
    beside.daemon.kill();
    let ended = Record::read(&record).ended() as u64;

    let missed = || site.daemon.has_logged(MISSED).then_some(());
    until("the alarm of the one that is left", MISSED_BY, missed).await;
    let told = site.task(&task).await;
    // The ends of the last five calls may not have been written down, and five more begun.
    let (calling, completed) = (counted(&told, "calling"), counted(&told, "completed"));
    assert!(calling <= 10 && completed + 5 >= ended, "{told}, while {ended} calls had ended");

    let mut beside = site.start_beside(&with_berlin(&record)).await;
    site.ledger.completed(&task, LATER).await;
    beside.daemon.stop(SOON).await;
    site.daemon.stop(SOON).await;
    site.ledger.settle().await;
    assert_agree_after_a_crash(&Record::read(&record), &site.ledger.events(), CALLEES);
}
