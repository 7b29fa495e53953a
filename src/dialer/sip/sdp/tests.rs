//! Descriptions as real phones and trunks send them, and as nobody should.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::settings::Codec;

const BARESIP: &str = "v=0\r\no=- 2890844526 1372343 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 127.0.0.9\r\nt=0 0\r\n\
    a=tool:baresip 1.0.0\r\nm=audio 20000 RTP/AVP 0 8 101\r\nb=AS:125\r\nc=IN IP4 127.0.0.9\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=rtcp-rsize\r\n\
    a=ssrc:1594 cname:sip:a@127.0.0.9\r\na=sendrecv\r\na=label:1\r\na=ptime:20\r\n";

/// Line ends without CR, an address with the audio alone, video, and an unknown type.
const LINPHONE: &str = "v=0\no=+15551234 123 456 IN IP4 192.0.2.7\ns=Talk\nt=0 0\na=rtcp-xr:rcvr-rtt=all\ny=what\n\
    m=audio 7078 RTP/AVP 96 8 101\na=rtpmap:96 opus/48000/2\na=fmtp:96 useinbandfec=1\na=rtpmap:101 telephone-event/48000\n\
    a=recvonly\nc=IN IP4 192.0.2.7\nm=video 9078 RTP/AVP 97\na=rtpmap:97 VP8/90000\n";

const SIPP: &str = "v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

fn read(text: &str) -> Description {
    text.parse().unwrap()
}

fn ours(version: u64) -> Origin {
    Origin::new(7, version, Ipv4Addr::new(192, 0, 2, 1).into())
}

fn sink() -> std::net::SocketAddr {
    "192.0.2.1:4000".parse().unwrap()
}

#[test]
fn descriptions_are_written_as_they_were_read_but_in_their_order() {
    let written = "m=audio 20000 RTP/AVP 0 8 101\r\nc=IN IP4 127.0.0.9\r\nb=AS:125\r\na=rtpmap:0";
    let baresip = read(BARESIP).to_string();
    assert!(baresip.contains(written), "{baresip}");
    assert_eq!(baresip.len(), BARESIP.len());
    assert_eq!(read(SIPP).to_string(), SIPP);
    let linphone = read(LINPHONE).to_string();
    assert!(
        linphone.contains("a=rtcp-xr:rcvr-rtt=all\r\ny=what\r\nm=audio 7078 RTP/AVP 96 8 101\r\nc=IN"),
        "{linphone}"
    );
}

#[test]
fn what_is_missing_and_has_one_meaning_is_filled_in() {
    let bare = read(
        "v=0\no=John Doe 1 2 IN IP6 2001:db8::7\nc=IN IP6 2001:db8::7\ns=\nm=audio 9 RTP/AVP 8\nm=video 0 RTP/AVP",
    );
    let expected = "v=0\r\no=John.Doe 1 2 IN IP6 2001:db8::7\r\ns=-\r\nc=IN IP6 2001:db8::7\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n\
        m=video 0 RTP/AVP 0\r\n";
    assert_eq!(bare.to_string(), expected);
    assert_eq!(bare.audio().unwrap().address, "2001:db8::7");
}

#[test]
fn what_is_no_description_is_refused_with_its_reason() {
    let crowded = format!("{SIPP}{}", "m=audio 1 RTP/AVP 0\n".repeat(MOST_MEDIA));
    let endless = format!("{SIPP}{}", "a=x\n".repeat(MOST_BYTES / 4 - 50));
    let reason = |text: &str| text.parse::<Description>().unwrap_err();
    assert_eq!(reason(""), Unreadable::Version);
    assert_eq!(reason("v=1\no=- 1 1 IN IP4 h"), Unreadable::Version);
    assert_eq!(reason("v=0\ns=-"), Unreadable::Origin);
    assert_eq!(reason("v=0\no=1 1 IN IP4 h"), Unreadable::Origin);
    assert_eq!(reason("v=0\no=- 1 1 IN IP4 h\na"), Unreadable::Line(3));
    assert_eq!(reason("v=0\no=- 1 1 IN IP4 h\na=\0"), Unreadable::Line(3));
    assert_eq!(reason("v=0\no=- 1 1 IN IP4 h\nm=audio 70000 RTP/AVP 0"), Unreadable::Media(3));
    assert_eq!(reason("v=0\no=- 1 1 IN IP4 h\nm=audio 1 RTP/AVP"), Unreadable::Media(3));
    assert_eq!(reason(&crowded), Unreadable::TooManyMedia);
    assert_eq!(reason(&endless), Unreadable::TooLong, "it would be longer with CRLF");
    assert_eq!(reason(&"v=0\n".repeat(MOST_BYTES)), Unreadable::TooLong);
}

