//! Texts that become parts of SIP messages: cleaned, so that nothing of an agent's record or of a callee's variables
//! can begin a header of its own.
//!
//! Must not know what the headers mean; it only makes names and values that a line of a message can hold.

use crate::domain::agent::is_signalling;

/// Bytes of one value; more would not fit into a datagram with everything else.
const LONGEST_VALUE: usize = 1_024;

/// A header of ours, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: String,
}

impl Header {
    /// `None` for what cannot be a header of ours: no name, or one that the signalling itself needs.
    pub fn new(name: &str, value: &str) -> Option<Self> {
        let name = token(name);
        (!name.is_empty() && !is_signalling(&name)).then(|| Self { name, value: line(value) })
    }
}

/// The part of a name that a token may hold (RFC 3261, section 25.1).
pub fn token(text: &str) -> String {
    text.chars().filter(|letter| letter.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(*letter)).collect()
}

/// One line: no control characters, no blanks around it, not too long.
pub fn line(text: &str) -> String {
    let clean: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let clean = clean.trim();
    let end = clean.char_indices().map(|(at, letter)| at + letter.len_utf8()).take_while(|end| *end <= LONGEST_VALUE);
    clean[..end.last().unwrap_or(0)].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_begins_a_header_of_its_own() {
        let header = Header::new("X-Calltaskd-Var-a\r\nEvil: 1", "one\r\nEvil: 2\n\tthree\0").unwrap();
        assert_eq!(header.name, "X-Calltaskd-Var-aEvil1");
        assert_eq!(header.value, "one  Evil: 2  three");
        assert!(Header::new(" \r\n", "value").is_none());
    }

    #[test]
    fn the_signalling_keeps_its_own_headers() {
        for name in ["Via", "call-id", "Content-Length", "l", "CONTACT", "To\r\n"] {
            assert!(Header::new(name, "x").is_none(), "{name}");
        }
        assert!(Header::new("X-Tenant", "7").is_some());
    }

    #[test]
    fn a_long_value_is_cut_between_letters() {
        let value = line(&"ü".repeat(2_000));
        assert_eq!(value.chars().count(), LONGEST_VALUE / 2);
    }
}
