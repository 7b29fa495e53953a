//! The SIP stack of this process: its sockets, and what is sent and received through them.
//!
//! The library beneath gives transports, parser and transactions; calls and dialogs are ours. It is used only in this
//! folder, so that it can be replaced here. It logs whole messages at info level: src/telemetry lets none of that
//! through.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rsipstack::EndpointBuilder;
use rsipstack::dialog::authenticate::AuthRetry;
use rsipstack::sip::{Request, Response, SipMessage};
use rsipstack::transaction::endpoint::{EndpointInnerRef, EndpointOption};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::transaction::Transaction;
use rsipstack::transport::TransportLayer;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::dialog::{Dialog, USER_AGENT};
use super::doorway::Doorway;
use super::incoming;
use super::inspector::{Answers, Inspector};
use super::message::Reply;
pub use super::path::{Path, Unreachable};
use super::peer::{Peer, Transport};
use super::resolver::Resolver;
use super::seats::Legs;
use super::secure::{Secure, Trust};
use super::sockets::{Datagrams, Sockets};
use super::{bridge, challenge, sink, sockets, strays};
use crate::domain::ids::CallId;
use crate::settings::{Bind, Credentials, HostPort, Sip};

/// Above every ring timeout: it is ours that cancels.
const TIMER_C: Duration = Duration::from_secs(600);
/// The stack of this process.
pub struct Stack {
    pub(super) endpoint: EndpointInnerRef,
    pub(super) answers: Arc<Answers>,
    pub(super) legs: Arc<Legs>,
    pub(super) binds: Vec<Bind>,
    pub(super) datagrams: Datagrams,
    public: Option<HostPort>,
    sink: SocketAddr,
    pub(super) secure: Secure,
    resolver: Resolver,
    pub(super) end: CancellationToken,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("binds", &self.binds).finish_non_exhaustive()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// A stack that reads nothing yet: what comes waits in its sockets.
#[must_use = "nothing is read before `begin`"]
pub struct Deaf {
    endpoint: EndpointInnerRef,
    requests: mpsc::UnboundedReceiver<Transaction>,
    legs: Arc<Legs>,
    doorways: Vec<Doorway>,
    end: CancellationToken,
}

impl Deaf {
    /// Begins to read.
    pub fn begin(self) {
        let Self { endpoint, requests, legs, doorways, end } = self;
        for doorway in doorways {
            tokio::spawn(doorway.serve(endpoint.clone(), end.child_token()));
        }
        tokio::spawn(async move { endpoint.serve().await });
        tokio::spawn(incoming::serve(requests, legs));
    }
}

impl Stack {
    /// Opens the sockets, and reads nothing until it is told to: calls that an earlier run left up have to be known before
    /// anything is said about them. Must be called within the runtime.
    pub fn open(settings: &Sip) -> io::Result<(Arc<Self>, Deaf)> {
        let end = CancellationToken::new();
        let transports = TransportLayer::new(end.child_token());
        let Sockets { datagrams, doorways, binds } = sockets::open(settings, &end)?;
        datagrams.connections().for_each(|socket| transports.add_transport(socket));
        let sink = sink::open(sockets::sink_address(settings.public_address.as_ref(), &binds), end.child_token())?;
        let public = settings.public_address.clone();
        let (strays, inbox) = mpsc::unbounded_channel();
        let answers = Arc::new(Answers::new(strays));
        let option = EndpointOption {
            auto_ack_2xx: false,
            timerc: TIMER_C,
            callid_suffix: Some("calltaskd".to_owned()),
            ..EndpointOption::default()
        };
        let endpoint = EndpointBuilder::new()
            .with_user_agent(USER_AGENT)
            .with_transport_layer(transports)
            .with_cancel_token(end.clone())
            .with_option(option)
            .with_inspector(Box::new(Inspector(answers.clone())))
            .build();
        let requests = endpoint.incoming_transactions().map_err(io::Error::other)?;
        let legs = Arc::new(Legs::default());
        let endpoint = endpoint.inner;
        let stack = Arc::new(Self {
            endpoint: endpoint.clone(),
            answers,
            legs: legs.clone(),
            binds,
            datagrams,
            public,
            sink,
            secure: Secure::default(),
            resolver: Resolver(settings.dns),
            end: end.clone(),
        });
        tokio::spawn(strays::keep_tidy(Arc::downgrade(&stack), inbox));
        Ok((stack, Deaf { endpoint, requests, legs, doorways, end }))
    }

    /// Whether this stack is found where a `Contact` of an earlier run says.
    pub fn is_found_at(&self, contact: &str) -> bool {
        let Some(sought) = Peer::of_uri(contact, Transport::Udp) else { return false };
        let same = |bind: &&Bind| Transport::from(bind.transport) == sought.transport;
        // Where a transport is not listened on, what we say of ourselves is the first of what is.
        let any = self.binds.iter().any(|bind| same(&bind));
        let mut binds = self.binds.iter().filter(same).chain(self.binds.first().filter(|_| !any));
        binds.any(|bind| self.is_known_as(bind, &sought))
    }

