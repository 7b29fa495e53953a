//! Messages that are spoilt, as a seed says.
//!
//! **What must not touch a call.** A message of a call that is still whole may end it: it could be the other side's, and only the
//! network could tell. So of each message of a live call first its *identity* is destroyed, in one of these ways: another
//! Call-ID; another tag, or none; a CSeq that is no number or of another method; a branch that we never sent; another
//! version of SIP; a method that does not exist; or a header is missing without which there is no request. Then up
//! to three more things happen to it, none of which can give the identity back. A stranger who knows a call's Call-ID, both
//! its tags and the order of its numbers is out of scope: against him there is TLS.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// What is sent; where its end cannot be told, nothing may follow it on the same connection.
pub struct Spoilt {
    pub bytes: Vec<u8>,
    pub is_torn: bool,
}

const NEEDED: [&str; 5] = ["Via", "From", "To", "Call-ID", "CSeq"];

/// Destroys the identity of a message of a live call, which is written plainly: one line, one header.
fn disown(random: &mut StdRng, message: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(message.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
    let is_response = lines[0].starts_with("SIP/2.0");
    let at =
        |lines: &[String], name: &str| lines.iter().position(|line| line.starts_with(&format!("{name}:"))).unwrap();
    let stranger = format!("nobody{:016x}", random.r#gen::<u64>());
    let side = *["From", "To"].choose(random).unwrap();
    match random.gen_range(0..7) {
        0 => {
            let line = at(&lines, "Call-ID");
            lines[line] = format!("Call-ID: {stranger}");
        }
        1 => {
            let line = at(&lines, side);
            let bare = lines[line].split(";tag=").next().unwrap().to_owned();
            lines[line] = if random.r#gen() && !is_response { bare } else { format!("{bare};tag={stranger}") };
        }
        2 => {
            let line = at(&lines, "CSeq");
            lines[line] = format!("CSeq: {} INVITE", "9".repeat(60));
        }
        3 => {
            let line = at(&lines, "CSeq");
            lines[line] = "CSeq: 1 PUBLISH".to_owned();
        }
        4 if is_response => {
            let line = at(&lines, "Via");
            lines[line] = format!("Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{stranger}");
        }
        4 => lines[0] = format!("{stranger}{}", lines[0]),
        5 if is_response => {
            let line = at(&lines, "CSeq");
            lines[line] = format!("CSeq: {} INVITE", random.gen_range(1_000_000..2_000_000));
        }
        5 => lines[0] = lines[0].replace("SIP/2.0", "SIP/9.7"),
        _ => {
            let line = at(&lines, NEEDED.choose(random).unwrap());
            lines.remove(line);
        }
    }
    format!("{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
}

/// Spoils bytes a little, or beyond recognition.
pub fn spoil(random: &mut StdRng, message: &[u8], most: usize) -> Spoilt {
    let mut bytes = message.to_vec();
    let mut is_torn = false;
    for _ in 0..random.gen_range(0..=most) {
        let at = random.gen_range(0..bytes.len().max(1));
        match random.gen_range(0..11) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.gen_range(0..8);
                }
            }
            1 => drop(bytes.drain(at..(at + random.gen_range(1..9)).min(bytes.len()))),
            2 => insert(&mut bytes, at, &random.r#gen::<[u8; 6]>()),
            3 => insert(&mut bytes, at, &[0]),
            4 => insert(&mut bytes, at, &[0xC3, 0x28, 0xFF]),
            5 => insert(&mut bytes, at, &vec![b'x'; *[1_000, 8_000, 60_000].choose(random).unwrap()]),
            6..=9 => bytes = other_lines(random, &bytes),
            _ => {
                bytes.truncate(at);
                is_torn = true;
                break;
            }
        }
    }
    Spoilt { bytes, is_torn }
}

/// Spoils a message of a live call without giving its identity back, not even by what follows on the same connection: that
/// would become a part of it, where the end cannot be found any more.
pub fn spoil_live(random: &mut StdRng, message: &[u8]) -> Spoilt {
    let message = disown(random, message);
    let Spoilt { bytes, is_torn } = spoil(random, &message, 3);
    Spoilt { is_torn: is_torn || !tells_its_end(&bytes), bytes }
}

/// Whether a reader of a stream finds the end of it where it is.
fn tells_its_end(bytes: &[u8]) -> bool {
    let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&bytes[..head]);
    let lengths = text.split('\n').filter_map(|line| line.trim().strip_prefix("Content-Length:"));
    let body = (bytes.len() - head - 4).to_string();
    lengths.map(str::trim).eq([body.as_str()])
}

fn insert(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    let at = at.min(bytes.len());
    drop(bytes.splice(at..at, more.iter().copied()));
}

/// What can be done to whole lines: repeated, dropped, folded, shortened, and lengths that are none.
fn other_lines(random: &mut StdRng, bytes: &[u8]) -> Vec<u8> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(bytes.len());
    let text: Vec<u8> = bytes[..head].to_vec();
    let mut lines: Vec<Vec<u8>> =
        text.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end().to_vec()).collect();
    let at = random.gen_range(0..lines.len());
    match random.gen_range(0..6) {
        0 => lines.insert(at, lines[at].clone()),
        1 if lines.len() > 1 => drop(lines.remove(at)),
        2 => lines[at] = replaced(&lines[at], b": ", b":\r\n  "),
        3 => lines[at] = replaced(&replaced(&lines[at], b"Call-ID", b"i"), b"Contact", b"m"),
        4 => lines.iter_mut().for_each(|line| *line = replaced(line, b"Via", b"v")),
        _ => {
            let lengths = ["-1", "18446744073709551615", "99999999999", "3", "60000", "0", "1 1", "x"];
            lines.push(format!("Content-Length: {}", lengths.choose(random).unwrap()).into_bytes());
        }
    }
    [lines.join(&b"\r\n"[..]).as_slice(), &bytes[head..]].concat()
}

fn replaced(line: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    match line.windows(old.len()).position(|part| part == old) {
        Some(at) => [&line[..at], new, &line[at + old.len()..]].concat(),
        None => line.to_vec(),
    }
}
