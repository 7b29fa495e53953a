//! What the broker sends, frame by frame (AMQP 0-9-1, section 4.2.3): passed on harmless and not too large.
//!
//! Must not hold more than a frame, nor more of a message than is kept of one that is too large. What is no frame at all is
//! passed on as it is: the library says what it thinks of it.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::content::{Content, substitute};

/// The largest command.
pub const MOST_BYTES: usize = 4 * 1024 * 1024;
/// What is kept of a message that is larger.
pub const KEPT_BYTES: usize = 64 * 1024;

/// Tells the whole size of a message that was cut.
pub const SIZE: &str = "x-calltaskd-size";
/// Tells the SHA-256 of all of it.
pub const SHA256: &str = "x-calltaskd-sha256";

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
const END: u8 = 0xce;

/// Type, channel, size.
const HEAD_BYTES: usize = 7;
/// No broker negotiates more.
const MOST_FRAME_BYTES: usize = 16 * 1024 * 1024;
/// A body in parts of this fits into the smallest frames that may be negotiated.
const PART_BYTES: usize = 4_000;

/// Methods that hold texts which the sender of a message chose, and where in their arguments these begin: deliver, after
/// the tag of the consumer, and the return of a message.
const DELIVER: [u8; 4] = [0, 60, 0, 60];
const RETURN: [u8; 4] = [0, 60, 0, 50];

/// A message of which only the beginning is passed on.
#[derive(Debug)]
struct Cut {
    content: Content,
    kept: Vec<u8>,
    seen: u64,
    sha256: Sha256,
}

/// The bytes of one connection on their way in.
#[derive(Debug, Default)]
pub struct Frames {
    held: Vec<u8>,
    ready: Vec<u8>,
    taken: usize,
    /// By channel: content has one channel for itself until it is whole.
    cut: HashMap<[u8; 2], Cut>,
    is_stranger: bool,
}

impl Frames {
    /// Takes in what the broker has sent.
    pub fn put(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let mut rest = &held[..];
        while !self.is_stranger {
            let Some(end) = self.frame_end(rest) else { break };
            let (frame, more) = rest.split_at(end);
            self.pass(frame);
            rest = more;
        }
        match self.is_stranger {
            true => self.ready.extend_from_slice(rest),
            false => self.held = rest.to_vec(),
        }
    }

    /// Nothing more comes: what is held is no frame any more.
    pub fn end(&mut self) {
        self.ready.append(&mut self.held);
    }

    /// Gives out what is harmless; nothing, when there is none yet.
    pub fn take(&mut self, into: &mut [u8]) -> usize {
        let waiting = &self.ready[self.taken..];
        let length = waiting.len().min(into.len());
        into[..length].copy_from_slice(&waiting[..length]);
        self.taken += length;
        if self.taken == self.ready.len() {
            self.ready.clear();
            self.taken = 0;
        }
        length
    }

    fn frame_end(&mut self, rest: &[u8]) -> Option<usize> {
        let (head, _) = rest.split_first_chunk::<HEAD_BYTES>()?;
        let [kind, _, _, size @ ..] = *head;
        let end = HEAD_BYTES.saturating_add(usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX));
        let is_known = matches!(kind, METHOD | HEADER | BODY | HEARTBEAT);
        self.is_stranger = !is_known || end > MOST_FRAME_BYTES || rest.get(end).is_some_and(|byte| *byte != END);
        (!self.is_stranger && rest.len() > end).then_some(end + 1)
    }

    fn pass(&mut self, frame: &[u8]) {
        let (kind, channel) = (frame[0], [frame[1], frame[2]]);
        let payload = &frame[HEAD_BYTES..frame.len() - 1];
        match kind {
            METHOD if payload.starts_with(&DELIVER) || payload.starts_with(&RETURN) => {
                let mut method = payload.to_vec();
                clean_method(&mut method);
                self.write(METHOD, channel, &method);
            }
            HEADER => match Content::read(payload) {
                Some(content) if content.size > MOST_BYTES as u64 => {
                    let cut = Cut { content, kept: Vec::new(), seen: 0, sha256: Sha256::new() };
                    self.cut.insert(channel, cut);
                }
                Some(content) => self.write(HEADER, channel, &content.write(content.size, None)),
                None => self.ready.extend_from_slice(frame),
            },
            BODY => match self.cut.remove(&channel) {
                Some(cut) => self.cut_more(channel, cut, payload),
                None => self.ready.extend_from_slice(frame),
            },
            _ => self.ready.extend_from_slice(frame),
        }
    }

    fn cut_more(&mut self, channel: [u8; 2], mut cut: Cut, body: &[u8]) {
        cut.seen += body.len() as u64;
        cut.sha256.update(body);
        let room = KEPT_BYTES - cut.kept.len();
        cut.kept.extend_from_slice(&body[..body.len().min(room)]);
        if cut.seen < cut.content.size {
            self.cut.insert(channel, cut);
            return;
        }
        let headers =
            [entry(SIZE, &cut.seen.to_string()), entry(SHA256, &hexadecimal(&cut.sha256.finalize()))].concat();
        self.write(HEADER, channel, &cut.content.write(cut.kept.len() as u64, Some(&headers)));
        for part in cut.kept.chunks(PART_BYTES) {
            self.write(BODY, channel, part);
        }
    }

    fn write(&mut self, kind: u8, channel: [u8; 2], payload: &[u8]) {
        let size = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        self.ready.push(kind);
        self.ready.extend_from_slice(&channel);
        self.ready.extend_from_slice(&size);
        self.ready.extend_from_slice(payload);
        self.ready.push(END);
    }
}

/// One entry of a table of headers; both texts are ours and short.
fn entry(name: &str, text: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap_or(u8::MAX);
    [&[length(name)], name.as_bytes(), b"S\0\0\0", &[length(text)], text.as_bytes()].concat()
}

/// As dead letters tell a SHA-256.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The texts of a deliver or return: the last two are the exchange and the routing key, one after the other.
fn clean_method(method: &mut [u8]) {
    let is_delivery = method.starts_with(&DELIVER);
    // A delivery: the consumer's tag, the delivery's tag and whether it comes again. A return: a code and its text.
    let first = if is_delivery { DELIVER.len() } else { RETURN.len() + 2 };
    let Some(second) = clean_text(method, first) else { return };
    let second = if is_delivery { second + 9 } else { second };
    if let Some(third) = clean_text(method, second) {
        clean_text(method, third);
    }
}

/// Cleans the short string at a place and gives the place behind it.
fn clean_text(method: &mut [u8], at: usize) -> Option<usize> {
    let end = at + 1 + usize::from(*method.get(at)?);
    substitute(method.get_mut(at + 1..end)?);
    Some(end)
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
