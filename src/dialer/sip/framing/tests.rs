//! What is framed, and what is not.

use super::*;

const HEAD: &str = "BYE sip:a@h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:b@h>;tag=1\r\n\
                    To: <sip:a@h>;tag=2\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n";

fn message(length: &str, body: &str) -> Vec<u8> {
    format!("{HEAD}{length}\r\n{body}").into_bytes()
}

fn frames(bytes: &[u8]) -> Result<Vec<Frame>, Lost> {
    let mut framer = Framer::default();
    framer.take_in(bytes);
    std::iter::from_fn(|| framer.next().transpose()).collect()
}

#[test]
fn messages_are_framed_wherever_the_bytes_are_cut() {
    let (short, long) = (message("", ""), message("Content-Length: 5\r\n", "a\r\n\r\n"));
    let bytes = [b"\r\n".to_vec(), short.clone(), b"\r\n\r\n".to_vec(), long.clone(), short.clone()].concat();
    let expected = vec![Frame::Message(short.clone()), Frame::Ping, Frame::Message(long), Frame::Message(short)];
    assert_eq!(frames(&bytes), Ok(expected));
    for size in [1, 2, 3, 7, 64] {
        let (mut framer, mut found) = (Framer::default(), Vec::new());
        for part in bytes.chunks(size) {
            framer.take_in(part);
            while let Some(frame) = framer.next().unwrap() {
                found.push(frame);
            }
        }
        assert_eq!(Ok(found), frames(&bytes), "in parts of {size} bytes");
        assert!(!framer.has_begun());
    }
}

#[test]
fn a_length_is_found_however_it_is_written() {
    for length in
        ["l: 3\r\n", "CONTENT-LENGTH   :3\r\n", "Content-Length:\r\n  3\r\n", "l: 3\r\nContent-Length: 003\r\n"]
    {
        let whole = message(length, "abc");
        assert_eq!(frames(&whole), Ok(vec![Frame::Message(whole.clone())]), "{length:?}");
    }
}

#[test]
fn a_length_that_is_none_ends_the_stream() {
    for length in ["-1", "+1", "", "1 2", "1,1", "0x1", "१"] {
        assert_eq!(frames(&message(&format!("Content-Length: {length}\r\n"), "a")), Err(Lost::Length), "{length:?}");
    }
    assert_eq!(frames(&message("l: 1\r\nContent-Length: 2\r\n", "ab")), Err(Lost::Length));
    for length in ["65535", "18446744073709551615", "99999999999999999999999999"] {
        assert_eq!(frames(&message(&format!("l: {length}\r\n"), "")), Err(Lost::TooLong), "{length}");
    }
    assert_eq!(frames(&[b'a'; LONGEST + 1]), Err(Lost::TooLong));
}

#[test]
fn a_message_that_has_not_come_whole_has_begun() {
    let mut framer = Framer::default();
    framer.take_in(b"\r\n");
    assert_eq!((framer.next(), framer.has_begun()), (Ok(None), false), "a line end is none");
    framer.take_in(&message("l: 9\r\n", "abc"));
    assert_eq!((framer.next(), framer.has_begun()), (Ok(None), true));
}

#[test]
fn a_request_that_cannot_be_read_is_answered_to_whoever_sent_it() {
    let folded = message("Via: SIP/2.0/TCP\r\n p;branch=z9hG4bK2\r\n", "");
    let answer = String::from_utf8(bad_request(&folded).unwrap()).unwrap();
    assert!(
        answer.starts_with("SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nVia: SIP/2.0/TCP\r\n p;")
    );
    assert!(answer.contains("\r\nCSeq: 1 BYE\r\n") && answer.ends_with("\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(bad_request(b"SIP/2.0 200 OK\r\n\r\n"), None);
    assert_eq!(bad_request(&HEAD.replace("BYE sip", "ACK sip").into_bytes()), None);
    assert_eq!(bad_request(b"BYE sip:a@h SIP/2.0\r\nTo: a\r\n\r\n"), None, "nobody would know what it is to");
    assert_eq!(bad_request(b""), None);
}
