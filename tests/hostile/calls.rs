//! A hundred calls that are up and talk: half of them are ended by the callee, half by the agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::orders;
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::{Site, folder};
use crate::sipp::{Counted, Ports, Sipp, play};
use crate::{certificate, ports, tools};

const HALF: u32 = 50;
const LONGEST_TALK_SECONDS: u32 = 3_600;

/// The calls that this side ends.
struct Half {
    by: &'static str,
    task: String,
    peers: [Sipp; 2],
}

pub struct Calls {
    pub site: Site,
    /// UDP, TCP, TLS.
    pub ports: [u16; 3],
    pub authority: PathBuf,
    halves: Vec<Half>,
    folder: PathBuf,
    talk: Duration,
}

impl Calls {
    /// Returns when all of them talk.
    pub async fn talking(name: &str, talk: Duration) -> Self {
        let (folder, program) = (folder(&format!("{name}-peers")), tools::path("sipp"));
        certificate::issue(&folder);
        let talk_millis = u32::try_from(talk.as_millis()).unwrap();
        let waits = |scenario| play(scenario).times(HALF).living(talk_millis / 1_000);
        let ends = |scenario| waits(scenario).talking((talk_millis, talk_millis));
        let casts = [
            ("CALLEE", [ends("answers_and_hangs_up"), waits("agent")]),
            ("AGENT", [waits("answers"), ends("agent_hangs_up")]),
        ];
        let (ports, mut more) = settings(&folder);
        let mut peers = Vec::new();
        for (by, [carrier, agent]) in casts {
            let launch = |who: &str, script| Sipp::launch(&program, &folder.join(who), script, Ports::default());
            let pair = [launch(&format!("{by}-carrier"), carrier), launch(&format!("{by}-agent"), agent)];
            for sipp in &pair {
                sipp.listening().await;
            }
            let address = format!("address = \"127.0.0.1:{}\"", pair[0].port);
            more.push_str(&format!("[trunks.{by}]\nkind = \"sip\"\n{address}\noptions_seconds = 0\n"));
            peers.push((by, pair));
        }
        let site = Site::start(name, &Plan { more, grace_seconds: 5, ..Plan::default() }).await;
        let authority = folder.join("ca.pem");
        let mut calls = Self { site, ports, authority, halves: Vec::new(), folder, talk };
        for (index, (by, peers)) in peers.into_iter().enumerate() {
            calls.begin(index, by, peers).await;
        }
        until("all calls to talk", SOON, || (calls.answers().len() >= 4 * HALF as usize).then_some(())).await;
        calls
    }

    async fn begin(&mut self, index: usize, by: &'static str, peers: [Sipp; 2]) {
        let (site, name) = (&self.site, by.to_lowercase());
        let uri = format!("sip:voice@127.0.0.1:{}", peers[1].port);
        let agent = json!({"agentId": name, "name": name, "published": true, "sipUri": uri, "sipHeaders": {"X-Tenant": "7"},
            "variables": [{"key": "name", "required": true}, {"key": "order", "required": false}]});
        site.upstream.accept("agent.put", &agent).await;
        let line = orders::with(orders::line(&name, 100, 100), "trunk", by.into());
        site.upstream.accept("service-instance.put", &line).await;
        let task = orders::with(orders::task(&name, 100), "agentId", name.clone().into());
        let task = orders::with(task, "serviceInstanceId", name.into());
        let task = site.create_as(&orders::with(task, "maxTalkSeconds", LONGEST_TALK_SECONDS.into())).await;
        let variables = json!({"name": "Ann\r\nEvil: 1", "order": "ü 7"});
        let row = |at: usize| orders::with(orders::row(index * 1_000 + at), "variables", variables.clone());
        let rows: Vec<_> = (0..HALF as usize).map(row).collect();
        site.import(&task, &rows).await;
        self.halves.push(Half { by, task, peers });
    }