    fn is_known_as(&self, bind: &Bind, sought: &Peer) -> bool {
        let public = self.public.as_ref();
        if public.and_then(|public| public.port).unwrap_or(bind.address.port()) != sought.port {
            return false;
        }
        match (public, bind.address.ip(), sought.host.parse::<IpAddr>()) {
            (Some(public), ..) => public.host.trim_matches(['[', ']']) == sought.host,
            (None, bound, Ok(ip)) if bound.is_unspecified() => sockets::is_own(ip),
            (None, bound, Ok(ip)) => bound == ip,
            (None, ..) => false,
        }
    }

    /// These calls may ring at somebody's, and were left by an earlier run: whoever answers is hung up. Its agent may be called
    /// already, where agents are called first.
    pub fn orphan(&self, calls: &[CallId]) {
        let legs = |call: &CallId| [call.to_string(), bridge::agent_call_id(1, *call)];
        self.answers.orphan(calls.iter().flat_map(legs));
    }

    pub fn resolver(&self) -> Resolver {
        self.resolver
    }

    /// Says whom a server over TLS must be vouched for by.
    pub fn trust(&self, peer: Peer, trust: Trust) {
        self.secure.trust(peer, trust);
    }

    /// Host and port that a peer is to send to: for `Via` and `Contact`.
    pub fn sent_by(&self, path: &Path) -> String {
        let transport = path.peer.transport;
        let same = |bind: &&Bind| Transport::from(bind.transport) == transport;
        let own = path.connection.get_addr().get_socketaddr().ok();
        let sent_from = |bind: &&Bind| same(bind) && Some(bind.address) == own;
        let bind = self.binds.iter().find(sent_from).or_else(|| self.binds.iter().find(same)).or(self.binds.first());
        let own_port = bind.map_or(transport.default_port(), |bind| bind.address.port());
        let port = self.public.as_ref().and_then(|public| public.port).unwrap_or(own_port);
        let host = match (&self.public, bind.map(|bind| bind.address.ip())) {
            (Some(public), _) => HostPort { port: None, ..public.clone() }.to_string(),
            (None, Some(ip)) if !ip.is_unspecified() => bracketed(ip),
            _ => path
                .address
                .get_socketaddr()
                .ok()
                .and_then(sockets::local_address)
                .map_or("127.0.0.1".to_owned(), bracketed),
        };
        format!("{host}:{port}")
    }

    /// The first state of a dialog with whoever `uri` means, reached over `path`.
    pub fn dialog(&self, path: &Path, call_id: &str, (from_user, uri): (&str, &str)) -> Dialog {
        let sent_by = self.sent_by(path);
        let transport = path.peer.transport.as_str().to_ascii_lowercase();
        Dialog {
            call_id: call_id.to_owned(),
            local_tag: uuid::Uuid::new_v4().simple().to_string(),
            local: format!("<sip:{from_user}@{}>", host_of(&sent_by)),
            remote: format!("<{uri}>"),
            local_sequence: 0,
            invite_sequence: 0,
            target: uri.to_owned(),
            routes: Vec::new(),
            contact: format!("<sip:calltaskd@{sent_by};transport={transport}>"),
            sent_by,
            peer: path.peer.clone(),
            credentials: Vec::new(),
            local_sdp: None,
            remote_sdp: None,
        }
    }

    /// A client transaction that was not sent yet.
    pub(super) fn transaction(&self, request: Request, path: &Path) -> Option<Transaction> {
        let key = TransactionKey::from_request(&request, TransactionRole::Client).ok()?;
        let connection = Some(path.connection.clone());
        let mut transaction = Transaction::new_client(key, request, self.endpoint.clone(), connection);
        transaction.destination = Some(path.address.clone());
        Some(transaction)
    }

    /// Sends a request that is no INVITE and waits for its last response; answers a challenge once.
    pub(super) async fn ask(&self, request: Request, path: &Path, credentials: Option<&Credentials>) -> Reply {
        let Some(mut transaction) = self.transaction(request, path) else { return Reply::unreachable() };
        let mut challenges = AuthRetry::new();
        loop {
            if transaction.send().await.is_err() {
                return Reply::unreachable();
            }
            let Some(response) = last_response(&mut transaction).await else { return Reply::nothing() };
            let challenged = matches!(response.status_code.code(), 401 | 407);
            let known = credentials.filter(|_| challenged && challenges.should_answer(&response));
            match challenge::answered(&transaction, &response, known).await {
                Some(next) => transaction = next,
                None => return Reply::of(&response),
            }
        }
    }

    /// Sends a request that gets no response: an ACK.
    pub(super) async fn tell(&self, request: Request, path: &Path) {
        if let Err(error) = path.connection.send(request.into(), Some(&path.address)).await {
            tracing::warn!(peer = %path.peer, %error, "an ACK was not sent");
        }
    }

    /// Where audio may be sent that nobody is to hear.
    pub fn sink(&self) -> SocketAddr {
        self.sink
    }
}

async fn last_response(transaction: &mut Transaction) -> Option<Response> {
    while let Some(message) = transaction.receive().await {
        match message {
            SipMessage::Response(response) if response.status_code.code() >= 200 => return Some(response),
            _ => {}
        }
    }
    None
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn host_of(sent_by: &str) -> &str {
    sent_by.rsplit_once(':').map_or(sent_by, |(host, _)| host)
}