#[test]
fn the_placeholder_is_an_offer_that_can_be_answered() {
    let offer = Description::placeholder(ours(1), sink(), &[Codec::Pcma, Codec::Pcmu]);
    let expected = "v=0\r\no=- 7 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\n\
        a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
        a=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(offer.to_string(), expected);
    assert_eq!(read(expected), offer);
    assert_eq!(read(BARESIP).answers(&offer), Ok(()));
    let wide = Description::placeholder(ours(1), "[2001:db8::1]:4000".parse().unwrap(), &[Codec::Opus, Codec::G722]);
    let text = wide.to_string();
    assert!(
        text.contains("c=IN IP6 2001:db8::1\r\n") && text.contains("m=audio 4000 RTP/AVP 111 9 101 110\r\n"),
        "{text}"
    );
    assert!(wide.joins(&read(LINPHONE)).is_ok());
}

#[test]
fn an_answer_becomes_the_other_sides_offer_whole_and_without_a_direction() {
    let offer = read(LINPHONE).joining(ours(3)).to_string();
    let expected =
        LINPHONE.replace("a=recvonly\n", "").replace("+15551234 123 456 IN IP4 192.0.2.7", "- 7 3 IN IP4 192.0.2.1");
    assert_eq!(read(&expected), read(&offer));
    assert!(read(LINPHONE).under(ours(3)).to_string().contains("a=recvonly\r\n"));
    assert!(!read(&offer).is_same_version(&read(LINPHONE)) && read(SIPP).is_same_version(&read(SIPP)));
}

#[test]
fn an_answer_has_the_media_of_its_offer_one_by_one() {
    let offer = read(&format!("{SIPP}a=sendonly\r\nm=video 9 RTP/AVP 97\r\nm=audio 0 RTP/AVP 8\r\n"));
    let answer = read(BARESIP).answering(&offer, ours(2));
    assert_eq!(answer.answers(&offer), Ok(()));
    let text = answer.to_string();
    assert!(text.contains("m=audio 20000 RTP/AVP 0\r\n"), "{text}");
    assert!(!text.contains("PCMA") && !text.contains(":101"), "{text}");
    assert!(text.contains("a=recvonly\r\n") && !text.contains("sendrecv"), "{text}");
    assert!(text.ends_with("m=video 0 RTP/AVP 97\r\nm=audio 0 RTP/AVP 8\r\n"), "{text}");
    let refused = offer.refusal(ours(2)).to_string();
    assert!(refused.contains("m=audio 0 RTP/AVP 0\r\nm=video 0 RTP/AVP 97\r\nm=audio 0 RTP/AVP 8\r\n"), "{refused}");
    let feedback = read(&SIPP.replace("RTP/AVP", "RTP/AVPF"));
    assert!(read(BARESIP).answering(&feedback, ours(2)).to_string().contains("m=audio 20000 RTP/AVPF 0\r\n"));
    let secure = read(&SIPP.replace("RTP/AVP", "RTP/SAVP"));
    assert!(!read(BARESIP).answering(&secure, ours(2)).is_usable());
}

#[test]
fn why_two_sides_cannot_be_joined_is_said() {
    let baresip = read(BARESIP);
    let with = |from: &str, to: &str| read(&BARESIP.replace(from, to));
    assert_eq!(baresip.joins(&read(SIPP)), Ok(()));
    assert_eq!(baresip.joins(&with("RTP/AVP", "RTP/AVPF")), Ok(()));
    let secure = with("RTP/AVP", "UDP/TLS/RTP/SAVPF");
    let clash = baresip.joins(&secure).unwrap_err();
    assert_eq!(clash, Clash::Profile("RTP/AVP".into(), "UDP/TLS/RTP/SAVPF".into()));
    assert!(clash.to_string().contains("set both to the same"), "{clash}");
    assert!(secure.joins(&with("RTP/AVP", "RTP/SAVP")).is_err() && secure.joins(&secure).is_ok());
    let opus = read(&SIPP.replace("AVP 0", "AVP 96").replace("0 PCMU/8000", "96 opus/48000/2"));
    assert_eq!(opus.joins(&baresip), Err(Clash::Codec("OPUS/48000/2".into(), "PCMU/8000, PCMA/8000".into())));
    assert_eq!(opus.joins(&with("20000", "0")), Err(Clash::NoAudio));
    assert_eq!(baresip.answers(&read(LINPHONE)), Err(Clash::Shape));
    // Events are no codec: both have them, and nothing to talk with.
    let events = |codec: &str| {
        read(
            &SIPP
                .replace("AVP 0", &format!("AVP {codec} 101"))
                .replace("a=rtpmap:0 PCMU", "a=rtpmap:101 telephone-event"),
        )
    };
    assert!(events("8").joins(&events("9")).is_err());
}

