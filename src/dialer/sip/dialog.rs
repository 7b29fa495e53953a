//! One dialog (RFC 3261, section 12) of which we are the caller: all that a further request in it needs.
//!
//! It can be written down and read again: nothing in it belongs to this process. It makes requests and sends none.

use percent_encoding::percent_decode_str;
use rsipstack::sip::{Header as Line, HeadersExt, Method, Request, Response, ToTypedHeader, Uri, Version};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::header::Header;
use super::message::to_tag;
use super::peer::Peer;

/// The state of a dialog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialog {
    pub call_id: String,
    pub local_tag: String,
    /// `From` without its tag.
    pub local: String,
    /// `To` as the other side completed it.
    pub remote: String,
    /// The number of our last request.
    pub local_sequence: u32,
    /// The number of the INVITE that the answer is to.
    pub invite_sequence: u32,
    /// Where requests go: the other side's `Contact`.
    pub target: String,
    /// The proxies that want to see every request, in our order.
    pub routes: Vec<String>,
    /// Our `Contact`.
    pub contact: String,
    /// Host and port of our `Via`.
    pub sent_by: String,
    /// How the INVITE went out, and where to.
    pub peer: Peer,
    /// Credentials of the INVITE, which its ACK repeats.
    pub credentials: Vec<(String, String)>,
    /// The session description that we sent last, and the one that we were sent.
    pub local_sdp: Option<String>,
    pub remote_sdp: Option<String>,
}

impl Dialog {
    /// The INVITE that may make this dialog real.
    pub fn invite(&mut self, sdp: Option<&str>, more: &[Header]) -> Request {
        self.local_sequence += 1;
        self.invite_sequence = self.local_sequence;
        let mut request = self.request(Method::Invite, self.local_sequence);
        self.complete(&mut request, more);
        describe(&mut request, sdp);
        if let Some(sdp) = sdp {
            self.local_sdp = Some(sdp.to_owned());
        }
        request
    }

    /// As the answer to an INVITE of an earlier run says that it has become.
    pub fn answered(self, response: &Response) -> Option<Self> {
        let from = response.from_header().ok()?;
        let local_tag = from.tag().ok()??.value().to_owned();
        let local = from.value().split(";tag=").next()?.to_owned();
        let number = response.cseq_header().ok()?.seq().ok()?;
        let mut dialog = Self { local, local_tag, local_sequence: number, invite_sequence: number, ..self };
        dialog.confirm(response);
        Some(dialog)
    }

    /// Takes over what the other side's answer settles: its tag, its address and the route to it.
    pub fn confirm(&mut self, response: &Response) {
        if let Ok(to) = response.to_header() {
            to.value().clone_into(&mut self.remote);
        }
        self.retarget(response);
        let mut routes = Vec::new();
        for header in response.headers.iter() {
            if let Line::RecordRoute(route) = header {
                routes.extend(split_list(route.value()));
            }
        }
        routes.reverse();
        self.routes = routes;
    }

    /// Takes over the other side's address alone: a response within the dialog changes no route.
    pub fn retarget(&mut self, response: &Response) {
        // Without a Contact the address that was called stays the target.
        if let Some(contact) = response.contact_header().ok().filter(|contact| contact.typed().is_ok()) {
            uri_within(contact.value()).clone_into(&mut self.target);
        }
        if !response.body.is_empty() {
            self.remote_sdp = Some(String::from_utf8_lossy(&response.body).into_owned());
        }
    }

    /// The other side's tag in a response.
    pub fn remote_tag(response: &Response) -> String {
        to_tag(response)
    }

    /// The other side's tag, once it is known.
    pub fn remote_tag_now(&self) -> String {
        let to = rsipstack::sip::headers::untyped::To::from(self.remote.clone());
        to.tag().ok().flatten().map(|tag| tag.value().to_owned()).unwrap_or_default()
    }

    /// The ACK of the last INVITE; with a session description when the answer was an offer.
    pub fn ack(&self, sdp: Option<&str>) -> Request {
        let mut request = self.request(Method::Ack, self.invite_sequence);
        for (name, value) in &self.credentials {
            request.headers.push(named(name, value));
        }
        describe(&mut request, sdp);
        request
    }

    /// The BYE.
    pub fn bye(&mut self) -> Request {
        self.local_sequence += 1;
        let mut request = self.request(Method::Bye, self.local_sequence);
        describe(&mut request, None);
        request
    }

    /// A request outside of any dialog.
    pub fn question(&mut self, method: Method) -> Request {
        self.local_sequence += 1;
        let mut request = self.request(method, self.local_sequence);
        self.complete(&mut request, &[]);
        describe(&mut request, None);
        request
    }

    /// Where the next request goes: the first proxy, else the target.
    pub fn next_hop(&self) -> &str {
        self.routes.first().map_or(self.target.as_str(), String::as_str)
    }

