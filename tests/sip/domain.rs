//! A trunk that is given by its domain: its servers are those of the SRV records, by priority, as they are at the time.

use std::path::Path;

use crate::exchange::{agent_record, row, sip_settings};
use crate::harness::orders;
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::{Site, folder};
use crate::names::{NameServer, Service};
use crate::sipp::{Counted, Ports, Script, Sipp, play};
use crate::tools;

const SERVICE: &str = "_sip._udp.carrier.test.";

fn at(port: u16, priority: u16) -> Service {
    let target = if priority == 10 { "one.carrier.test." } else { "two.carrier.test." };
    Service { priority, weight: 1, port, target }
}

/// A daemon whose trunk is the domain, and a task for one callee after the other.
async fn begin(name: &str, names: &NameServer, agent: u16) -> (Site, String) {
    let dns = format!("dns = \"127.0.0.1:{}\"\n", names.port);
    let trunk = "[trunks.carrier]\nkind = \"sip\"\ndomain = \"carrier.test\"\noptions_seconds = 0\n";
    let more = sip_settings() + &dns + trunk;
    let site = Site::start(name, &Plan { more, ..Plan::default() }).await;
    site.upstream.accept("agent.put", &agent_record(orders::AGENT, agent)).await;
    let line = orders::with(orders::line(orders::LINE, 100, 100), "trunk", "carrier".into());
    site.upstream.accept("service-instance.put", &line).await;
    let task = site.create(name, 100).await;
    (site, task)
}

/// Imports one callee and waits until as many calls have ended as answered.
async fn call(site: &Site, task: &str, index: usize) {
    site.import(task, &[row(index)]).await;
    let ended = until("the call to end", SOON, || {
        let ended = site.ledger.about("call.ended", task);
        (ended.len() > index).then_some(ended)
    })
    .await;
    assert!(ended.iter().all(|event| event.data()["result"] == "ANSWERED"), "{ended:?}");
}

async fn launch(peers: &Path, name: &str, script: Script) -> Sipp {
    let sipp = Sipp::launch(&tools::path("sipp"), &peers.join(name), script, Ports::default());
    sipp.listening().await;
    sipp
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_server_of_a_domain_takes_what_the_first_refuses() {
    let peers = &folder("domain-refused-peers");
    let busy = launch(peers, "busy", play("refuses").saying("503 Service Unavailable")).await;
    let phone = launch(peers, "phone", play("answers_and_hangs_up")).await;
    let agent = launch(peers, "agent", play("agent")).await;
    // The better one is named last, so that it is not the order of the answer that decides.
    let names = NameServer::start(SERVICE, vec![at(phone.port, 20), at(busy.port, 10)]).await;
    let (mut site, task) = begin("domain-refused", &names, agent.port).await;
    call(&site, &task, 0).await;
    site.daemon.stop(SOON).await;
    for sipp in [busy, phone, agent] {
        assert_eq!(sipp.finish(SOON).await, Counted { successful: 1, failed: 0 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_of_a_domain_are_looked_up_again_and_stay_when_nobody_answers() {
    let peers = &folder("domain-moved-peers");
    let first = launch(peers, "first", play("answers_and_hangs_up")).await;
    let second = launch(peers, "second", play("answers_and_hangs_up").times(2)).await;
    let agent = launch(peers, "agent", play("agent").times(3)).await;
    let names = NameServer::start(SERVICE, vec![at(first.port, 10)]).await;
    let (mut site, task) = begin("domain-moved", &names, agent.port).await;
    call(&site, &task, 0).await;
    assert_eq!(first.finish(SOON).await, Counted { successful: 1, failed: 0 });
    names.change(vec![at(second.port, 20)]);
    until("the change to be seen", SOON, || site.daemon.has_logged("a server of the trunk no more").then_some(()))
        .await;
    call(&site, &task, 1).await;
    names.fall_silent();
    let alarm = "ALARM: the servers of the trunk cannot be looked up";
    until("the silence to be seen", SOON, || site.daemon.has_logged(alarm).then_some(())).await;
    call(&site, &task, 2).await;
    site.daemon.stop(SOON).await;
    assert_eq!(second.finish(SOON).await, Counted { successful: 2, failed: 0 });
    assert_eq!(agent.finish(SOON).await, Counted { successful: 3, failed: 0 });
}
