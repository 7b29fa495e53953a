//! Frames as a broker sends them, whole and in pieces.

use proptest::prelude::*;

use super::*;

fn frame(kind: u8, channel: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind, 0, channel], &size[..], payload, &[END]].concat()
}

fn header(size: usize) -> Vec<u8> {
    [&[0, 60, 0, 0][..], &(size as u64).to_be_bytes(), &[0, 0]].concat()
}

fn passed(bytes: &[u8], step: usize) -> Vec<u8> {
    let (mut frames, mut out, mut buffer) = (Frames::default(), Vec::new(), [0; 1_000]);
    for piece in bytes.chunks(step) {
        frames.put(piece);
        loop {
            match frames.take(&mut buffer) {
                0 => break,
                taken => out.extend_from_slice(&buffer[..taken]),
            }
        }
    }
    frames.end();
    loop {
        match frames.take(&mut buffer) {
            0 => return out,
            taken => out.extend_from_slice(&buffer[..taken]),
        }
    }
}

#[test]
fn harmless_frames_pass_as_they_are_in_pieces_of_any_size() {
    let frames = [
        frame(METHOD, 1, &[0, 20, 0, 11, 0, 0, 0, 0]),
        frame(HEADER, 1, &header(3)),
        frame(BODY, 1, b"abc"),
        frame(HEARTBEAT, 0, b""),
    ]
    .concat();
    for step in [1, 2, 7, 8, 1_000] {
        assert_eq!(passed(&frames, step), frames, "{step}");
    }
}

#[test]
fn what_is_no_frame_passes_as_it_is() {
    for bytes in
        [&b"AMQP\x00\x00\x09\x01"[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x01\0\0\xff\xff\xff\xff", b"\x01\0"]
    {
        assert_eq!(passed(bytes, 3), bytes);
    }
    let spoilt = [&frame(BODY, 1, b"abc")[..10], b"xyz"].concat();
    assert_eq!(passed(&spoilt, 4), spoilt);
}

#[test]
fn the_routing_key_of_a_delivery_is_made_utf_8() {
    let delivery = |key: &[u8]| {
        let texts = [&b"\x03tag\0\0\0\0\0\0\0\x01\0\x02ex"[..], &[u8::try_from(key.len()).unwrap()], key].concat();
        frame(METHOD, 1, &[&DELIVER[..], &texts].concat())
    };
    assert_eq!(passed(&delivery(b"agent\xff.put"), 5), delivery(b"agent\x1a.put"));
    let returned = |key: &[u8]| frame(METHOD, 1, &[&RETURN[..], b"\x01\x38\x02no\x02ex\x04", key].concat());
    assert_eq!(passed(&returned(b"a\xffbc"), 5), returned(b"a\x1abc"));
}

/// Beside a message that is cut, those of another channel go on.
#[test]
fn a_message_that_is_too_large_is_cut_and_says_how_large_it_was() {
    let body: Vec<u8> = (0..MOST_BYTES + 1).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let other = [frame(HEADER, 2, &header(2)), frame(BODY, 2, b"ok")].concat();
    let mut sent = frame(HEADER, 1, &header(body.len()));
    for (at, part) in body.chunks(100_000).enumerate() {
        sent.extend(if at == 3 { other.clone() } else { Vec::new() });
        sent.extend(frame(BODY, 1, part));
    }
    let content = Content::read(&header(body.len())).unwrap();
    let sha256 = hexadecimal(&Sha256::digest(&body));
    let entries = [entry(SIZE, &body.len().to_string()), entry(SHA256, &sha256)].concat();
    let mut expected = [other, frame(HEADER, 1, &content.write(KEPT_BYTES as u64, Some(&entries)))].concat();
    for part in body[..KEPT_BYTES].chunks(PART_BYTES) {
        expected.extend(frame(BODY, 1, part));
    }
    assert!(passed(&sent, 65_536) == expected);
    let exact = [frame(HEADER, 1, &header(4)), frame(BODY, 1, b"next")].concat();
    assert!(passed(&[sent, exact.clone()].concat(), 65_536).ends_with(&exact));
}

proptest! {
    #[test]
    fn any_bytes_pass_without_a_panic(
        payloads in prop::collection::vec((0_u8..10, 0_u8..3, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        rest in prop::collection::vec(any::<u8>(), 0..20),
        step in 1_usize..30,
    ) {
        let frames: Vec<u8> = payloads.iter().flat_map(|(kind, channel, payload)| frame(*kind, *channel, payload)).collect();
        let bytes = [&frames[..], &DELIVER, &rest].concat();
        let out = passed(&bytes, step);
        prop_assert_eq!(out, passed(&bytes, bytes.len()));
    }
}
