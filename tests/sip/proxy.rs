//! A trunk behind a real proxy, Kamailio: credentials are asked for, and every request of a dialog has to take its route. Over
//! UDP, TCP and TLS. Where Kamailio is not installed, there is nothing to see.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::cases::{answered, assert_tells};
use crate::exchange::{Case, Exchange};
use crate::harness::patience::{SOON, until};
use crate::harness::site::folder;
use crate::ports;
use crate::sipp::play;

/// A running Kamailio; its children end with it.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        kill_process(Pid::from_child(&self.0), Signal::TERM).ok();
        drop(self.0.wait());
    }
}

/// The ports of the proxy and of the phones behind it.
struct Ports {
    udp: u16,
    tcp: u16,
    tls: u16,
    phones: [u16; 3],
}

impl Proxy {
    async fn start(folder: &Path, ports: &Ports) -> Self {
        certify(folder);
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sip/proxy.cfg");
        let mut settings = fs::read_to_string(template).unwrap();
        let [udp_phone, tcp_phone, tls_phone] = ports.phones;
        for (name, port) in [
            ("@UDP@", ports.udp),
            ("@TCP@", ports.tcp),
            ("@TLS@", ports.tls),
            ("@UDP_PHONE@", udp_phone),
            ("@TCP_PHONE@", tcp_phone),
            ("@TLS_PHONE@", tls_phone),
        ] {
            settings = settings.replace(name, &port.to_string());
        }
        fs::write(folder.join("proxy.cfg"), settings).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let child = Command::new("kamailio")
            .current_dir(folder)
            .args(["-f", "proxy.cfg", "-m", "32", "-M", "8", "-P", "pid", "-Y", ".", "-w", ".", "-DD", "-E"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let proxy = Self(child);
        let listens = || std::net::TcpStream::connect(("127.0.0.1", ports.tls)).ok();
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

fn is_installed() -> bool {
    let modules = Path::new("/usr/lib/x86_64-linux-gnu/kamailio/modules/tls.so");
    modules.exists() && Path::new("/usr/sbin/kamailio").exists()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialogs_through_a_proxy_take_their_route() {
    if !is_installed() {
        println!("skipped: kamailio and kamailio-tls-modules are not installed");
        return;
    }
    let folder = folder("proxy-kamailio");
    let phones = [ports::free(), ports::free(), ports::free()];
    let ports = Ports { udp: ports::free(), tcp: ports::free(), tls: ports::free(), phones };
    let _proxy = Proxy::start(&folder, &ports).await;
    let known = "username = \"alice\"\npassword = \"s3cret\"";
    let authority = folder.join("ca.pem");
    let trunk = |more: &str| -> &'static str { Box::leak(format!("{known}\n{more}").into_boxed_str()) };
    let secure = format!("transport = \"tls\"\nca_file = {authority:?}");
    let behind = |case: Case, more: &str, port: u16, phone: u16| Case {
        trunk: trunk(more),
        host: "localhost",
        trunk_port: port,
        carrier_port: phone,
        ..case
    };
    let cases = [
        behind(answered("udp-callee", play("answers_and_hangs_up"), play("agent")), "", ports.udp, phones[0]),
        behind(
            answered("tcp-callee", play("answers_and_hangs_up"), play("agent")),
            "transport = \"tcp\"",
            ports.tcp,
            phones[1],
        ),
        behind(answered("tls-agent", play("answers"), play("agent_hangs_up")), &secure, ports.tls, phones[2]),
    ];
    let exchange = Exchange::open("proxy", &cases).await;
    for (case, by) in cases.iter().zip(["CALLEE", "CALLEE", "AGENT"]) {
        let talked = json!({"result": "ANSWERED", "hangupBy": by, "counted": true});
        assert_tells(exchange.ended(case.name).await[0].data(), case.name, &talked);
    }
    exchange.close().await;
}
