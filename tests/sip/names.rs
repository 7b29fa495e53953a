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

/// A name server that runs until this is dropped.
pub struct NameServer {
    pub port: u16,
    /// The name of the service, and its servers. All targets are the loopback.
    zone: Arc<Mutex<(&'static str, Vec<Service>)>>,
    serving: JoinHandle<()>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl NameServer {
    pub async fn start(service: &'static str, servers: Vec<Service>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let zone = Arc::new(Mutex::new((service, servers)));
        let known = zone.clone();
        let serving = tokio::spawn(async move {
            let mut query = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                let (service, servers) = known.lock().unwrap().clone();
                let answer = answer(&query[..length], service, &servers);
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        Self { port, zone, serving }
    }

    /// The service has these servers from now on.
    pub fn change(&self, servers: Vec<Service>) {
        self.zone.lock().unwrap().1 = servers;
    }

    /// It answers nobody from now on.
    pub fn fall_silent(&self) {
        self.serving.abort();
    }
}

/// The answer to a query of one question (RFC 1035, section 4).
fn answer(query: &[u8], service: &str, servers: &[Service]) -> Vec<u8> {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        name = name + std::str::from_utf8(&query[at + 1..end]).unwrap() + ".";
        at = end;
    }
    let (kind, question) = (u16::from_be_bytes([query[at + 1], query[at + 2]]), &query[12..at + 5]);
    let records: Vec<Vec<u8>> = match kind {
        SRV if name == service => servers.iter().map(service_record).collect(),
        A if servers.iter().any(|server| server.target == name) => vec![Ipv4Addr::LOCALHOST.octets().into()],
        _ => Vec::new(),
    };
    let exists = name == service || servers.iter().any(|server| server.target == name);
    // A response, recursion wanted and there; NXDOMAIN is 3.
    let flags = 0x8180_u16 | if exists { 0 } else { 3 };
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
