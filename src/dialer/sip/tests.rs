//! What a dialer promises its caller.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use uuid::Uuid;

use super::*;
use crate::clock::SystemClock;
use crate::domain::agent::Agent;
use crate::domain::call::{CallResult, Scope};
use crate::domain::ids::{AgentId, CalleeId, TaskId};
use crate::domain::phone_number::PhoneNumber;
use crate::settings;

fn order(index: u32, ring_timeout: Duration) -> CallOrder {
    let task_id = TaskId(Uuid::nil());
    let agent = Agent {
        id: AgentId("a".into()),
        name: "a".into(),
        published: true,
        sip_uri: "sip:a@127.0.0.1".into(),
        sip_headers: BTreeMap::new(),
        variables: vec![],
        output_tags: vec![],
    };
    CallOrder {
        call_id: CallId::of(task_id, i64::from(index), 1),
        task_id,
        callee_id: CalleeId::of(task_id, i64::from(index)),
        out_id: None,
        variables: BTreeMap::new(),
        called: PhoneNumber::from_stored(format!("+49301{index:04}")),
        caller: PhoneNumber::from_stored("+49302000".into()),
        attempt: 1,
        agent: Arc::new(agent),
        ring_timeout,
        max_talk: Duration::from_secs(10),
    }
}

/// A trunk whose server is this socket.
fn dialer(server: &UdpSocket, more: &str) -> SipDialer {
    dialer_of(server.local_addr().unwrap(), more)
}

fn dialer_of(address: SocketAddr, more: &str) -> SipDialer {
    let file = tempfile::NamedTempFile::new().unwrap();
    let toml = format!(
        "[sip]\nbind = \"udp:127.0.0.1:0\"\n[trunks.line]\nkind = \"sip\"\naddress = \"{address}\"\noptions_seconds = 0\n{more}\n"
    );
    std::fs::write(file.path(), toml).unwrap();
    dialer_by(file.path())
}

fn dialer_by(file: &std::path::Path) -> SipDialer {
    let settings = settings::load(Some(file), []).unwrap();
    let (stack, deaf) = Stack::open(&settings.sip).unwrap();
    deaf.begin();
    let name = TrunkName::new("line");
    let Some(Trunk::Sip(trunk)) = settings.trunks.get(&name) else { panic!("no SIP trunk") };
    let sip = (&stack, &Keeper::idle());
    SipDialer::new((name, trunk.clone()), sip, Arc::new(SystemClock), &Metrics::default())
}

fn server() -> UdpSocket {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    server
}

