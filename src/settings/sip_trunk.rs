//! The settings of a SIP trunk: where it is, who we are there, and how calls are offered to it.
//!
//! Must not connect to anything or look a name up. What endings mean on the trunk stands in `overrides.rs`.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use super::overrides;
use super::pem;
use super::reader::Section;
use super::secret;
use super::sip::{self, Certificate, HostPort, Transport};
use crate::domain::classification::Override;
use crate::domain::fields::{self, Parsed};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::problem::{Code, Problem};
use crate::domain::service_instance::TrunkCapacity;

/// A trunk that carries calls over SIP.
#[derive(Debug, Clone)]
pub struct SipTrunk {
    pub capacity: TrunkCapacity,
    pub place: Place,
    pub transport: Transport,
    pub credentials: Option<Credentials>,
    pub offer: OfferStrategy,
    /// How often each server is asked whether it is there (OPTIONS); `None`: never.
    pub options: Option<Duration>,
    pub identity: Identity,
    /// The host of our From; what the stack is known by, when there is none.
    pub from_domain: Option<String>,
    pub numbers: NumberFormat,
    /// What the placeholder offers, the preferred first; telephone-event goes without saying.
    pub codecs: Vec<Codec>,
    /// How long the agent may take to answer.
    pub agent_timeout: Duration,
    /// The certificates (PEM) that its servers' are signed with, instead of the system's.
    pub ca: Option<String>,
    /// What we show of ourselves to its servers.
    pub certificate: Option<Certificate>,
    /// What its endings mean, where that differs; the first that fits decides.
    pub overrides: Vec<Override>,
}

/// Where a trunk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Its servers, the preferred first.
    Servers(Vec<HostPort>),
    /// A name whose servers are looked up (RFC 3263).
    Domain(String),
}

/// Who we are to a trunk that asks (RFC 8760).
#[derive(Debug, Clone)]
pub struct Credentials {
    pub username: String,
    pub password: SecretString,
}

/// How the callee is offered media.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OfferStrategy {
    /// With a sink of ours at first, and the agent's by a re-INVITE.
    #[default]
    Placeholder,
    /// Not at all: the callee's side makes the offer.
    Late,
    /// As the placeholder, but the agent is called while the phone rings.
    AgentFirst,
}

/// Where the caller number is told, besides From.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Identity {
    #[default]
    From,
    PAssertedIdentity,
    PPreferredIdentity,
    RemotePartyId,
}

/// How numbers are written for a trunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumberFormat {
    /// Without the + in front.
    pub strip_plus: bool,
    /// What stands before a called number.
    pub dial_prefix: String,
}

/// A codec that the placeholder can offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Pcma,
    Pcmu,
    G722,
    Opus,
}

impl NumberFormat {
    /// The user part of a called number's URI.
    pub fn called(&self, number: &PhoneNumber) -> String {
        // Of what a prefix may hold, only this has to be escaped (RFC 3261, section 25.1).
        format!("{}{}", self.dial_prefix.replace('#', "%23"), self.caller(number))
    }

    /// The user part of a caller number's URI.
    pub fn caller(&self, number: &PhoneNumber) -> String {
        let number = number.e164();
        if self.strip_plus { number.trim_start_matches('+').to_owned() } else { number.to_owned() }
    }
}

impl Codec {
    /// As SDP spells it, and without case the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pcma => "PCMA",
            Self::Pcmu => "PCMU",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }
}

