//! Many calls over SIP, through the whole daemon as a process of its own: thousands at once, and hundreds a second, with
//! SIPp as carrier and as agent. Every call must be right, by the counters of both SIPps, the events and the metrics;
//! nothing may be left of them; and what the daemon used is told next to what the SIPps used in the same run.
//!
//! Small by default. `CALLTASKD_TEST_LOAD=full` gives the size that the project promises (`make load`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

#[path = "../harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "the tests of calls over SIP use all of it")]
#[path = "../sip/ports.rs"]
mod ports;
#[allow(dead_code, reason = "the tests of calls over SIP use all of it")]
#[path = "../sip/sipp.rs"]
mod sipp;
#[path = "../sip/tools.rs"]
mod tools;
mod usage;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use harness::operator::{Operator, Scrape};
use harness::orders;
use harness::patience::{SOON, until};
use harness::plan::Plan;
use harness::site::{Site, folder};
use serde_json::{Value, json};
use sipp::{Counted, Ports, Sipp, play};
use usage::{Usage, Watch};

const TRUNK: &str = "carrier";

/// For answers to be forgotten: 64*T1, a sweep, and a little.
const FORGETTING: Duration = Duration::from_secs(45);

/// How many calls, how fast, and how long they talk.
struct Size {
    calls: u32,
    per_second: u32,
    talk: Duration,
    /// Whether to look at what the machine can do, not only at what is right.
    full: bool,
}

fn is_full() -> bool {
    std::env::var("CALLTASKD_TEST_LOAD").is_ok_and(|size| size == "full")
}

impl Size {
    /// A placing counts for a little more than a second, and on a busy machine some are late.
    fn most_per_second(&self) -> u32 {
        self.per_second + self.per_second.div_ceil(10)
    }
}

/// One daemon, its carrier and its agent.
struct Load {
    site: Site,
    operator: Operator,
    carrier: Sipp,
    agent: Sipp,
    watch: Watch,
    task: String,
    size: Size,
}

impl Load {
    async fn begin(name: &str, size: Size) -> Self {
        let (program, peers) = (tools::path("sipp"), folder(&format!("{name}-peers")));
        let talk = u32::try_from(size.talk.as_millis()).unwrap();
        let phone = play("answers_and_holds").times(size.calls).pausing(talk).under_load();
        let voice = play("agent").times(size.calls).pausing(1).under_load();
        let carrier = Sipp::launch(&program, &peers.join("carrier"), phone, Ports::default());
        let agent = Sipp::launch(&program, &peers.join("agent"), voice, Ports::default());
        carrier.listening().await;
        agent.listening().await;
        let (own, port) = (ports::free(), carrier.port);
        let more = format!(
            "[sip]\nbind = \"udp:127.0.0.1:{own}\"\n[trunks.{TRUNK}]\nkind = \"sip\"\naddress = \"127.0.0.1:{port}\"\n\
             options_seconds = 0\n"
        );
        let plan = Plan { admin: "127.0.0.1:0", task_concurrency: size.calls, more, ..Plan::default() };
        let mut site = Site::start(name, &plan).await;
        let operator = Operator::of(&site.daemon).await;
        let watch = Watch::begin([("daemon", site.daemon.id()), ("carrier", carrier.id()), ("agent", agent.id())]);
        let task = put_task(&site, &size, agent.port).await;
        Self { site, operator, carrier, agent, watch, task, size }
    }

    /// Waits until the gauges say so.
    async fn shows(&self, what: &str, within: Duration, holds: impl Fn(&Scrape) -> bool) {
        until(what, within, || Some(self.operator.scrape()).filter(|scrape| holds(scrape)).map(drop)).await;
    }

    /// Waits until every call has ended, and looks at each of them, and at what is left.
    async fn end(mut self, name: &str) {
        let calls = self.size.calls;
        let all = Duration::from_secs(u64::from(calls / self.size.per_second)) + self.size.talk;
        let completed = self.site.ledger.completed(&self.task, all * 2 + SOON).await;
        let last = Instant::now();
        assert_eq!(completed.data()["counts"]["completed"], calls, "{}", completed.json);
        self.site.ledger.settle().await;
        let rate = self.check_events();
        let expected = Counted { successful: calls, failed: 0 };
        for (who, peer) in [("carrier", self.carrier), ("agent", self.agent)] {
            assert_eq!(peer.finish(SOON).await, expected, "what the {who} counted");
        }
        let (daemon, carrier, agent) = (self.watch.of("daemon"), self.watch.of("carrier"), self.watch.of("agent"));
        print_table(name, (calls, rate), [daemon, carrier, agent]);
        let counted = self.operator.scrape();
        let answered = [("trunk", TRUNK), ("result", "ANSWERED"), ("scope", "CALLEE")];
        assert_eq!(counted.sum("calltaskd_calls_ended_total", &answered), f64::from(calls));
        assert_eq!(counted.sum("calltaskd_calls_ended_total", &[]), f64::from(calls));
        assert_eq!(counted.sum("calltaskd_calls_placed_total", &[]), f64::from(calls));
        assert_eq!(counted.sum("calltaskd_call_setup_seconds_count", &[]), f64::from(calls));
        let at_once = ["calltaskd_sip_calls", "calltaskd_sip_dialogs", "calltaskd_slots_held"];
        let in_time = ["calltaskd_sip_transactions", "calltaskd_sip_answers_remembered"];
        let operator = self.operator;
        let gone = |gauges: &[&str]| {
            let scrape = operator.scrape();
            gauges.iter().all(|gauge| scrape.sum(gauge, &[]) == 0.0).then_some(())
        };
        until("calls, dialogs and slots to be gone", SOON, || gone(&at_once)).await;
        if self.size.full {
            until("transactions and answers to be gone", FORGETTING, || gone(&in_time)).await;
            println!("{name}: nothing was left {:.1} s after the last call", last.elapsed().as_secs_f64());
            assert!(rate >= f64::from(self.size.per_second), "{rate:.1} calls/s");
        }
        self.site.daemon.stop(SOON).await;
    }