#[test]
fn a_hold_is_one_however_it_is_said() {
    let with = |line: &str| read(&format!("{SIPP}{line}")).is_hold();
    assert!(with("a=sendonly") && with("a=inactive"));
    assert!(!with("a=recvonly") && !with("a=sendrecv") && !with(""));
    assert!(read(&SIPP.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0")).is_hold());
    assert!(read(&SIPP.replace("t=0 0\r\n", "t=0 0\r\na=inactive\r\n")).is_hold(), "for the whole session");
}

#[test]
fn what_the_other_side_would_get_wrong_is_noticed() {
    let told = read(BARESIP);
    let agreed = read(&SIPP.replace("AVP 0", "AVP 8"));
    let moved = |from: &str, to: &str| read(&BARESIP.replace(from, to)).moved(&told, &agreed);
    assert_eq!(moved("AVP 0 8 101", "AVP 8"), None, "it chose what was agreed on");
    assert_eq!(moved("IN IP4 127.0.0.9", "IN IP4 127.0.0.8"), Some(Moved::Address));
    assert_eq!(moved("20000", "20002"), Some(Moved::Port));
    assert_eq!(moved("AVP 0 8 101", "AVP 0"), Some(Moved::Codec));
    assert_eq!(moved("audio 20000", "audio 0"), Some(Moved::Gone));
    // linphone: nowhere at first, then a real address.
    let nowhere = read(&BARESIP.replace("IN IP4 127.0.0.9", "IN IP4 0.0.0.0"));
    assert_eq!(read(BARESIP).moved(&nowhere, &told), Some(Moved::Address));
}

#[test]
fn no_part_of_a_description_can_begin_a_line() {
    let evil = read(&SIPP.replace("s=-", "s=x\ra=evil").replace("user1", "user1\u{85}a=evil"));
    let text = evil.to_string();
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text:?}");
}

prop_compose! {
    fn origin()(session in any::<u64>(), version in any::<u64>(), v6 in any::<bool>()) -> Origin {
        let address = if v6 { "2001:db8::9".parse().unwrap() } else { "203.0.113.9".parse().unwrap() };
        Origin::new(session, version, address)
    }
}

fn description() -> impl Strategy<Value = Description> {
    let line = "[s-ubcekiprtzaxy]=[ -~ü\\t]{0,12}\n|a=(sendonly|inactive|recvonly|rtpmap:96 opus/48000/2|fmtp:0 x)\n";
    let medium = "m=(audio|video) [0-9]{1,4}(/2)? (RTP/AVP|RTP/SAVPF) (0|8|96|0 8 101)\n";
    let part = prop_oneof![3 => line, 1 => medium];
    let text = prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat());
    text.prop_map(|rest| read(&format!("v=0\no=a 1 2 IN IP4 h\n{rest}")))
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(one in description(), other in description(), origin in origin()) {
        let made = [
            one.clone(),
            one.joining(origin.clone()),
            one.refusal(origin.clone()),
            one.answering(&other, origin.clone()),
            Description::placeholder(origin, sink(), &[Codec::Opus, Codec::Pcmu]),
        ];
        for description in made {
            let text = description.to_string();
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
            prop_assert_eq!(text.parse::<Description>(), Ok(description));
        }
        let answer = one.answering(&other, ours(1));
        prop_assert_eq!(answer.media.len(), other.media.len());
        for (ours, offered) in answer.media.iter().zip(&other.media) {
            prop_assert_eq!((&ours.kind, &ours.profile), (&offered.kind, &offered.profile));
        }
        let _ = (one.joins(&other), one.moved(&other, &answer), one.is_hold());
    }

    #[test]
    fn no_bytes_whatsoever_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let head = b"v=0\no=- 1 1 IN IP4 h\n".iter().chain(&bytes).copied().collect::<Vec<u8>>();
        for bytes in [bytes, head] {
            if let Ok(description) = String::from_utf8_lossy(&bytes).parse::<Description>() {
                prop_assert_eq!(description.to_string().parse::<Description>(), Ok(description.clone()));
                description.is_hold();
            }
        }
    }

    #[test]
    fn what_was_spoilt_is_read_and_written_alike_or_refused(
        good in prop::sample::select(&[BARESIP, LINPHONE, SIPP][..]),
        spoilt in prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, prop::collection::vec(any::<u8>(), 0..4)), 1..6),
    ) {
        let mut bytes = good.as_bytes().to_vec();
        for (place, length, by) in spoilt {
            let at = place.index(bytes.len());
            let end = bytes.len().min(at + length);
            bytes.splice(at..end, by);
        }
        if let Ok(description) = String::from_utf8_lossy(&bytes).parse::<Description>() {
            prop_assert_eq!(description.to_string().parse::<Description>(), Ok(description.clone()));
            let _ = (description.joins(&read(SIPP)), description.answering(&read(SIPP), ours(1)));
        }
    }
}