const TRANSPORTS: &[(&str, Transport)] = &[("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)];

const STRATEGIES: &[(&str, OfferStrategy)] = &[
    ("placeholder", OfferStrategy::Placeholder),
    ("late", OfferStrategy::Late),
    ("agent-first", OfferStrategy::AgentFirst),
];

const IDENTITIES: &[(&str, Identity)] = &[
    ("from", Identity::From),
    ("p-asserted-identity", Identity::PAssertedIdentity),
    ("p-preferred-identity", Identity::PPreferredIdentity),
    ("remote-party-id", Identity::RemotePartyId),
];

const CODECS: &[(&str, Codec)] =
    &[("PCMA", Codec::Pcma), ("PCMU", Codec::Pcmu), ("G722", Codec::G722), ("opus", Codec::Opus)];

impl SipTrunk {
    pub(super) fn read(section: &mut Section<'_>, capacity: TrunkCapacity) -> Self {
        let transport = section.optional("transport", one_of(TRANSPORTS)).unwrap_or_default();
        let options = section.seconds("options_seconds", 30, 0..=3_600);
        let codecs = section.optional("codecs", codecs);
        Self {
            capacity,
            place: place(section),
            transport,
            credentials: credentials(section),
            offer: section.optional("offer", one_of(STRATEGIES)).unwrap_or_default(),
            options: Some(options).filter(|every| !every.is_zero()),
            identity: section.optional("identity", one_of(IDENTITIES)).unwrap_or_default(),
            from_domain: section.optional("from_domain", domain),
            numbers: NumberFormat {
                strip_plus: section.flag("strip_plus", false),
                dial_prefix: section.optional("dial_prefix", dial_prefix).unwrap_or_default(),
            },
            codecs: codecs.unwrap_or_else(|| vec![Codec::Pcma, Codec::Pcmu]),
            agent_timeout: section.seconds("agent_timeout_seconds", 8, 1..=30),
            ca: tls_only(section, transport, "ca_file").and_then(|value| section.note("ca_file", pem::content(value))),
            certificate: certificate(section, transport),
            overrides: section.optional("overrides", overrides::read).unwrap_or_default(),
        }
    }
}

/// Exactly one of `address` and `domain`.
fn place(section: &mut Section<'_>) -> Place {
    let (address, domain_name) = (section.optional("address", Ok), section.optional("domain", Ok));
    match (address, domain_name) {
        (Some(_), Some(_)) => section.problem(secret::contradiction(section, ["address", "domain"])),
        (None, None) => {
            let message = "give the addresses of the trunk's servers, or a domain to look them up by";
            section.problem(Problem::of("address", Code::Required, message));
        }
        _ => {}
    }
    let servers = address.and_then(|value| {
        let servers = sip::one_or_list(value, 16, sip::host_and_port);
        section.note("address", servers)
    });
    let domain_name = domain_name.and_then(|value| section.note("domain", domain(value)));
    match (servers, domain_name) {
        (None, Some(domain)) => Place::Domain(domain),
        (servers, _) => Place::Servers(servers.unwrap_or_default()),
    }
}

fn credentials(section: &mut Section<'_>) -> Option<Credentials> {
    let given = ["username", "password", "password_file"].map(|key| section.has(key));
    let username = section.optional("username", fields::line(1..=256));
    let password = secret::text(section, ["password", "password_file"]);
    match given {
        [true, false, false] => {
            let message = "goes together with password_file (or password); give both or neither";
            section.problem(Problem::of("username", Code::Required, message));
        }
        [false, true, _] | [false, _, true] => {
            let message = "give the name that the password belongs to, or remove the password";
            section.problem(Problem::of("username", Code::Required, message));
        }
        _ => {}
    }
    Some(Credentials { username: username?, password: password? })
}

/// The value of a setting that only makes sense over TLS.
fn tls_only<'v>(section: &mut Section<'v>, transport: Transport, key: &'static str) -> Option<&'v Value> {
    let value = section.optional(key, Ok)?;
    if transport != Transport::Tls {
        let message = "is only of use over TLS; write transport = \"tls\" or remove it";
        section.problem(Problem::of(key, Code::InvalidValue, message));
    }
    Some(value)
}

fn certificate(section: &mut Section<'_>, transport: Transport) -> Option<Certificate> {
    tls_only(section, transport, "certificate_file");
    pem::certificate(section)
}

fn one_of<T: Copy>(names: &'static [(&'static str, T)]) -> impl Fn(&Value) -> Parsed<T> {
    move |value| {
        let text = fields::line(1..=64)(value)?;
        let found = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            Problem::new(Code::InvalidValue, format!("must be one of {}", names.join(", "))).into()
        })
    }
}

fn codecs(value: &Value) -> Parsed<Vec<Codec>> {
    let codecs = fields::list(1..=8, one_of(CODECS))(value)?;
    match codecs.iter().enumerate().find(|(index, codec)| codecs[..*index].contains(codec)) {
        Some((_, twice)) => {
            let message = format!("has {} twice; remove one", twice.as_str());
            Err(Problem::new(Code::InvalidValue, message).into())
        }
        None => Ok(codecs),
    }
}

fn domain(value: &Value) -> Parsed<String> {
    let name = fields::line(1..=253)(value)?;
    match sip::is_domain(&name) || name.parse::<std::net::IpAddr>().is_ok() {
        true => Ok(name),
        false => {
            Err(Problem::new(Code::InvalidValue, "must be a domain name without a port, like sip.example.com").into())
        }
    }
}

fn dial_prefix(value: &Value) -> Parsed<String> {
    let prefix = fields::text(0..=32)(value)?;
    match prefix.bytes().all(|byte| byte.is_ascii_digit() || b"+*#".contains(&byte)) {
        true => Ok(prefix),
        false => Err(Problem::new(Code::InvalidValue, "may hold digits, +, * and # only").into()),
    }
}
