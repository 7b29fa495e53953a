//! The header of a message on its way in: its size and its properties, without what nobody asks for.
//!
//! Must not understand a property. The library that reads what is left takes every short string for UTF-8 and walks
//! tables of headers as deep as they are nested; brokers promise neither to be harmless.

/// Stands for each byte that was no UTF-8: what ASCII has the character for.
pub const SUBSTITUTE: char = '\u{1a}';

/// What a flag of a property says about its bytes (AMQP 0-9-1, section 4.2.6.1), from the highest bit on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Short,
    Table,
    Octet,
    Instant,
}

/// The properties of the class `basic`. The table, third, is that of the headers.
const KINDS: [Kind; 14] = {
    use Kind::{Instant, Octet, Short, Table};
    [Short, Short, Table, Octet, Octet, Short, Short, Short, Short, Instant, Short, Short, Short, Short]
};
const HEADERS: u16 = 1 << 13;

/// Class, weight.
const OPENING_BYTES: usize = 4;

/// A header as it came, its table of headers left out and its short strings made UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    opening: [u8; OPENING_BYTES],
    /// Bytes of the body.
    pub size: u64,
    flags: u16,
    before_headers: Vec<u8>,
    after_headers: Vec<u8>,
}

impl Content {
    /// `None` for what is no header of a message.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (opening, rest) = payload.split_first_chunk::<OPENING_BYTES>()?;
        let (size, rest) = rest.split_first_chunk::<8>()?;
        let (flags, mut rest) = rest.split_first_chunk::<2>()?;
        let flags = u16::from_be_bytes(*flags);
        let (mut before_headers, mut after_headers) = (Vec::new(), Vec::new());
        for (place, kind) in KINDS.into_iter().enumerate().filter(|(place, _)| flags & (1 << (15 - place)) != 0) {
            let (value, more) = rest.split_at_checked(length(kind, rest)?)?;
            rest = more;
            match place {
                0 | 1 => before_headers.extend(clean(kind, value)),
                2 => {}
                _ => after_headers.extend(clean(kind, value)),
            }
        }
        let size = u64::from_be_bytes(*size);
        rest.is_empty().then_some(Self {
            opening: *opening,
            size,
            flags: flags & !HEADERS,
            before_headers,
            after_headers,
        })
    }

    /// The header for a body of another size, with these entries of a table of headers.
    pub fn write(&self, size: u64, headers: Option<&[u8]>) -> Vec<u8> {
        let flags = if headers.is_some() { self.flags | HEADERS } else { self.flags };
        let table_length = headers.map(|entries| u32::try_from(entries.len()).unwrap_or(u32::MAX).to_be_bytes());
        [
            &self.opening[..],
            &size.to_be_bytes(),
            &flags.to_be_bytes(),
            &self.before_headers,
            table_length.as_ref().map_or(&[], |length| &length[..]),
            headers.unwrap_or_default(),
            &self.after_headers,
        ]
        .concat()
    }
}

fn length(kind: Kind, rest: &[u8]) -> Option<usize> {
    match kind {
        Kind::Octet => Some(1),
        Kind::Instant => Some(8),
        Kind::Short => rest.first().map(|length| 1 + usize::from(*length)),
        Kind::Table => {
            let (length, _) = rest.split_first_chunk::<4>()?;
            usize::try_from(u32::from_be_bytes(*length)).ok()?.checked_add(4)
        }
    }
}

fn clean(kind: Kind, value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if kind == Kind::Short {
        substitute(&mut value[1..]);
    }
    value
}

/// Makes a text UTF-8 without changing its length.
pub fn substitute(mut text: &mut [u8]) {
    while let Err(error) = std::str::from_utf8(text) {
        let wrong = error.valid_up_to();
        let end = error.error_len().map_or(text.len(), |length| wrong + length);
        text[wrong..end].fill(SUBSTITUTE as u8);
        text = &mut text[end..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn short(text: &[u8]) -> Vec<u8> {
        [&[u8::try_from(text.len()).unwrap()], text].concat()
    }

    /// A header with content type, headers, delivery mode and message id.
    fn header(message_id: &[u8], table: &[u8]) -> Vec<u8> {
        let table = [&u32::try_from(table.len()).unwrap().to_be_bytes(), table].concat();
        let flags = 0b1011_0000_1000_0000_u16.to_be_bytes();
        let opening = [&60_u16.to_be_bytes()[..], &[0, 0], &7_u64.to_be_bytes(), &flags].concat();
        [opening, short(b"text/plain"), table, vec![2], short(message_id)].concat()
    }

    #[test]
    fn a_table_of_headers_is_left_out_and_what_is_no_utf_8_is_substituted() {
        let content = Content::read(&header(b"a\xff\xf0\x9f\x98z", b"\x03k\xffyS\0\0\0\0")).unwrap();
        let expected = [&60_u16.to_be_bytes()[..], &[0, 0], &7_u64.to_be_bytes(), &0x9080_u16.to_be_bytes()].concat();
        let expected = [expected, short(b"text/plain"), vec![2], short(b"a\x1a\x1a\x1a\x1az")].concat();
        assert_eq!(content.write(content.size, None), expected);
        let with_ours = content.write(3, Some(b"\x01ki\0\0"));
        let again = Content::read(&with_ours).unwrap();
        assert_eq!((again.size, again.write(7, None)), (3, expected));
    }

    #[test]
    fn what_is_no_header_is_none() {
        let whole = header(b"id", b"");
        for end in 0..whole.len() {
            assert_eq!(Content::read(&whole[..end]), None, "{end}");
        }
        assert_eq!(Content::read(&[&whole[..], b"x"].concat()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not_and_what_is_read_is_utf_8(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(content) = Content::read(&bytes) {
                let written = content.write(content.size, None);
                prop_assert_eq!(Content::read(&written), Some(content));
            }
            let mut text = bytes.clone();
            substitute(&mut text);
            prop_assert_eq!(text.len(), bytes.len());
            prop_assert!(std::str::from_utf8(&text).is_ok());
            if std::str::from_utf8(&bytes).is_ok() {
                prop_assert_eq!(text, bytes);
            }
        }
    }
}
