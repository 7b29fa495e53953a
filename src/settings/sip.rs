//! The section `sip`: the addresses that SIP is spoken on, by all SIP trunks together.
//!
//! Must not open anything. What is wrong with one trunk is not told here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use secrecy::SecretString;
use serde_json::Value;

use super::pem;
use super::reader::Section;
use crate::domain::fields::{self, Parsed, excerpt};
use crate::domain::problem::{Code, Problem, Problems};

/// Where SIP is spoken.
#[derive(Debug, Clone)]
pub struct Sip {
    /// At least one.
    pub bind: Vec<Bind>,
    /// What peers are told to send to, when it is not the address that is bound: behind a NAT.
    pub public_address: Option<HostPort>,
    /// What this daemon shows of itself over TLS; there when a TLS address is bound.
    pub certificate: Option<Certificate>,
    /// The name server that the servers of a trunk's domain are asked of, instead of the system's.
    pub dns: Option<SocketAddr>,
}

/// A local address, and how it is spoken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bind {
    pub transport: Transport,
    pub address: SocketAddr,
}

/// How SIP travels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    #[default]
    Udp,
    Tcp,
    Tls,
}

/// A host and perhaps a port; the port that goes without saying is the transport's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address; one of IPv6 without brackets.
    pub host: String,
    pub port: Option<u16>,
}

/// A certificate chain and its private key, both in PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub chain: String,
    pub key: SecretString,
}

const DEFAULT_BIND: Bind =
    Bind { transport: Transport::Udp, address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 5060) };

impl Sip {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let bind = section.optional("bind", binds).unwrap_or_else(|| vec![DEFAULT_BIND]);
        let public_address = section.optional("public_address", host_port);
        let certificate = pem::certificate(section);
        if certificate.is_none() && bind.iter().any(|bind| bind.transport == Transport::Tls) {
            let message =
                "is needed for an address with tls:; give certificate_file and key_file, or bind without tls:";
            section.problem(Problem::of("certificate_file", Code::Required, message));
        }
        Self { bind, public_address, certificate, dns: section.optional("dns", name_server) }
    }
}

impl Transport {
    pub const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// The port that is meant when none is named.
    pub fn default_port(self) -> u16 {
        if self == Self::Tls { 5061 } else { 5060 }
    }
}

impl FromStr for Transport {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|transport| transport.as_str().eq_ignore_ascii_case(text)).ok_or(())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A list, or one text with commas, which is all that the environment can give.
fn binds(value: &Value) -> Parsed<Vec<Bind>> {
    let binds = one_or_list(value, 16, bind)?;
    let mut problems = Problems::none();
    for (index, bind) in binds.iter().enumerate() {
        if bind.address.port() != 0 && binds[..index].contains(bind) {
            let message = format!("{}:{} is given twice; remove one", bind.transport.as_str(), bind.address);
            problems.add(Problem::new(Code::InvalidValue, message));
        }
    }
    problems.unless_any(binds)
}

fn bind(text: &str) -> Parsed<Bind> {
    let parsed = text.split_once(':').and_then(|(transport, address)| {
        Some(Bind { transport: transport.parse().ok()?, address: address.parse().ok()? })
    });
    let message = "must be TRANSPORT:ADDRESS:PORT, like udp:0.0.0.0:5060; the transports are udp, tcp, tls";
    parsed.ok_or_else(|| Problem::new(Code::InvalidValue, message).into())
}

/// It cannot be looked up by its name.
fn name_server(value: &Value) -> Parsed<SocketAddr> {
    let HostPort { host, port } = host_port(value)?;
    let ip = host.parse::<IpAddr>();
    let message = "must be the address of a name server, perhaps with a port: 192.0.2.53:53";
    ip.map(|ip| (ip, port.unwrap_or(53)).into()).map_err(|_| Problem::new(Code::InvalidValue, message).into())
}

/// The items of a list of texts, or of a text between its commas.
pub(super) fn one_or_list<T>(value: &Value, most: usize, parse: fn(&str) -> Parsed<T>) -> Parsed<Vec<T>> {
    let item = |value: &Value| parse(fields::line(1..=512)(value)?.trim());
    match value {
        Value::String(text) => {
            let items = text.split(',').map(|item| Value::from(item.trim())).collect();
            fields::list(1..=most, item)(&Value::Array(items))
        }
        list => fields::list(1..=most, item)(list),
    }
}

pub(super) fn host_port(value: &Value) -> Parsed<HostPort> {
    host_and_port(fields::line(1..=255)(value)?.trim())
}

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; an IPv6 address alone needs no brackets.
pub(super) fn host_and_port(text: &str) -> Parsed<HostPort> {
    let wrong = |what: &str| Problem::new(Code::InvalidValue, what);
    let (name, port) = match text.parse::<IpAddr>() {
        Ok(_) => (text, None),
        Err(_) => match text.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (text, None),
        },
    };
    let bracketed = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_host = match bracketed {
        Some(inner) => matches!(inner.parse(), Ok(IpAddr::V6(_))),
        None => name.parse::<IpAddr>().is_ok() || is_domain(name),
    };
    if !is_host {
        let text = excerpt(text, 64);
        return Err(wrong(&format!(
            "\"{text}\" is no host; write a name or an address, perhaps with a port: sip.example.com:5060"
        ))
        .into());
    }
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return Err(wrong("its port must be a number from 1 to 65535").into()),
    };
    Ok(HostPort { host: bracketed.unwrap_or(name).to_owned(), port })
}

/// Whether it can be a domain name (RFC 1123); four numbers with dots between are an address or a mistake.
pub(super) fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}
