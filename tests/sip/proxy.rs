//! A trunk behind a real proxy, Kamailio: credentials are asked for, and every request of a dialog has to take its route. Over
//! UDP, TCP and TLS.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::cases::{Table, answered, assert_tells, case};
use crate::exchange::{Case, Exchange};
use crate::harness::patience::{SOON, until};
use crate::harness::site::folder;
use crate::sipp::play;
use crate::{certificate, ports, tools};

/// How the lines begin that `proxy.cfg` writes of each call.
const NOTES: [&str; 4] = ["RELAYED ", "WITHIN ", "MATCHED ", "REFUSED "];

/// A running Kamailio; its children end with it.
struct Proxy {
    child: Child,
    folder: PathBuf,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        kill_process(Pid::from_child(&self.child), Signal::TERM).ok();
        drop(self.child.wait());
    }
}

/// The ports that it listens on.
struct Ports {
    udp: u16,
    tcp: u16,
    tls: u16,
    /// For the phones.
    inside: u16,
}

impl Proxy {
    async fn start(folder: &Path, ports: &Ports) -> Self {
        certificate::issue(folder);
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sip/proxy.cfg");
        let mut settings = fs::read_to_string(template).unwrap();
        for (name, port) in
            [("@UDP@", ports.udp), ("@TCP@", ports.tcp), ("@TLS@", ports.tls), ("@INSIDE@", ports.inside)]
        {
            settings = settings.replace(name, &port.to_string());
        }
        fs::write(folder.join("proxy.cfg"), settings).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let child = Command::new(tools::path("kamailio"))
            .current_dir(folder)
            .args(["-f", "proxy.cfg", "-m", "32", "-M", "8", "-P", "pid", "-Y", ".", "-w", ".", "-DD", "-E"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let proxy = Self { child, folder: folder.to_owned() };
        let listens = || std::net::TcpStream::connect(("127.0.0.1", ports.tls)).ok();
        until(&format!("Kamailio to listen ({})", folder.display()), SOON, listens).await;
        proxy
    }

    /// What it wrote down of the call with this id.
    fn noted(&self, call: &str) -> Vec<String> {
        let log = fs::read_to_string(self.folder.join("log")).unwrap();
        let about = |line: &&str| line.contains(call) && NOTES.iter().any(|note| line.contains(note));
        let note = |line: &str| {
            let from = NOTES.iter().find_map(|note| line.find(note)).unwrap_or_default();
            line[from..].trim_end().trim_end_matches(call).trim_end().to_owned()
        };
        log.lines().filter(about).map(note).collect()
    }
}

/// What happens on the trunk over one transport, in three calls.
fn calls_over(transport: &'static str, port: u16, more: &str) -> Table {
    let named = |what: &str| -> &'static str { Box::leak(format!("{transport}-{what}").into_boxed_str()) };
    let behind = |case: Case| {
        let phone = ports::free();
        let trunk = format!("transport = \"{transport}\"\nusername = \"phone-{phone}\"\npassword = \"s3cret\"\n{more}");
        let trunk = Box::leak(trunk.into_boxed_str());
        Case { trunk, host: "localhost", trunk_port: port, carrier_port: phone, ..case }
    };
    let unanswered = |status: u16| json!({"result": "NO_ANSWER", "scope": "CALLEE", "counted": true, "answeredAt": null, "sip.status": status});
    let talked = |by: &str| json!({"result": "ANSWERED", "hangupBy": by, "counted": true});
    vec![
        (behind(answered(named("callee"), play("answers_and_hangs_up"), play("agent"))), talked("CALLEE")),
        (behind(answered(named("agent"), play("answers"), play("agent_hangs_up"))), talked("AGENT")),
        (behind(case(named("rings"), play("goes_on_behind_a_proxy").saying("180 Ringing"))), unanswered(487)),
        (behind(case(named("crosses"), play("answers_too_late_behind_a_proxy"))), unanswered(200)),
    ]
}

/// What the proxy has to have seen of a call; what it refused would be there, too.
fn expected_notes(case: &Case) -> Vec<&'static str> {
    let (_, what) = case.name.split_once('-').unwrap();
    match what {
        // The ACK of the answer, the offer that joins the agent, its ACK, and the end.
        "callee" | "agent" => vec!["WITHIN ACK", "WITHIN INVITE", "WITHIN ACK", "WITHIN BYE"],
        "rings" => vec!["MATCHED CANCEL"],
        _ => vec!["MATCHED CANCEL", "WITHIN ACK", "WITHIN BYE"],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_through_a_proxy_take_its_route_and_are_taken_back_behind_it() {
    let folder = folder("proxy-kamailio");
    let ports = Ports { udp: ports::free(), tcp: ports::free(), tls: ports::free(), inside: ports::free() };
    let proxy = Proxy::start(&folder, &ports).await;
    let authority = format!("ca_file = {:?}", folder.join("ca.pem"));
    let over =
        [calls_over("udp", ports.udp, ""), calls_over("tcp", ports.tcp, ""), calls_over("tls", ports.tls, &authority)];
    let table = over.concat();
    let cases: Vec<Case> = table.iter().map(|(case, _)| *case).collect();
    let exchange = Exchange::open("proxy", &cases).await;
    for (case, expected) in &table {
        let ended = exchange.ended(case.name).await;
        assert_tells(ended[0].data(), case.name, expected);
        let (transport, _) = case.name.split_once('-').unwrap();
        let relayed = format!("RELAYED {transport}");
        let expected = [vec![relayed.as_str()], expected_notes(case)].concat();
        assert_eq!(proxy.noted(ended[0].text("callId")), expected, "what Kamailio saw of {}", case.name);
        assert_eq!(exchange.routes_of(&format!("{}-carrier", case.name)), 2, "{}: Record-Routes", case.name);
    }
    exchange.close().await;
}
