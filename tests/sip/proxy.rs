//! A trunk behind a real proxy, Kamailio: credentials are asked for, and every request of a dialog has to take its route. Over
//! UDP, TCP and TLS. A CANCEL must have the branch of the INVITE with credentials: the proxy tells of one that it cannot match.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::cases::{answered, assert_tells, case};
use crate::exchange::{Case, Exchange};
use crate::harness::patience::{SOON, until};
use crate::harness::site::folder;
use crate::ports;
use crate::sipp::{play, tool};

/// A running Kamailio; its children end with it.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        kill_process(Pid::from_child(&self.0), Signal::TERM).ok();
        drop(self.0.wait());
    }
}

/// A port of the proxy, and the port of the phone that is reached by it.
struct Way {
    transport: &'static str,
    port: u16,
    phone: u16,
}

impl Way {
    fn new(transport: &'static str) -> Self {
        Self { transport, port: ports::free(), phone: ports::free() }
    }

    /// Its line of the proxy's listeners, and the one of its phones.
    fn settings(&self) -> [String; 2] {
        let Self { transport, port, phone } = self;
        [
            format!("listen={transport}:127.0.0.1:{port}\n"),
            format!("  if ($Rp == {port}) {{ $du = \"sip:127.0.0.1:{phone}\"; }}\n"),
        ]
    }

    /// This case, by this way.
    fn lead(&self, case: Case, authority: &Path) -> Case {
        let secure = if self.transport == "tls" { format!("ca_file = {authority:?}") } else { String::new() };
        let known = "username = \"alice\"\npassword = \"s3cret\"";
        let trunk = format!("{known}\ntransport = \"{}\"\n{secure}", self.transport);
        let (trunk_port, carrier_port) = (self.port, self.phone);
        Case { trunk: Box::leak(trunk.into_boxed_str()), host: "localhost", trunk_port, carrier_port, ..case }
    }
}

impl Proxy {
    async fn start(folder: &Path, ways: &[Way]) -> Self {
        let program = tool("kamailio");
        certify(folder);
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sip/proxy.cfg");
        let settings = fs::read_to_string(template).unwrap();
        let (listens, phones): (String, String) = ways.iter().map(Way::settings).map(<(_, _)>::from).unzip();
        let settings = settings.replace("@LISTENS@\n", &listens).replace("@PHONES@\n", &phones);
        fs::write(folder.join("proxy.cfg"), settings).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let child = Command::new(program)
            .current_dir(folder)
            .args(["-f", "proxy.cfg", "-m", "32", "-M", "8", "-P", "pid", "-Y", ".", "-w", ".", "-DD", "-E"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let proxy = Self(child);
        let streams: Vec<_> = ways.iter().filter(|way| way.transport != "udp").collect();
        let listens = || streams.iter().all(|way| TcpStream::connect(("127.0.0.1", way.port)).is_ok()).then_some(());
        until(&format!("Kamailio to listen ({})", folder.display()), SOON, listens).await;
        proxy
    }
}

/// An authority, and a certificate of the proxy that it signed.
fn certify(folder: &Path) {
    let run = |arguments: &str| {
        let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {output:?}");
    };
    run("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-authority -keyout ca.key -out ca.pem");
    run("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr");
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
    run("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem");
}

/// The second route of a phone that answers too late; a proxy that stays with UDP has one route.
const SECOND_ROUTE: &str = "Record-Route:[$second_route]";

/// The cases of each transport.
fn cases() -> Vec<(&'static str, Case)> {
    let hangs_up = || play("answers_and_hangs_up");
    let rings = || play("rings_behind_a_proxy");
    let too_late = || play("answers_too_late_behind_a_proxy");
    vec![
        ("udp", answered("udp-callee", hangs_up(), play("agent"))),
        ("tcp", answered("tcp-callee", hangs_up(), play("agent"))),
        ("tls", answered("tls-agent", play("answers"), play("agent_hangs_up"))),
        ("udp", case("udp-rings", rings())),
        ("tcp", case("tcp-rings", rings())),
        ("tls", case("tls-rings", rings())),
        ("udp", case("udp-too-late", too_late())),
        ("tcp", case("tcp-too-late", too_late().with(SECOND_ROUTE))),
        ("tls", case("tls-too-late", too_late().with(SECOND_ROUTE))),
    ]
}

/// What the event of a case of this name has to tell.
fn expected(name: &str) -> Value {
    match name.split_once('-').unwrap().1 {
        "rings" => json!({"result": "NO_ANSWER", "counted": true, "sip.status": 487, "answeredAt": null}),
        "too-late" => json!({"result": "NO_ANSWER", "counted": true, "sip.status": 200, "answeredAt": null}),
        who => json!({"result": "ANSWERED", "hangupBy": who.to_uppercase(), "counted": true}),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialogs_through_a_proxy_take_their_route() {
    let folder = folder("proxy-kamailio");
    let (ways, cases): (Vec<Way>, Vec<Case>) = cases()
        .into_iter()
        .map(|(transport, case)| {
            let way = Way::new(transport);
            let case = way.lead(case, &folder.join("ca.pem"));
            (way, case)
        })
        .unzip();
    let _proxy = Proxy::start(&folder, &ways).await;
    let exchange = Exchange::open("proxy", &cases).await;
    for case in &cases {
        assert_tells(exchange.ended(case.name).await[0].data(), case.name, &expected(case.name));
    }
    exchange.close().await;
    let log = fs::read_to_string(folder.join("log")).unwrap();
    let told = |what: &str| log.matches(what).count();
    assert_eq!((told("CANCEL NOT MATCHED"), told("CANCEL MATCHED")), (0, 6), "{}", folder.display());
}
