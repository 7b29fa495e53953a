//! A carrier that has too much to do for a while: it is given less, then all again, and no callee loses anything by it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::exchange::{agent_record, row, sip_settings};
use crate::harness::downstream::Event;
use crate::harness::orders;
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::{Site, folder};
use crate::sipp::{Counted, Ports, Sipp, play};
use crate::tools;

const CPS: u32 = 20;
const CALLEES: u32 = 260;

fn started_at(event: &Event) -> DateTime<Utc> {
    event.text("startedAt").parse().unwrap()
}

/// A daemon with this carrier as its trunk, and a task for it.
async fn begin(carrier: u16, agent: u16) -> (Site, String) {
    let trunk = format!("[trunks.carrier]\nkind = \"sip\"\naddress = \"127.0.0.1:{carrier}\"\noptions_seconds = 0\n");
    let more = sip_settings() + &trunk;
    let site = Site::start("pace", &Plan { more, uncounted_retry_seconds: 1, ..Plan::default() }).await;
    site.upstream.accept("agent.put", &agent_record(orders::AGENT, agent)).await;
    let line = orders::with(orders::line(orders::LINE, 100, CPS), "trunk", "carrier".into());
    site.upstream.accept("service-instance.put", &line).await;
    let task = site.create("pace", 100).await;
    site.import(&task, &(0..CALLEES as usize).map(row).collect::<Vec<_>>()).await;
    (site, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overloaded_carrier_is_slowed_down_for_and_gets_all_again_when_it_is_well() {
    let (program, folder) = (tools::path("sipp"), folder("pace-peers"));
    let launch = |name: &str, script| Sipp::launch(&program, &folder.join(name), script, Ports::default());
    let carrier = launch("carrier", play("is_overloaded_at_first").times(10_000));
    let agent = launch("agent", play("agent").times(CALLEES));
    carrier.listening().await;
    agent.listening().await;
    let (mut site, task) = begin(carrier.port, agent.port).await;
    let ended = until("every callee to be reached", 3 * SOON, || {
        let ended = site.ledger.about("call.ended", &task);
        let last = ended.iter().filter(|event| event.is_final()).count();
        (last == CALLEES as usize).then_some(ended)
    })
    .await;
    let (refused, answered): (Vec<_>, Vec<_>) = ended.iter().partition(|event| event.data()["counted"] == false);
    assert_eq!(answered.len(), CALLEES as usize, "no attempt counts but the one that reached somebody");
    assert!(answered.iter().all(|event| event.data()["result"] == "ANSWERED"));
    for event in &refused {
        let said = ["result", "scope", "final"].map(|field| event.data()[field].clone());
        assert_eq!(said, [json!("NETWORK_BUSY"), json!("TRUNK"), json!(false)], "{:?}", event.data());
    }
    // After the first refusal, a second holds half of what it held, and a step or two.
    let first = refused.iter().map(|event| started_at(event)).min().unwrap();
    let second = |from: i64| {
        let from = first + TimeDelta::seconds(from);
        let within = |event: &Event| (from..from + TimeDelta::seconds(1)).contains(&started_at(event));
        ended.iter().filter(|event| within(event)).count()
    };
    let seconds: Vec<usize> = (0..30).map(second).collect();
    // On a busy machine calls come late, and in heaps; the unit tests know the exact numbers.
    assert!(seconds[1..6].iter().any(|calls| *calls <= 13), "it was not slowed down for: {seconds:?}");
    assert!(site.daemon.has_logged("the trunk is overloaded: it gets fewer calls"));
    assert!(site.daemon.has_logged("the trunk gets all its calls per second again"));
    site.daemon.stop(SOON).await;
    assert_eq!(agent.finish(SOON).await, Counted { successful: CALLEES, failed: 0 });
}
