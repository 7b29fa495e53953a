//! Where a message ends in a stream of bytes (RFC 3261, section 18.3), and what is said to whoever sends what is none.
//!
//! Must not read what a message means, and must not trust a length: a stranger may have written it. A stream whose next
//! message cannot be found any more is of no further use.

/// The longest message that is taken, with its body.
pub(super) const LONGEST: usize = 65_535;

const LINE_END: &[u8] = b"\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What a stream brings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A head and its body, not read yet.
    Message(Vec<u8>),
    /// The other side wants to know whether the connection still works (RFC 5626, section 4.4.1).
    Ping,
}

/// Why the next message of a stream cannot be found.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lost {
    #[error("the length of a message is no number, or two of them")]
    Length,
    #[error("a message is longer than {LONGEST} bytes")]
    TooLong,
}

/// Bytes that have come and are not dealt with yet.
#[derive(Debug, Default)]
pub(super) struct Framer {
    bytes: Vec<u8>,
    /// No head ends before this place: a head that comes byte by byte is not read again for each.
    searched: usize,
}

impl Framer {
    pub fn take_in(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether a message has begun, and has not come to its end.
    pub fn has_begun(&self) -> bool {
        !self.bytes.is_empty() && self.bytes != LINE_END
    }

    /// The next thing that is complete.
    pub fn next(&mut self) -> Result<Option<Frame>, Lost> {
        loop {
            if self.bytes.starts_with(HEAD_END) {
                self.drop_first(HEAD_END.len());
                return Ok(Some(Frame::Ping));
            }
            // A single line end answers a ping of ours; it may be the first half of a ping as well.
            let rest = self.bytes.strip_prefix(LINE_END);
            match rest {
                Some(rest) if rest.is_empty() || rest == b"\r" => return Ok(None),
                Some(_) => self.drop_first(LINE_END.len()),
                None => return self.message(),
            }
        }
    }

    fn message(&mut self) -> Result<Option<Frame>, Lost> {
        let begin = self.searched.saturating_sub(HEAD_END.len() - 1);
        let end = self.bytes[begin..].windows(HEAD_END.len()).position(|window| window == HEAD_END);
        let Some(head) = end.map(|end| begin + end + HEAD_END.len()) else {
            self.searched = self.bytes.len();
            return if self.bytes.len() > LONGEST { Err(Lost::TooLong) } else { Ok(None) };
        };
        let body = body_length(&self.bytes[..head])?;
        if head > LONGEST || body > LONGEST - head {
            return Err(Lost::TooLong);
        }
        if self.bytes.len() < head + body {
            // The same head is found again at once.
            self.searched = head - 1;
            return Ok(None);
        }
        let rest = self.bytes.split_off(head + body);
        self.searched = 0;
        Ok(Some(Frame::Message(std::mem::replace(&mut self.bytes, rest))))
    }

    fn drop_first(&mut self, count: usize) {
        self.bytes.drain(..count);
        self.searched = 0;
    }

    /// What has come of the message that cannot be framed.
    pub fn rest(&self) -> &[u8] {
        &self.bytes
    }
}

/// The lines of a head but the first, each with the folded ones that belong to it: name, value, and all of it.
fn headers(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], &[u8])> {
    let mut rest = after_line(head);
    std::iter::from_fn(move || {
        let mut end = rest.len() - after_line(rest).len();
        while rest.get(end).is_some_and(|next| matches!(next, b' ' | b'\t')) {
            end += rest[end..].len() - after_line(&rest[end..]).len();
        }
        let (line, next) = rest.split_at(end);
        rest = next;
        (!line.is_empty()).then_some(line)
    })
    .filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii(), line))
    })
}

/// What follows the first line. The parser takes a bare LF for the end of a line too.
fn after_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
    &text[end..]
}

fn body_length(head: &[u8]) -> Result<usize, Lost> {
    let mut found = None;
    for (name, value, _) in headers(head) {
        if name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l") {
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(value).ok().filter(|_| digits).ok_or(Lost::Length)?;
            // Digits that are too many for a number are too much for a message.
            let length = text.parse::<usize>().map_err(|_| Lost::TooLong)?;
            if found.is_some_and(|before| before != length) {
                return Err(Lost::Length);
            }
            found = Some(length);
        }
    }
    Ok(found.unwrap_or(0))
}

/// The 400 to a request that could not be read; `None` where nobody waits for one, or nobody would know what it is to.
pub(super) fn bad_request(message: &[u8]) -> Option<Vec<u8>> {
    let is_told = |name: &&[u8]| !message.starts_with(name);
    [&b"SIP/"[..], b"ACK "].iter().all(is_told).then_some(())?;
    let mut answer = b"SIP/2.0 400 Bad Request\r\n".to_vec();
    for (long, short) in [("via", "v"), ("from", "f"), ("to", "t"), ("call-id", "i"), ("cseq", "")] {
        let is_it =
            |name: &[u8]| name.eq_ignore_ascii_case(long.as_bytes()) || name.eq_ignore_ascii_case(short.as_bytes());
        let mut lines = headers(message).filter(|(name, ..)| is_it(name)).map(|(_, _, line)| line).peekable();
        lines.peek()?;
        // Each proxy on the way wants its own Via back; of the others a request has one.
        let count = if long == "via" { usize::MAX } else { 1 };
        lines.take(count).for_each(|line| answer.extend_from_slice(line));
    }
    answer.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    Some(answer)
}

#[cfg(test)]
mod tests;
