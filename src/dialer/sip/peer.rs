//! A SIP server or user agent, and how it is reached.
//!
//! Must not look anything up or connect: it only reads what settings and URIs say.

use rsipstack::sip::Uri;
use rsipstack::transport::SipAddr;
use serde::{Deserialize, Serialize};

use crate::domain::ids::TrunkName;
use crate::settings;

/// How a peer is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl From<settings::Transport> for Transport {
    fn from(transport: settings::Transport) -> Self {
        match transport {
            settings::Transport::Udp => Self::Udp,
            settings::Transport::Tcp => Self::Tcp,
            settings::Transport::Tls => Self::Tls,
        }
    }
}

impl From<Transport> for rsipstack::sip::Transport {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Udp => Self::Udp,
            Transport::Tcp => Self::Tcp,
            Transport::Tls => Self::Tls,
        }
    }
}

impl Transport {
    /// As a `Via` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    pub fn default_port(self) -> u16 {
        if self == Self::Tls { 5061 } else { 5060 }
    }
}

/// A SIP server or user agent, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Peer {
    pub transport: Transport,
    /// A name or an address, the latter without brackets.
    pub host: String,
    pub port: u16,
    /// The trunk by whose certificates it is spoken to over TLS: two trunks at one server do not share a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<TrunkName>,
}

impl Peer {
    pub fn new(transport: Transport, host: &str, port: Option<u16>) -> Self {
        let host = host.trim_matches(['[', ']']).to_owned();
        Self { transport, host, port: port.unwrap_or(transport.default_port()), trunk: None }
    }

    /// Whoever sends from there. `None`: by a transport that we do not speak.
    pub fn at(address: &SipAddr) -> Option<Self> {
        let transport = match address.r#type {
            None | Some(rsipstack::sip::Transport::Udp) => Transport::Udp,
            Some(rsipstack::sip::Transport::Tcp) => Transport::Tcp,
            Some(rsipstack::sip::Transport::Tls) => Transport::Tls,
            Some(_) => return None,
        };
        let socket = address.get_socketaddr().ok()?;
        Some(Self::new(transport, &socket.ip().to_string(), Some(socket.port())))
    }

    /// The same as a server of this trunk.
    pub fn of_trunk(self, trunk: &TrunkName) -> Self {
        let trunk = (self.transport == Transport::Tls).then(|| trunk.clone());
        Self { trunk, ..self }
    }

    /// Whether both are in the same place, whoever speaks to them.
    pub fn is_where(&self, other: &Self) -> bool {
        (self.transport, &self.host, self.port) == (other.transport, &other.host, other.port)
    }

    /// The URI of somebody whom this server can reach.
    pub fn uri_of_user(&self, user: &str) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        self.uri_at(user, &format!("{host}:{}", self.port))
    }

    /// The URI of somebody whom it can reach, by the name that it goes by.
    pub fn uri_at(&self, user: &str, name: &str) -> String {
        match self.transport {
            Transport::Udp => format!("sip:{user}@{name}"),
            other => format!("sip:{user}@{name};transport={}", other.as_str().to_ascii_lowercase()),
        }
    }

    /// Whom a URI means, reached by `otherwise` unless it says how.
    pub fn of_uri(text: &str, otherwise: Transport) -> Option<Self> {
        let uri = uri_of(text)?;
        let secure = uri.scheme == Some(rsipstack::sip::Scheme::Sips);
        let named = uri.params.iter().find_map(|param| match param {
            rsipstack::sip::Param::Transport(transport) => Some(*transport),
            _ => None,
        });
        let transport = match named {
            _ if secure => Transport::Tls,
            Some(rsipstack::sip::Transport::Udp) => Transport::Udp,
            Some(rsipstack::sip::Transport::Tcp) => Transport::Tcp,
            Some(rsipstack::sip::Transport::Tls) => Transport::Tls,
            Some(_) => return None,
            None => otherwise,
        };
        let port = uri.host_with_port.port.map(|port| port.value());
        Some(Self::new(transport, &uri.host_with_port.host.to_string(), port))
    }
}

/// For the log, which may know servers and no numbers.
impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let transport = self.transport.as_str().to_ascii_lowercase();
        match self.host.contains(':') {
            true => write!(f, "{transport}:[{}]:{}", self.host, self.port),
            false => write!(f, "{transport}:{}:{}", self.host, self.port),
        }
    }
}

/// The URI within an address like `"name" <sip:user@host>;param`, or the whole text.
fn uri_of(text: &str) -> Option<Uri> {
    let inner = text.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(text, |(uri, _)| uri);
    Uri::try_from(inner).ok()
}