/// The next datagram that is there already.
fn datagram(server: &UdpSocket) -> Option<String> {
    let mut bytes = [0; 4_096];
    let length = server.recv(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

async fn next_datagram(server: &UdpSocket) -> String {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(datagram) = datagram(server) {
            return datagram;
        }
        assert!(std::time::Instant::now() < deadline, "no datagram in time");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_invite_is_on_its_way_when_the_call_is_placed() {
    let server = server();
    let dialer = dialer(&server, "dial_prefix = \"9\"");
    let ring = Duration::from_secs(45);
    // The first one waits until the runtime knows that its new socket can be written to.
    let _first = dialer.place(order(1, ring)).unwrap();
    next_datagram(&server).await;
    let _second = dialer.place(order(2, ring)).unwrap();
    // Nothing was awaited in between, and this runtime has no other thread.
    let invite = datagram(&server).expect("an INVITE");
    assert!(invite.starts_with("INVITE sip:9+493010002@127.0.0.1:"), "{invite}");
    assert_eq!(dialer.fate(order(2, ring).call_id), Fate::InTheAir);
    assert_eq!(dialer.fate(order(3, ring).call_id), Fate::Unknown);
}

#[tokio::test]
async fn with_several_addresses_the_invite_leaves_by_the_one_of_its_route() {
    let server = server();
    let address = server.local_addr().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let toml = format!(
        "[sip]\nbind = \"udp:127.0.0.2:0,udp:127.0.0.1:0\"\n[trunks.line]\nkind = \"sip\"\naddress = \"{address}\"\noptions_seconds = 0\n"
    );
    std::fs::write(file.path(), toml).unwrap();
    let dialer = dialer_by(file.path());
    let _call = dialer.place(order(1, Duration::from_secs(45))).unwrap();
    let invite = next_datagram(&server).await;
    for header in ["Via: SIP/2.0/UDP 127.0.0.1:", "Contact: <sip:calltaskd@127.0.0.1:"] {
        assert!(invite.contains(header), "{invite}");
    }
}

#[tokio::test]
async fn over_tcp_too_and_nothing_is_let_in_while_no_connection_is_open() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dialer = dialer_of(listener.local_addr().unwrap(), "transport = \"tcp\"");
    assert!(dialer.admit().is_none() && dialer.closed_until().is_some());
    let deadline = Instant::now() + Duration::from_secs(10);
    while dialer.admit().is_none() {
        assert!(Instant::now() < deadline, "no connection in time");
        tokio::task::yield_now().await;
    }
    let (mut connection, _) = listener.accept().unwrap();
    connection.set_nonblocking(true).unwrap();
    let _call = dialer.place(order(1, Duration::from_secs(45))).unwrap();
    // Nothing was awaited in between, and this runtime has no other thread.
    let mut bytes = [0; 4_096];
    let length = connection.read(&mut bytes).expect("an INVITE");
    assert!(bytes[..length].starts_with(b"INVITE sip:+493010001@127.0.0.1:"));
    drop((connection, listener));
    while dialer.admit().is_some() {
        assert!(Instant::now() < deadline, "its end is noticed");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_refused_call_ends_with_what_the_trunk_said_and_by_its_rules() {
    let server = server();
    let rule = "[[trunks.line.overrides]]\nname = \"full\"\nstatus = 480\nresult = \"NETWORK_BUSY\"\nscope = \"TRUNK\"";
    let dialer = dialer(&server, rule);
    let call = dialer.place(order(1, Duration::from_secs(45))).unwrap();
    let invite = next_datagram(&server).await;
    let value = |name: &str| invite.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let (via, from, to) = (value("Via:"), value("From:"), value("To:"));
    let (call_id, number) = (value("Call-ID:"), value("CSeq:"));
    let (head, tail) = ("SIP/2.0 480 All lines busy", "Content-Length: 0");
    let refusal = format!("{head}\r\n{via}\r\n{from}\r\n{to};tag=t\r\n{call_id}\r\n{number}\r\n{tail}\r\n\r\n");
    let daemon: SocketAddr = {
        let sent_by = via.split_whitespace().nth(2).unwrap();
        sent_by.split(';').next().unwrap().parse().unwrap()
    };
    server.send_to(refusal.as_bytes(), daemon).unwrap();
    let Some(Outcome::Ended(end)) = call.outcome().await else { panic!("no end") };
    assert_eq!((end.result, end.scope, end.counted), (CallResult::NetworkBusy, Scope::Trunk, false));
    let sip = end.sip.unwrap();
    assert_eq!((sip.status, sip.reason.as_str(), sip.rule.as_str()), (480, "All lines busy", "trunk:full"));
    assert!(next_datagram(&server).await.starts_with("ACK "), "the refusal is acknowledged");
    assert_eq!(dialer.fate(order(1, Duration::ZERO).call_id), Fate::Unknown);
}

/// A refused INVITE within a transaction would be answered again and again for 32 s.
#[tokio::test]
async fn a_strangers_invite_is_answered_once_and_forgotten() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[sip]\nbind = \"udp:127.0.0.1:0\"\n").unwrap();
    let (stack, deaf) = Stack::open(&settings::load(Some(file.path()), []).unwrap().sip).unwrap();
    deaf.begin();
    let stranger = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let own = stranger.local_addr().unwrap();
    let to = stack.endpoint.transport_layer.get_addrs()[0].get_socketaddr().unwrap();
    let invite = format!(
        "INVITE sip:us@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK7\r\nFrom: <sip:a@h>;tag=1\r\n\
         To: <sip:us@{to}>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    );
    let mut answers = Vec::new();
    for _ in 0..2 {
        stranger.send_to(invite.as_bytes(), to).await.unwrap();
        let mut buffer = [0; 2_048];
        let (length, _) =
            tokio::time::timeout(Duration::from_secs(5), stranger.recv_from(&mut buffer)).await.unwrap().unwrap();
        answers.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    assert!(answers[0].starts_with("SIP/2.0 405 ") && answers[0].contains(";tag="), "{}", answers[0]);
    assert_eq!(answers[0], answers[1], "each gets the same");
    let stats = stack.endpoint.get_stats();
    assert_eq!((stats.running_transactions, stats.finished_transactions, stats.waiting_ack), (0, 0, 0));
}
