//! A name server of the tests: it knows what it is told, and says of anything else that there is no such name.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

const A: u16 = 1;
const SRV: u16 = 33;
/// Zero: the daemon looks again as soon as it ever does.
const TTL: u32 = 0;

/// One server of a service.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    pub target: &'static str,
}

/// What a name server knows. All targets are the loopback.
#[derive(Debug, Clone, Default)]
pub struct Zone {
    pub services: Vec<(&'static str, Vec<Service>)>,
    pub hosts: Vec<(&'static str, Ipv4Addr)>,
    /// Of names that end so it says that it failed.
    pub failing: Option<&'static str>,
}

/// A name server that runs until this is dropped.
pub struct NameServer {
    pub port: u16,
    zone: Arc<Mutex<Zone>>,
    serving: JoinHandle<()>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl NameServer {
    pub async fn start(zone: Zone) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let zone = Arc::new(Mutex::new(zone));
        let known = zone.clone();
        let serving = tokio::spawn(async move {
            let mut query = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                let answer = answer(&query[..length], &known.lock().unwrap());
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        Self { port, zone, serving }
    }

    /// It knows this from now on.
    pub fn change(&self, zone: Zone) {
        *self.zone.lock().unwrap() = zone;
    }

    /// The settings of a daemon that asks it.
    pub fn settings(&self) -> String {
        format!("dns = \"127.0.0.1:{}\"\n", self.port)
    }

    /// It answers nobody from now on.
    pub fn fall_silent(&self) {
        self.serving.abort();
    }
}

impl Zone {
    fn address(&self, name: &str) -> Option<Ipv4Addr> {
        let targets = self.services.iter().flat_map(|(_, servers)| servers).map(|server| server.target);
        let targets = targets.map(|target| (target, Ipv4Addr::LOCALHOST));
        self.hosts.iter().copied().chain(targets).find(|(host, _)| *host == name).map(|(_, address)| address)
    }
}

/// The answer to a query of one question (RFC 1035, section 4).
fn answer(query: &[u8], zone: &Zone) -> Vec<u8> {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        name = name + std::str::from_utf8(&query[at + 1..end]).unwrap() + ".";
        at = end;
    }
    let (kind, question) = (u16::from_be_bytes([query[at + 1], query[at + 2]]), &query[12..at + 5]);
    let servers = zone.services.iter().filter(|(service, _)| *service == name).flat_map(|(_, servers)| servers);
    let services: Vec<Vec<u8>> = servers.map(service_record).collect();
    let addresses = zone.address(&name).map(|address| address.octets().to_vec());
    // A response, recursion wanted and there; SERVFAIL is 2, NXDOMAIN is 3.
    let failure = match () {
        () if zone.failing.is_some_and(|end| name.ends_with(end)) => 2,
        () if services.is_empty() && addresses.is_none() => 3,
        () => 0,
    };
    let records = match kind {
        SRV => services,
        A => addresses.into_iter().collect(),
        _ => Vec::new(),
    };
    let flags = 0x8180_u16 | failure;
    let counts = [1, u16::try_from(records.len()).unwrap(), 0, 0];
    let mut answer = query[..2].to_vec();
    answer.extend(flags.to_be_bytes());
    answer.extend(counts.into_iter().flat_map(u16::to_be_bytes));
    answer.extend(question);
    for record in records {
        // The name is that of the question; class IN.
        answer.extend([0xC0, 12].into_iter().chain(kind.to_be_bytes()).chain([0, 1]).chain(TTL.to_be_bytes()));
        answer.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
        answer.extend(record);
    }
    answer
}

fn service_record(server: &Service) -> Vec<u8> {
    let mut record: Vec<u8> =
        [server.priority, server.weight, server.port].into_iter().flat_map(u16::to_be_bytes).collect();
    for label in server.target.split('.') {
        record.push(u8::try_from(label.len()).unwrap());
        record.extend(label.as_bytes());
    }
    record
}