    /// The answers to INVITEs that the peers have sent: two of each callee, of each agent one.
    fn answers(&self) -> Vec<String> {
        let mut answers = Vec::new();
        for (half, who) in self.halves.iter().flat_map(|half| ["carrier", "agent"].map(|who| (half, who))) {
            let log = fs::read(self.folder.join(format!("{}-{who}/messages", half.by))).unwrap_or_default();
            let log = String::from_utf8_lossy(&log).into_owned();
            let sent = log.split("\n-----------").filter(|entry| entry.contains("message sent"));
            let messages = sent.filter_map(|entry| Some(entry[entry.find("SIP/2.0 200")?..].replace("\r", "")));
            let found: Vec<String> = messages.filter(|text| text.contains(" INVITE\n")).collect();
            // So that a callee and an agent weigh the same.
            answers.extend(if who == "agent" { found.clone() } else { Vec::new() });
            answers.extend(found.into_iter().map(|text| text.trim_end().to_owned() + "\n"));
        }
        answers
    }

    /// What either side of each call might say, with its true Call-ID, tags and branch.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        self.answers().iter().flat_map(|answer| messages_of(answer)).collect()
    }

    /// What was told of calls that have ended.
    pub fn ended(&self) -> Vec<Value> {
        let of = |half: &Half| self.site.ledger.about("call.ended", &half.task);
        self.halves.iter().flat_map(of).map(|event| event.data().clone()).collect()
    }

    /// Waits until all calls have ended, each as its side wanted.
    pub async fn finish(mut self) {
        let halves = std::mem::take(&mut self.halves);
        for half in &halves {
            let what = format!("the calls of the {} to end", half.by);
            let enough = || {
                let ended = self.site.ledger.about("call.ended", &half.task);
                (ended.len() >= HALF as usize).then_some(ended)
            };
            let ended = until(&what, self.talk + SOON, enough).await;
            assert_eq!(ended.len(), HALF as usize);
            for event in ended {
                let told = (&event.data()["result"], &event.data()["hangupBy"], &event.data()["final"]);
                assert_eq!(told, (&json!("ANSWERED"), &json!(half.by), &json!(true)), "{}", event.data());
            }
        }
        for sipp in halves.into_iter().flat_map(|half| half.peers) {
            assert_eq!(sipp.finish(SOON).await, Counted { successful: HALF, failed: 0 });
        }
        self.site.daemon.stop(SOON).await;
    }
}

fn settings(folder: &Path) -> ([u16; 3], String) {
    let ports = [ports::free(), ports::free(), ports::free()];
    let [udp, tcp, tls] = ports;
    let files =
        format!("certificate_file = {:?}\nkey_file = {:?}", folder.join("server.pem"), folder.join("server.key"));
    let bind = format!("udp:127.0.0.1:{udp},tcp:127.0.0.1:{tcp},tls:127.0.0.1:{tls}");
    (ports, format!("[sip]\nbind = \"{bind}\"\n{files}\n"))
}

fn messages_of(answer: &str) -> Vec<Vec<u8>> {
    let (head, body) = answer.split_once("\n\n").unwrap_or((answer, ""));
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let (via, ours, theirs, call_id) = (value("Via:"), value("From:"), value("To:"), value("Call-ID:"));
    let number = value("CSeq:");
    let body = body.replace('\n', "\r\n");
    let described = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let bare = "Content-Length: 0\r\n\r\n".to_owned();
    let request = |method: &str, rest: &str| {
        format!(
            "{method} sip:calltaskd@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2;branch=z9hG4bK{method}{call_id};rport\r\n\
             Max-Forwards: 70\r\nFrom: {theirs}\r\nTo: {ours}\r\nCall-ID: {call_id}\r\nCSeq: 7 {method}\r\n\
             Contact: <sip:stranger@127.0.0.2>\r\n{rest}"
        )
    };
    let response = |status: &str, rest: &str| {
        format!(
            "SIP/2.0 {status}\r\nVia: {via}\r\nFrom: {ours}\r\nTo: {theirs}\r\nCall-ID: {call_id}\r\nCSeq: {number}\r\n\
             Contact: <sip:stranger@127.0.0.2>\r\n{rest}"
        )
    };
    let plain =
        ["BYE", "INFO", "NOTIFY", "OPTIONS", "REFER", "ACK", "CANCEL", "BYE"].map(|method| request(method, &bare));
    let offers = ["INVITE", "UPDATE"].map(|method| request(method, &described));
    let responses =
        [response("200 OK", &described), response("180 Ringing", &bare), response("487 Request Terminated", &bare)];
    [plain.to_vec(), offers.to_vec(), responses.to_vec()].concat().into_iter().map(String::into_bytes).collect()
}
