//! One daemon with many trunks: each case has a SIPp as its carrier, one as its agent, and a task of its own, so that
//! all of them go on side by side.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Local, NaiveDateTime, Utc};
use serde_json::{Value, json};

use crate::harness::downstream::Event;
use crate::harness::orders;
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::{Site, folder};
use crate::relay::Relay;
use crate::sipp::{Counted, Ports, Script, Sipp};
use crate::{ports, tools};

/// Above Timer B, with which a trunk that says nothing is given up.
const LONGEST_CALL: Duration = Duration::from_secs(50);

/// Somebody at the other end.
#[derive(Debug, Clone, Copy)]
pub enum Other {
    Plays(Script),
    /// It takes everything and says nothing.
    Silent,
    /// Its port is closed.
    Absent,
}

/// One case.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub carrier: Other,
    pub agent: Other,
    /// More settings of the trunk.
    pub trunk: &'static str,
    /// Before the carrier's server, the trunk has one whose port is closed.
    pub closed_first: bool,
    /// Between the daemon and the carrier, each message is lost once.
    pub loses_each_once: bool,
    /// The name of the trunk's server.
    pub host: &'static str,
    /// The domain that the trunk's servers are looked up by, instead of the server.
    pub domain: &'static str,
    /// The port of the trunk's server, when it is not the carrier's own.
    pub trunk_port: u16,
    /// The carrier's own port, when somebody else knows it.
    pub carrier_port: u16,
    pub callees: u32,
    pub concurrency: u32,
    /// How long a variable is that the agent gets as a header; 0 for a short one.
    pub variable_length: usize,
    /// The shortest that there is, unless a case wants more.
    pub max_talk_seconds: u32,
}

enum Player {
    Sipp(Sipp),
    Silent(UdpSocket),
    Absent(u16),
}

impl Player {
    fn start((program, folder): (&str, &Path), name: &str, (other, ports): (Other, Ports)) -> Self {
        match other {
            Other::Plays(script) => Self::Sipp(Sipp::launch(program, &folder.join(name), script, ports)),
            Other::Silent => Self::Silent(UdpSocket::bind("127.0.0.1:0").unwrap()),
            Other::Absent => Self::Absent(ports::free()),
        }
    }

    /// Waits until a call may come.
    async fn ready(&self) {
        if let Self::Sipp(sipp) = self {
            sipp.listening().await;
        }
    }

    fn port(&self) -> u16 {
        match self {
            Self::Sipp(sipp) => sipp.port,
            Self::Silent(socket) => socket.local_addr().unwrap().port(),
            Self::Absent(port) => *port,
        }
    }
}

/// A case with everything that plays in it.
pub struct Stage {
    pub case: Case,
    carrier: Player,
    agent: Player,
    task: String,
}

/// The daemon and all its cases.
pub struct Exchange {
    pub site: Site,
    pub stages: Vec<Stage>,
    plan: Plan,
    /// The settings of the trunks.
    trunks: String,
    began: Instant,
    peers: PathBuf,
}

impl Exchange {
    /// Starts the carriers, the agents and a daemon that knows them, and lets every case begin.
    pub async fn open(name: &str, cases: &[Case]) -> Self {
        Self::open_at(name, cases, sip_settings()).await
    }

    /// The same with these settings of the daemon's own end.
    pub async fn open_at(name: &str, cases: &[Case], own_end: String) -> Self {
        let (mut exchange, players) = Self::start(name, cases, own_end).await;
        for (case, carrier, agent) in players {
            exchange.begin(case, carrier, agent).await;
        }
        exchange
    }

    /// The same without any call.
    pub async fn idle(name: &str, cases: &[Case]) -> Self {
        let (mut exchange, players) = Self::start(name, cases, sip_settings()).await;
        let stage = |(case, carrier, agent)| Stage { case, carrier, agent, task: String::new() };
        exchange.stages = players.into_iter().map(stage).collect();
        exchange
    }

    async fn start(name: &str, cases: &[Case], own_end: String) -> (Self, Vec<(Case, Player, Player)>) {
        let (program, folder) = (tools::path("sipp"), folder(&format!("{name}-peers")));
        let (mut players, mut trunks) = (Vec::new(), String::new());
        for case in cases {
            let relay = if case.loses_each_once { Some(Relay::open().await) } else { None };
            let way = (program.as_str(), folder.as_path());
            let known_as = Ports { own: case.carrier_port, told: relay.as_ref().map_or(0, Relay::port) };
            let carrier = Player::start(way, &format!("{}-carrier", case.name), (case.carrier, known_as));
            let agent = Player::start(way, &format!("{}-agent", case.name), (case.agent, Ports::default()));
            let relayed = relay.as_ref().map_or(carrier.port(), Relay::port);
            let port = if case.trunk_port == 0 { relayed } else { case.trunk_port };
            writeln!(trunks, "{}", trunk_settings(case, port)).unwrap();
            if let Some(relay) = relay {
                relay.serve(carrier.port());
            }
            players.push((*case, carrier, agent));
        }
        for (_, carrier, agent) in &players {
            carrier.ready().await;
            agent.ready().await;
        }
        let more = own_end + &trunks;
        let plan = Plan { more, uncounted_retry_seconds: 600, grace_seconds: 1, ..Plan::default() };
        let site = Site::start(name, &plan).await;
        (Self { site, stages: Vec::new(), plan, trunks, began: Instant::now(), peers: folder }, players)
    }

