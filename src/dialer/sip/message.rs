//! What calls read from responses, apart from the library that parses them.

use rsipstack::sip::{Header, HeadersExt, Response, SipMessage, StatusCodeKind};

use super::header::line;
use crate::domain::classification::FinalResponse;

/// Stands in responses that the stack made up itself (nothing came back, the connection broke), put there by the
/// inspector, which takes it out of whatever comes from the network.
pub(super) const LOCAL: &str = "X-Calltaskd-Local";

/// A response, as far as calls need it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    pub status: u16,
    /// Status, reason and what the headers say about the cause.
    pub response: FinalResponse,
    /// The session description, if there is one.
    pub sdp: Option<String>,
    /// True when nothing came back, and the stack says so.
    pub local: bool,
}

impl Reply {
    pub(super) fn of(response: &Response) -> Self {
        let (mut local, status) = (false, response.status_code.code());
        let phrase = response.wire_reason.as_deref().unwrap_or_else(|| response.status_code.text());
        let mut said = FinalResponse::new(status, line(phrase));
        for header in response.headers.iter() {
            said = match header {
                Header::Reason(reason) => said.with_reason(reason.value()),
                Header::Warning(warning) => said.with_warning(warning.value()),
                Header::RetryAfter(after) => said.with_retry_after(after.value()),
                _ => said,
            };
            local |= header.name().eq_ignore_ascii_case(LOCAL);
        }
        let sdp = (!response.body.is_empty()).then(|| String::from_utf8_lossy(&response.body).into_owned());
        Self { status, response: said, sdp, local }
    }

    fn local(status: u16, reason: &str) -> Self {
        Self { status, response: FinalResponse::new(status, reason), sdp: None, local: true }
    }

    /// No response at all.
    pub fn nothing() -> Self {
        Self::local(408, "Request Timeout")
    }

    /// The request could not be sent.
    pub fn unreachable() -> Self {
        Self::local(503, "Service Unavailable")
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Whether it is a success to an INVITE: what has to be acknowledged by us.
pub(super) fn is_answer(message: &SipMessage) -> Option<&Response> {
    let SipMessage::Response(response) = message else { return None };
    let invite = response.cseq_header().ok()?.method().ok()? == rsipstack::sip::Method::Invite;
    (invite && response.status_code.kind() == StatusCodeKind::Successful).then_some(response)
}

/// Call-ID, number of the CSeq, and tag of the other side.
pub(super) fn identity(response: &Response) -> Option<(String, u32, String)> {
    let call_id = response.call_id_header().ok()?.value().to_owned();
    let number = response.cseq_header().ok()?.seq().ok()?;
    Some((call_id, number, to_tag(response)))
}

/// What ties a response to its request.
pub(super) fn branch(message: &impl HeadersExt) -> Option<String> {
    message.transaction_id().ok().flatten().map(|branch| branch.value().to_owned())
}

pub(super) fn to_tag(response: &Response) -> String {
    let tag = response.to_header().ok().and_then(|to| to.tag().ok()).flatten();
    tag.map(|tag| tag.value().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reply(head: &str) -> Reply {
        let text = format!(
            "SIP/2.0 {head}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\n\
             Call-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        Reply::of(&Response::try_from(text.as_str()).unwrap())
    }

    #[test]
    fn evidence_is_read_from_a_response() {
        let busy = reply("486 In a meeting\r\nReason: SIP;cause=486\r\nReason: Q.850;cause=17;text=\"User busy\"");
        assert_eq!((busy.status, busy.response.reason.as_str(), busy.local), (486, "In a meeting", false));
        assert_eq!(busy.response.causes.first().map(|cause| cause.code), Some(17));
        let full = reply("503 Service Unavailable\r\nRetry-After: 18 (full)\r\nWarning: 399 h \"CPS limit\"");
        assert_eq!(full.response.retry_after, Some(Duration::from_secs(18)));
        assert_eq!(full.response.texts, ["399 h \"CPS limit\""]);
        assert_eq!(reply("403 Forbidden").response.reason, "Forbidden");
    }
}
