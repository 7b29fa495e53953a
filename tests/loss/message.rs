//! What a phone reads of a SIP message, and what it writes: plain text, one line, one header, as the daemon writes it. It has
//! nothing in common with the daemon's own reader, so that the two cannot be wrong alike.

use std::fmt::Write;

/// One request or response.
#[derive(Debug, Clone)]
pub struct Message {
    first: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Message {
    pub fn read(datagram: &[u8]) -> Self {
        let text = String::from_utf8(datagram.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap().to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.trim().to_owned())
        };
        Self { first, headers: lines.map(header).collect(), body: body.to_owned() }
    }

    /// The first header of this name.
    pub fn find(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn header(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// `None` for a request.
    pub fn status(&self) -> Option<u16> {
        let rest = self.first.strip_prefix("SIP/2.0 ")?;
        Some(rest[..3].parse().unwrap())
    }

    /// Its own method, or that of the request that it responds to.
    pub fn method(&self) -> &str {
        self.header("CSeq").split_once(' ').unwrap().1
    }

    pub fn number(&self) -> u32 {
        self.header("CSeq").split_once(' ').unwrap().0.parse().unwrap()
    }

    pub fn call_id(&self) -> &str {
        self.header("Call-ID")
    }

    pub fn branch(&self) -> &str {
        parameter(self.header("Via"), "branch").unwrap()
    }

    /// Whether it belongs to a dialog that is there already.
    pub fn is_within_dialog(&self) -> bool {
        parameter(self.header("To"), "tag").is_some()
    }

    /// The number of the callee, whose phone number stands on one side of each dialog.
    pub fn callee(&self) -> String {
        let sides = ["To", "From"].map(|side| self.header(side));
        let begin = |side: &&str| side.find(CALLEES).map(|at| at + CALLEES.len());
        let digits = sides.iter().find_map(|side| begin(side).map(|at| &side[at..])).unwrap();
        let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap();
        format!("{CALLEES}{}", &digits[..end])
    }

    /// The response that its receiver gives.
    pub fn response(&self, status: &str, tag: &str, more: &str) -> String {
        let to = if self.is_within_dialog() { String::new() } else { format!(";tag={tag}") };
        let vias = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Via"));
        let mut text = format!("SIP/2.0 {status}\r\n");
        for (_, via) in vias {
            write!(text, "Via: {via}\r\n").unwrap();
        }
        let [from, to_whom, call_id, number] = ["From", "To", "Call-ID", "CSeq"].map(|name| self.header(name));
        write!(text, "From: {from}\r\nTo: {to_whom}{to}\r\nCall-ID: {call_id}\r\nCSeq: {number}\r\n{more}").unwrap();
        text
    }

    /// The BYE of whoever was called by this INVITE, and is reached at `port`.
    pub fn bye(&self, tag: &str, port: u16) -> String {
        let contact = self.header("Contact");
        let target = contact.split_once('<').unwrap().1.split_once('>').unwrap().0;
        let [from, to, call_id] = ["From", "To", "Call-ID"].map(|name| self.header(name));
        format!(
            "BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKbye{call_id};rport\r\n\
             Max-Forwards: 70\r\nFrom: {to};tag={tag}\r\nTo: {from}\r\nCall-ID: {call_id}\r\nCSeq: 1 BYE\r\n\
             Content-Length: 0\r\n\r\n"
        )
    }
}

/// What the callees' numbers begin with, and nobody else's.
const CALLEES: &str = "+49301";

fn parameter<'t>(header: &'t str, name: &str) -> Option<&'t str> {
    let parameters = header.rsplit_once('>').map_or(header, |(_, parameters)| parameters);
    let mut parameters = parameters.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    parameters.find(|(found, _)| *found == name).map(|(_, value)| value.trim())
}

/// Audio at this port.
pub fn described(who: &str, port: u16, media: u16) -> String {
    let body = format!(
        "v=0\r\no={who} 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {media} RTP/AVP 0 8\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    );
    format!(
        "Contact: <sip:{who}@127.0.0.1:{port}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