    fn request(&self, method: Method, number: u32) -> Request {
        let Self { local, local_tag, remote, call_id, sent_by, .. } = self;
        let branch = format!("z9hG4bK{}", Uuid::new_v4().simple());
        let via = format!("SIP/2.0/{} {sent_by};branch={branch};rport", self.peer.transport.as_str());
        let mut headers = vec![
            Line::Via(via.into()),
            Line::MaxForwards("70".into()),
            Line::From(format!("{local};tag={local_tag}").into()),
            Line::To(remote.clone().into()),
            Line::CallId(call_id.clone().into()),
            Line::CSeq(format!("{number} {method}").into()),
        ];
        headers.extend(self.routes.iter().map(|route| Line::Route(route.clone().into())));
        let uri = request_uri(&self.target);
        Request { method, uri, headers: headers.into(), body: Vec::new(), version: Version::V2 }
    }

    fn complete(&self, request: &mut Request, more: &[Header]) {
        request.headers.push(Line::Contact(self.contact.clone().into()));
        request.headers.push(Line::Allow(ALLOWED.into()));
        request.headers.push(Line::UserAgent(USER_AGENT.into()));
        for Header { name, value } in more {
            request.headers.push(Line::Other(name.clone(), value.clone()));
        }
    }
}

/// The URI of an address like `"name" <sip:user@host>;param`; without brackets the parameters are not the URI's (RFC 3261,
/// section 20.10).
fn uri_within(address: &str) -> &str {
    match address.rsplit_once('<') {
        Some((_, rest)) => rest.split_once('>').map_or(rest, |(uri, _)| uri),
        None => address.split(';').next().unwrap_or(address).trim(),
    }
}

/// What stands in a request line. The library leaves a user part as it reads it and escapes it when it writes it, so that what
/// was escaped would be escaped twice. Headers have no place there (RFC 3261, section 19.1.1).
fn request_uri(text: &str) -> Uri {
    let mut uri = Uri::try_from(text).unwrap_or_default();
    uri.headers.clear();
    if let Some(auth) = &mut uri.auth {
        auth.user = unescaped(&auth.user);
        auth.password = auth.password.as_deref().map(unescaped);
    }
    uri
}

/// Text stays as it is where its escapes make no text.
fn unescaped(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Into::into)
}

/// What may be sent to us within a dialog.
pub(super) const ALLOWED: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, NOTIFY";

pub(super) const USER_AGENT: &str = concat!("calltaskd/", env!("CARGO_PKG_VERSION"));

/// The CANCEL of an INVITE that is in the air: on the same branch, or nobody knows what it is about.
pub(super) fn cancel(invite: &Request) -> Request {
    let mut vias = 0;
    let headers: Vec<Line> = invite
        .headers
        .iter()
        .filter(|header| match header {
            Line::Via(_) => {
                vias += 1;
                vias == 1
            }
            Line::From(_) | Line::To(_) | Line::CallId(_) | Line::MaxForwards(_) | Line::Route(_) => true,
            _ => false,
        })
        .cloned()
        .collect();
    let number = invite.cseq_header().ok().and_then(|cseq| cseq.seq().ok()).unwrap_or(1);
    let mut headers = rsipstack::sip::Headers::from(headers);
    headers.push(Line::CSeq(format!("{number} CANCEL").into()));
    headers.push(Line::ContentLength("0".into()));
    Request { method: Method::Cancel, uri: invite.uri.clone(), headers, body: Vec::new(), version: Version::V2 }
}

pub(super) fn describe(request: &mut Request, sdp: Option<&str>) {
    let body = sdp.unwrap_or_default().as_bytes().to_vec();
    if sdp.is_some() {
        request.headers.push(Line::ContentType("application/sdp".into()));
    }
    request.headers.push(Line::ContentLength(body.len().to_string().into()));
    request.body = body;
}

fn named(name: &str, value: &str) -> Line {
    match name {
        "Authorization" => Line::Authorization(value.to_owned().into()),
        _ => Line::ProxyAuthorization(value.to_owned().into()),
    }
}

/// The entries of a header that may hold several: separated by commas that stand in no brackets and no quotes.
fn split_list(value: &str) -> Vec<String> {
    let (mut entries, mut entry, mut brackets, mut quoted) = (Vec::new(), String::new(), 0_i32, false);
    for letter in value.chars() {
        match letter {
            '"' => quoted = !quoted,
            '<' if !quoted => brackets += 1,
            '>' if !quoted => brackets -= 1,
            ',' if !quoted && brackets == 0 => {
                entries.push(std::mem::take(&mut entry).trim().to_owned());
                continue;
            }
            _ => {}
        }
        entry.push(letter);
    }
    entries.push(entry.trim().to_owned());
    entries.retain(|entry| !entry.is_empty());
    entries
}

#[cfg(test)]
mod tests;