    async fn begin(&mut self, case: Case, carrier: Player, agent: Player) {
        let (name, upstream) = (case.name, &self.site.upstream);
        upstream.accept("agent.put", &agent_record(name, agent.port())).await;
        let line = orders::with(orders::line(name, case.concurrency, 100), "trunk", name.into());
        upstream.accept("service-instance.put", &line).await;
        let task = orders::with(orders::task(name, case.concurrency), "agentId", name.into());
        let task = orders::with(task, "serviceInstanceId", name.into());
        // The shortest that there is.
        let task = orders::with(task, "ringTimeoutSeconds", 10.into());
        let task = orders::with(task, "maxTalkSeconds", case.max_talk_seconds.into());
        let task = self.site.create_as(&task).await;
        let first_callee = self.stages.len() * 1_000;
        let rows =
            (0..case.callees as usize).map(|index| row(first_callee + index)).map(|row| match case.variable_length {
                0 => row,
                length => orders::with(row, "variables", json!({"name": "Ann", "order": "7".repeat(length)})),
            });
        let rows: Vec<Value> = rows.collect();
        self.site.import(&task, &rows).await;
        self.stages.push(Stage { case, carrier, agent, task });
    }

    /// Starts another daemon at the address of the last one, which must have ended.
    pub async fn start_again(&mut self) {
        self.site.start_again(&self.plan).await;
    }

    /// The same with another address of its own.
    pub async fn start_elsewhere(&mut self, own_end: &str) {
        let plan = self.plan_of(own_end);
        self.site.start_again(&plan).await;
    }

    /// The settings of a daemon with this end of its own.
    pub fn plan_of(&self, own_end: &str) -> Plan {
        Plan { more: format!("{own_end}{}", self.trunks), ..self.plan.clone() }
    }

    /// The Call-IDs of the messages that a SIPp has sent and that begin with this, each with the time of the first.
    pub fn first_sent(&self, who: &str, start: &str) -> HashMap<String, DateTime<Utc>> {
        let log = std::fs::read_to_string(self.peers.join(who).join("messages")).unwrap_or_default();
        let mut first = HashMap::new();
        for entry in log.split("----------------------------------------------- ").skip(1) {
            let Some((head, message)) = entry.split_once("\n\n").filter(|(head, _)| head.contains("message sent"))
            else {
                continue;
            };
            let call_id = message.lines().find_map(|line| line.strip_prefix("Call-ID:"));
            if let Some(call_id) = call_id.filter(|_| message.starts_with(start)) {
                first.entry(call_id.trim().to_owned()).or_insert_with(|| local_time(head));
            }
        }
        first
    }

    /// The numbers of the requests of a call that a SIPp got, as they came.
    pub fn numbers_of(&self, who: &str) -> Vec<u32> {
        let messages = std::fs::read_to_string(self.peers.join(who).join("messages")).unwrap_or_default();
        let received = messages.split("-----------").filter(|message| message.contains("message received"));
        let numbers = received.filter_map(|message| {
            let line = message.lines().find_map(|line| line.strip_prefix("CSeq:"))?;
            let (number, method) = line.trim().split_once(' ')?;
            (message.contains(&format!("\n{method} sip:")) && method != "ACK").then(|| number.parse().unwrap())
        });
        numbers.collect()
    }

    /// Whether a SIPp has sent a message with this in it.
    pub fn has_sent(&self, who: &str, text: &str) -> bool {
        let messages = std::fs::read_to_string(self.peers.join(who).join("messages")).unwrap_or_default();
        messages.split("-----------").any(|message| message.contains("message sent") && message.contains(text))
    }

    /// How many proxies wanted to stay in the route of the first INVITE that a SIPp got.
    pub fn routes_of(&self, who: &str) -> usize {
        let messages = std::fs::read_to_string(self.peers.join(who).join("messages")).unwrap_or_default();
        let mut messages = messages.split("-----------");
        let invite = messages.find(|message| message.contains("message received") && message.contains("\nINVITE "));
        invite.map_or(0, |invite| invite.lines().filter(|line| line.starts_with("Record-Route:")).count())
    }

    /// The event of each call of the case of this name.
    pub async fn ended(&self, name: &str) -> Vec<Arc<Event>> {
        let stage = self.stages.iter().find(|stage| stage.case.name == name).unwrap();
        self.some_ended(name, stage.case.callees as usize).await
    }

    /// The same, with this much patience.
    pub async fn all_ended(&self, name: &str, patience: Duration) -> Vec<Arc<Event>> {
        let stage = self.stages.iter().find(|stage| stage.case.name == name).unwrap();
        until(&format!("all calls of {name} to end"), patience, || {
            let ended = self.site.ledger.about("call.ended", &stage.task);
            (ended.len() >= stage.case.callees as usize).then_some(ended)
        })
        .await
    }