    /// Each callee was called once, answered, and hung up. Gives the calls per second from the first placing
    /// to the last, without those that the first second may have at its begin.
    fn check_events(&self) -> f64 {
        let ended = self.site.ledger.about("call.ended", &self.task);
        let mut callees = HashSet::new();
        for event in &ended {
            let data = event.data();
            assert_eq!((&data["result"], &data["hangupBy"]), (&json!("ANSWERED"), &json!("CALLEE")), "{data}");
            assert_eq!((&data["attempt"], &data["final"]), (&json!(1), &json!(true)), "{data}");
            assert!(callees.insert(event.text("calleeId")), "a second end: {data}");
        }
        assert_eq!(ended.len(), self.size.calls as usize);
        let started = || ended.iter().map(|event| event.text("startedAt").parse::<DateTime<Utc>>().unwrap());
        let span = started().max().unwrap() - started().min().unwrap();
        f64::from(self.size.calls - self.size.most_per_second()) / span.as_seconds_f64()
    }
}

async fn put_task(site: &Site, size: &Size, agent_port: u16) -> String {
    let agent = json!({
        "agentId": orders::AGENT, "name": "Load", "published": true, "sipHeaders": {"X-Tenant": "7"},
        "sipUri": format!("sip:voice@127.0.0.1:{agent_port}"), "variables": [{"key": "name", "required": true}],
    });
    site.upstream.accept("agent.put", &agent).await;
    let line = orders::line(orders::LINE, size.calls, size.most_per_second());
    site.upstream.accept("service-instance.put", &orders::with(line, "trunk", TRUNK.into())).await;
    let task = orders::with(orders::task("load", size.calls), "maxTalkSeconds", 600.into());
    let task = site.create_as(&task).await;
    let row = |index| orders::with(orders::row(index), "variables", json!({"name": "Ann"}));
    let rows: Vec<Value> = (0..size.calls as usize).map(row).collect();
    site.import(&task, &rows).await;
    task
}

fn print_table(name: &str, (calls, rate): (u32, f64), [daemon, carrier, agent]: [Usage; 3]) {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!("{name}: {calls} calls, {rate:.1} placed per second, {build} build");
    println!("| process | CPU, s | CPU per call, ms | peak memory (VmHWM), MiB |\n|---|--:|--:|--:|");
    for (who, usage) in [("calltaskd", daemon), ("SIPp, carrier", carrier), ("SIPp, agent", agent)] {
        let each = usage.processor_seconds * 1_000.0 / f64::from(calls);
        println!("| {who} | {:.2} | {each:.2} | {:.0} |", usage.processor_seconds, usage.peak_mib);
    }
    let processor = daemon.processor_seconds / (carrier.processor_seconds + agent.processor_seconds);
    let memory = daemon.peak_mib / (carrier.peak_mib + agent.peak_mib);
    println!("| calltaskd to both SIPps | {processor:.2} | {processor:.2} | {memory:.2} |");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_calls_are_held_at_once() {
    let size = match is_full() {
        true => Size { calls: 5_000, per_second: 200, talk: Duration::from_secs(45), full: true },
        false => Size { calls: 100, per_second: 50, talk: Duration::from_secs(8), full: false },
    };
    let calls = f64::from(size.calls);
    let load = Load::begin("load-held", size).await;
    load.shows("all calls to be up at once", SOON * 2, |scrape| {
        let sum = |gauge: &str| scrape.sum(gauge, &[]);
        (sum("calltaskd_sip_calls"), sum("calltaskd_sip_dialogs"), sum("calltaskd_slots_held"))
            == (calls, 2.0 * calls, calls)
    })
    .await;
    load.end("held").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_calls_a_second_are_bridged() {
    let size = match is_full() {
        true => Size { calls: 13_000, per_second: 200, talk: Duration::from_secs(1), full: true },
        false => Size { calls: 100, per_second: 20, talk: Duration::from_secs(1), full: false },
    };
    Load::begin("load-rate", size).await.end("rate").await;
}
