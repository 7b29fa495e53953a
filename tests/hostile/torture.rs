//! The messages of RFC 4475 and RFC 5118, as bytes.

/// One of them.
pub struct Message {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// All of both.
pub fn messages() -> Vec<Message> {
    [include_str!("torture/rfc4475.txt"), include_str!("torture/rfc5118.txt")].into_iter().flat_map(read).collect()
}

fn read(file: &str) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for line in file.split_terminator('\n') {
        match (line.strip_prefix("=== "), messages.last_mut()) {
            (Some(title), _) => messages.push(Message { name: title.to_owned(), bytes: Vec::new() }),
            (None, Some(message)) => message.bytes.extend([bytes(line).as_slice(), b"\r\n"].concat()),
            (None, None) => assert!(line.starts_with('#'), "only comments stand before the first message"),
        }
    }
    messages
}

/// A line without its notation; neither of the two stands in the other.
fn bytes(line: &str) -> Vec<u8> {
    let (begin, kind) = match (line.find("<hex>"), line.find("<repeat count=")) {
        (Some(hex), repeat) if repeat.is_none_or(|repeat| hex < repeat) => (hex, "</hex>"),
        (_, Some(repeat)) => (repeat, "</repeat>"),
        _ => return line.as_bytes().to_vec(),
    };
    let (inside, rest) = line[begin..].split_once(kind).unwrap();
    let (tag, inside) = inside.split_once('>').unwrap();
    let inside = match tag.strip_prefix("<repeat count=") {
        Some(count) => inside.repeat(count.parse().unwrap()).into_bytes(),
        None => (0..inside.len()).step_by(2).map(|at| u8::from_str_radix(&inside[at..at + 2], 16).unwrap()).collect(),
    };
    [&line.as_bytes()[..begin], &inside, &bytes(rest)].concat()
}

#[test]
fn the_messages_are_those_of_the_documents() {
    let messages = messages();
    assert_eq!(messages.len(), 49 + 12);
    let length = |name: &str| messages.iter().find(|message| message.name.starts_with(name)).unwrap().bytes.len();
    // Of the archive in RFC 4475's appendix.
    let lengths = ["wsinv,", "intmeth,", "longreq,", "dblreq,", "mpart01,", "scalar02,", "zeromf,"].map(length);
    assert_eq!(lengths, [1_001, 641, 3_515, 750, 1_290, 476, 272]);
}
