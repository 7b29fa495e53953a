//! The section `admin`: where an operator, and the operator's Prometheus, may look at this daemon.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;

use super::reader::Section;
use crate::domain::fields::{self, Parsed};
use crate::domain::problem::{Code, Problem};

/// Only this host: nobody is asked who they are there.
const BIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// The operator's endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// `None`: there is none.
    pub bind: Option<SocketAddr>,
}

impl Admin {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { bind: section.optional("bind", bind).unwrap_or(Some(BIND)) }
    }
}

fn bind(value: &Value) -> Parsed<Option<SocketAddr>> {
    match fields::line(0..=64)(value)?.trim() {
        "" => Ok(None),
        text => {
            let message = "must be ADDRESS:PORT, like 127.0.0.1:9464, or empty for none";
            text.parse().map(Some).map_err(|_| Problem::new(Code::InvalidValue, message).into())
        }
    }
}