    /// The first events of calls of this case, in the order of arrival.
    pub async fn some_ended(&self, name: &str, wanted: usize) -> Vec<Arc<Event>> {
        let stage = self.stages.iter().find(|stage| stage.case.name == name).unwrap();
        let left = LONGEST_CALL.saturating_sub(self.began.elapsed()).max(SOON);
        let log: PathBuf = self.site.settings();
        let what = format!("{wanted} calls of {name} to end ({})", log.display());
        until(&what, left, || {
            let ended = self.site.ledger.about("call.ended", &stage.task);
            (ended.len() >= wanted).then_some(ended)
        })
        .await
    }

    /// Waits until the silent carrier of this case has been sent something.
    pub async fn is_called(&self, name: &str) {
        let stage = self.stages.iter().find(|stage| stage.case.name == name).unwrap();
        let Player::Silent(socket) = &stage.carrier else { panic!("no silent carrier") };
        socket.set_nonblocking(true).unwrap();
        until("a call of the silent carrier", SOON, || socket.recv(&mut [0; 4_096]).ok()).await;
    }

    /// Ends the daemon, whatever is left to do.
    pub async fn abandon(mut self) {
        self.site.daemon.stop(SOON).await;
    }

    /// Waits until a carrier has had all that its scenario wants.
    pub async fn finish_carrier(mut self, name: &str) {
        let index = self.stages.iter().position(|stage| stage.case.name == name).unwrap();
        let Stage { case, carrier: Player::Sipp(sipp), .. } = self.stages.swap_remove(index) else { panic!("no SIPp") };
        assert_eq!(sipp.finish(SOON).await, Counted { successful: case.callees, failed: 0 });
        self.site.daemon.stop(SOON).await;
    }

    /// Ends everything: each SIPp must have had the calls that the daemon tells of, as its scenario says.
    pub async fn close(mut self) {
        self.site.daemon.stop(SOON).await;
        self.compare().await;
    }

    /// The same of a daemon that has ended.
    pub async fn compare(self) {
        self.site.ledger.settle().await;
        for stage in self.stages {
            let name = stage.case.name;
            let ended = self.site.ledger.about("call.ended", &stage.task);
            assert_eq!(ended.len(), stage.case.callees as usize, "{name}: one attempt of each callee");
            for (who, player) in [("carrier", stage.carrier), ("agent", stage.agent)] {
                let Player::Sipp(sipp) = player else { continue };
                let counted = sipp.finish(SOON).await;
                let expected = Counted { successful: stage.case.callees, failed: 0 };
                assert_eq!(counted, expected, "what the {who} of {name} counted");
            }
        }
    }
}

/// The time that an entry of SIPp's log begins with, in the machine's zone.
fn local_time(head: &str) -> DateTime<Utc> {
    let text = head.lines().next().unwrap();
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f");
    let time = time.unwrap_or_else(|error| panic!("{text:?}: {error}"));
    time.and_local_timezone(Local).unwrap().to_utc()
}

fn trunk_settings(case: &Case, port: u16) -> String {
    let Case { name, trunk, closed_first, host, domain, .. } = case;
    let first = if *closed_first { format!("127.0.0.1:{},", ports::free()) } else { String::new() };
    let options = if trunk.contains("options_seconds") { "" } else { "options_seconds = 0" };
    let place = match domain.is_empty() {
        true => format!("address = \"{first}{host}:{port}\""),
        false => format!("domain = \"{domain}\""),
    };
    format!("[trunks.{name}]\nkind = \"sip\"\n{place}\n{options}\n{trunk}")
}

/// An agent that listens on this port.
pub fn agent_record(name: &str, port: u16) -> Value {
    json!({
        "agentId": name, "name": name, "published": true, "sipUri": format!("sip:voice@127.0.0.1:{port}"),
        "sipHeaders": {"X-Tenant": "7"},
        "variables": [{"key": "name", "required": true}, {"key": "order", "required": false}],
    })
}

/// A callee whose variables would like to be headers.
pub fn row(index: usize) -> Value {
    let variables = json!({"name": "Ann\r\nEvil: 1", "order": "ü 7", "secret": "not the agent's"});
    orders::with(orders::row(index), "variables", variables)
}

/// The daemon's own end: a port of its own.
pub fn sip_settings() -> String {
    let port = ports::free();
    format!("[sip]\nbind = \"udp:127.0.0.1:{port},tcp:127.0.0.1:{port}\"\n")
}

/// The same, listening for TLS too, with the certificate of this name in the folder: a carrier over TLS finds us where we say.
pub fn secure_sip_settings(folder: &Path, name: &str) -> String {
    let (port, secure) = (ports::free(), ports::free());
    let file = |ending: &str| folder.join(format!("{name}.{ending}"));
    format!(
        "[sip]\nbind = \"udp:127.0.0.1:{port},tcp:127.0.0.1:{port},tls:127.0.0.1:{secure}\"\n\
         certificate_file = {:?}\nkey_file = {:?}\n",
        file("pem"),
        file("key")
    )
}
