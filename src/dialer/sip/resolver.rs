//! Where the servers of a domain are: by its SRV records, or by its addresses where it has none (RFC 3263, section 4.2). The
//! transport is the settings', so no NAPTR is asked for.
//!
//! Must not be asked by a call: a name server may take seconds.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::rdata::SRV;

use super::peer::Transport;
use super::picking::Rank;

/// What is known is asked for again no sooner and no later, whatever the records say.
const FRESH: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(3_600)];
const PATIENCE: Duration = Duration::from_secs(2);
/// More servers than a trunk of the settings can name are no trunk's.
const MOST: usize = 16;

/// Asks the system's name server, or that of the settings.
#[derive(Debug, Clone, Copy)]
pub struct Resolver(pub Option<SocketAddr>);

/// The servers of a domain.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub servers: Vec<(Rank, SocketAddr)>,
    /// How long that holds.
    pub fresh: Duration,
}

/// The servers of a domain are not known.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    #[error("the name server was of no help: {0}")]
    Failed(#[from] NetError),
    #[error("the system does not know the name either: {0}")]
    Unknown(#[from] io::Error),
    #[error("the domain says that it has no such service")]
    Refused,
    #[error("its names have no address that we can use")]
    Homeless,
}

impl Resolver {
    /// Where a domain's servers are, of the addresses that can be used.
    pub async fn find(
        &self,
        domain: &str,
        transport: Transport,
        usable: impl Fn(IpAddr) -> bool,
    ) -> Result<Found, Unresolved> {
        if let Ok(ip) = domain.parse::<IpAddr>() {
            let server = (Rank::in_list(0), (ip, transport.default_port()).into());
            return Ok(Found { servers: vec![server], fresh: FRESH[1] });
        }
        // A new one each time: what it kept would be older than the records allow, and the system's servers may change.
        let resolver = self.open()?;
        let domain = domain.trim_end_matches('.');
        let mut found = match resolver.srv_lookup(format!("{}.{domain}.", service(transport))).await {
            Ok(answer) => {
                let records = answer.answers().iter();
                let services = records.filter_map(|record| match &record.data {
                    RData::SRV(service) => Some((service.clone(), record.ttl)),
                    _ => None,
                });
                of_services(&resolver, services.collect(), usable).await?
            }
            Err(error) if error.is_no_records_found() => {
                let (addresses, fresh) = addresses(&resolver, &format!("{domain}."), &usable).await?;
                let ranked = addresses.into_iter().enumerate();
                let server = |(index, ip)| (Rank::in_list(index), SocketAddr::new(ip, transport.default_port()));
                Found { servers: ranked.map(server).collect(), fresh }
            }
            Err(error) => return Err(error.into()),
        };
        found.servers.truncate(MOST);
        found.fresh = found.fresh.clamp(FRESH[0], FRESH[1]);
        if found.servers.is_empty() { Err(Unresolved::Homeless) } else { Ok(found) }
    }

    /// Where a domain's servers are if it has no records of them, by the system's own look-up: it knows names that no name
    /// server does.
    pub async fn find_by_system(
        &self,
        domain: &str,
        transport: Transport,
        usable: impl Fn(IpAddr) -> bool,
    ) -> Result<Found, Unresolved> {
        let known = tokio::net::lookup_host((domain, transport.default_port())).await?;
        let usable = known.filter(|address| usable(address.ip())).take(MOST).enumerate();
        let servers: Vec<_> = usable.map(|(index, address)| (Rank::in_list(index), address)).collect();
        if servers.is_empty() { Err(Unresolved::Homeless) } else { Ok(Found { servers, fresh: FRESH[0] }) }
    }

    fn open(&self) -> Result<TokioResolver, NetError> {
        let mut builder = match self.0 {
            None => TokioResolver::builder_tokio()?,
            Some(server) => {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                let mut named = NameServerConfig::udp(server.ip());
                named.connections = connections.into();
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![named]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options: &mut ResolverOpts = builder.options_mut();
        (options.timeout, options.attempts, options.cache_size) = (PATIENCE, 2, 0);
        builder.build()
    }
}

/// The name below a domain that its servers of this kind stand at.
fn service(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    }
}

/// The servers that these records name. One whose name has no address leaves the others; the next look is soon then.
async fn of_services(
    resolver: &TokioResolver,
    services: Vec<(SRV, u32)>,
    usable: impl Fn(IpAddr) -> bool,
) -> Result<Found, Unresolved> {
    // RFC 2782: the root as target says that there is no such service.
    if let [(only, _)] = services.as_slice()
        && only.target.is_root()
    {
        return Err(Unresolved::Refused);
    }
    let (mut found, mut failure) = (Found { servers: Vec::new(), fresh: FRESH[1] }, None);
    for (service, ttl) in services.iter().take(MOST) {
        match addresses(resolver, &service.target.to_ascii(), &usable).await {
            Ok((addresses, fresh)) => {
                found.fresh = found.fresh.min(fresh).min(Duration::from_secs(u64::from(*ttl)));
                let rank = Rank::of_target(service.priority, service.weight, addresses.len());
                found.servers.extend(addresses.into_iter().map(|ip| (rank, SocketAddr::new(ip, service.port))));
            }
            Err(error) => {
                found.fresh = FRESH[0];
                failure = Some(error);
            }
        }
    }
    match failure {
        Some(error) if found.servers.is_empty() => Err(error),
        _ => Ok(found),
    }
}

async fn addresses(
    resolver: &TokioResolver,
    name: &str,
    usable: &impl Fn(IpAddr) -> bool,
) -> Result<(Vec<IpAddr>, Duration), Unresolved> {
    let answer = resolver.lookup_ip(name).await?;
    let addresses: Vec<IpAddr> = answer.iter().filter(|ip| usable(*ip)).collect();
    let fresh = answer.valid_until().saturating_duration_since(std::time::Instant::now());
    if addresses.is_empty() { Err(Unresolved::Homeless) } else { Ok((addresses, fresh)) }
}
