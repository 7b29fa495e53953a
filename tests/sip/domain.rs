//! A trunk that is given by its domain: its servers are those of the SRV records, by priority, as they are at the time.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::json;

use crate::cases::{answered, assert_tells};
use crate::exchange::{Case, Exchange, agent_record, row, secure_sip_settings, sip_settings};
use crate::harness::orders;
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::{Site, folder};
use crate::kamailio::{Door, Kamailio, Ports as Listens};
use crate::names::{NameServer, Service, Zone};
use crate::sipp::{Counted, Ports, Script, Sipp, play};
use crate::{certificate, ports, tools};

const SERVICE: &str = "_sip._udp.carrier.test.";

/// The zone of a service with these servers.
fn of(servers: Vec<Service>) -> Zone {
    Zone { services: vec![(SERVICE, servers)], ..Zone::default() }
}

fn at(port: u16, priority: u16) -> Service {
    let target = if priority == 10 { "one.carrier.test." } else { "two.carrier.test." };
    Service { priority, weight: 1, port, target }
}

/// A daemon whose trunk is the domain, and a task for one callee after the other.
async fn begin(name: &str, names: &NameServer, agent: u16) -> (Site, String) {
    let trunk = "[trunks.carrier]\nkind = \"sip\"\ndomain = \"carrier.test\"\noptions_seconds = 0\n";
    let more = sip_settings() + &names.settings() + trunk;
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
    let names = NameServer::start(of(vec![at(phone.port, 20), at(busy.port, 10)])).await;
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
    let names = NameServer::start(of(vec![at(first.port, 10)])).await;
    let (mut site, task) = begin("domain-moved", &names, agent.port).await;
    call(&site, &task, 0).await;
    assert_eq!(first.finish(SOON).await, Counted { successful: 1, failed: 0 });
    names.change(of(vec![at(second.port, 20)]));
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

/// What the names of this test mean: services over connections, an address only, and a name that no name server knows.
fn zone(tcp: u16, tls: u16, bare: Ipv4Addr) -> Zone {
    let service = |name, port, target| (name, vec![Service { priority: 1, weight: 1, port, target }]);
    Zone {
        services: vec![
            service("_sip._tcp.tcp.test.", tcp, "one.carrier.test."),
            service("_sips._tcp.tls.test.", tls, "two.carrier.test."),
            // That they are asked for by the right name shows where there are several.
            service("_sip._udp.tcp.test.", 9, "one.carrier.test."),
            service("_sip._tcp.tls.test.", 9, "two.carrier.test."),
        ],
        hosts: vec![("bare.test.", bare)],
        failing: None,
    }
}

/// RFC 3263, section 4.2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_is_called_by_its_services_by_its_address_and_by_what_the_system_knows() {
    let folder = &folder("domains-kamailio");
    certificate::authority(folder, "ca");
    certificate::sign(folder, "ca", ("server", "tls.test"));
    let door = Door::free();
    let _kamailio = Kamailio::start(folder, &Listens::free(), &[door]).await;
    let (bare, known) = (ports::address_with(5060), ports::address_with(5060));
    // The system takes an address in hexadecimal digits, and no name server is asked by it.
    let host: &str = Box::leak(format!("0x{:08x}", known.to_bits()).into_boxed_str());
    let (tcp, phone) = (ports::free(), ports::free());
    let mut zone = zone(tcp, door.port, bare);
    zone.failing = Some(Box::leak(format!("{host}.").into_boxed_str()));
    let names = NameServer::start(zone).await;
    let tls = format!(
        "transport = \"tls\"\nca_file = {:?}\nusername = \"phone-{phone}\"\npassword = \"s3cret\"\n",
        folder.join("ca.pem")
    );
    let talks = play("answers_and_hangs_up");
    let of = |name, domain, script| Case { domain, ..answered(name, script, play("agent")) };
    let cases = [
        Case { trunk: "transport = \"tcp\"", carrier_port: tcp, ..of("over-tcp", "tcp.test", talks.over_tcp()) },
        Case { trunk: Box::leak(tls.into_boxed_str()), carrier_port: phone, ..of("over-tls", "tls.test", talks) },
        Case { carrier_port: 5060, ..of("by-address", "bare.test", talks.at(bare)) },
        Case { carrier_port: 5060, ..of("by-the-system", host, talks.at(known)) },
    ];
    let exchange =
        Exchange::open_at("domains", &cases, secure_sip_settings(folder, "server") + &names.settings()).await;
    let talked = json!({"result": "ANSWERED", "hangupBy": "CALLEE"});
    for case in cases {
        assert_tells(exchange.ended(case.name).await[0].data(), case.name, &talked);
    }
    let alarms = exchange.site.daemon.all_logged("ALARM: the servers of the trunk cannot be looked up");
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!(alarms[0]["trunk"], "by-the-system");
    let cause = alarms[0]["error"].as_str().unwrap();
    assert!(cause.starts_with("the name server was of no help: ") && cause.contains("Server Failure"), "{cause}");
    exchange.close().await;
}
