//! What requests look like, by the state of their dialog.

use rsipstack::sip::Response;

use super::*;
use crate::dialer::sip::peer::Transport;

fn dialog() -> Dialog {
    Dialog {
        call_id: "one".into(),
        local_tag: "ours".into(),
        local: "<sip:+49302000@192.0.2.1>".into(),
        remote: "<sip:+49301000@198.51.100.1:5060>".into(),
        local_sequence: 0,
        invite_sequence: 0,
        target: "sip:+49301000@198.51.100.1:5060".into(),
        routes: Vec::new(),
        contact: "<sip:calltaskd@192.0.2.1:5060>".into(),
        sent_by: "192.0.2.1:5060".into(),
        peer: Peer::new(Transport::Udp, "198.51.100.1", None),
        credentials: Vec::new(),
        local_sdp: None,
        remote_sdp: None,
    }
}

fn answer(more: &str) -> Response {
    let text = format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\nFrom: <sip:+49302000@192.0.2.1>;tag=ours\r\n\
         To: <sip:+49301000@198.51.100.1:5060>;tag=theirs\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n{more}Content-Length: 0\r\n\r\n"
    );
    Response::try_from(text.as_str()).unwrap()
}

fn values(request: &Request, name: &str) -> Vec<String> {
    let same = |line: &&Line| line.name() == name;
    request.headers.iter().filter(same).map(|line| line.value().to_owned()).collect()
}

#[test]
fn requests_within_a_dialog_take_its_route_backwards() {
    let mut dialog = dialog();
    dialog.invite(Some("v=0\r\n"), &[]);
    let routes = "Record-Route: <sip:one;lr>, \"a, b\" <sip:two;lr;x=1>\r\nRecord-Route: <sip:three;lr>\r\n";
    dialog.confirm(&answer(&format!("{routes}Contact: <sip:phone@203.0.113.7:5070>\r\n")));
    let (ack, bye) = (dialog.ack(None), dialog.bye());
    for request in [&ack, &bye] {
        let route = ["<sip:three;lr>", "\"a, b\" <sip:two;lr;x=1>", "<sip:one;lr>"];
        assert_eq!(values(request, "Route"), route, "{request}");
        assert_eq!(request.uri.to_string(), "sip:phone@203.0.113.7:5070");
        assert_eq!(values(request, "To"), ["<sip:+49301000@198.51.100.1:5060>;tag=theirs"]);
        assert_eq!(values(request, "From"), ["<sip:+49302000@192.0.2.1>;tag=ours"]);
    }
    assert_eq!((values(&ack, "CSeq"), values(&bye, "CSeq")), (vec!["1 ACK".to_owned()], vec!["2 BYE".to_owned()]));
    assert_eq!(dialog.next_hop(), "<sip:three;lr>");
    assert_eq!(dialog.remote_tag_now(), "theirs");
}

/// What is escaped once stays escaped once, however often it is read and written.
#[test]
fn a_request_line_has_the_uri_as_it_was_given() {
    let mut dialog = dialog();
    for (given, expected) in [
        ("sip:voice%20bot%23b1@192.0.2.9", "sip:voice%20bot%23b1@192.0.2.9"),
        ("sip:a%0d%0aEvil@192.0.2.9;transport=tcp", "sip:a%0D%0AEvil@192.0.2.9;transport=TCP"),
        ("sip:%FF@192.0.2.9", "sip:%25FF@192.0.2.9"),
        ("sip:voice@192.0.2.9?Route=x&body=y", "sip:voice@192.0.2.9"),
    ] {
        given.clone_into(&mut dialog.target);
        assert_eq!(dialog.bye().uri.to_string(), expected, "{given}");
    }
    dialog.confirm(&answer("Contact: \"a, <b\" <sip:ph%23one@203.0.113.7:5070;ob>;expires=60\r\n"));
    assert_eq!(dialog.bye().uri.to_string(), "sip:ph%23one@203.0.113.7:5070;ob");
    dialog.confirm(&answer("Contact: sip:phone@203.0.113.7:5070;expires=60\r\n"));
    assert_eq!(dialog.bye().uri.to_string(), "sip:phone@203.0.113.7:5070");
}

#[test]
fn an_answer_without_a_contact_leaves_the_target() {
    let mut dialog = dialog();
    dialog.invite(None, &[]);
    dialog.confirm(&answer(""));
    assert_eq!(dialog.bye().uri.to_string(), "sip:+49301000@198.51.100.1:5060");
}

#[test]
fn an_invite_without_an_offer_has_no_content_type_and_its_ack_has_the_answer() {
    let mut dialog = dialog();
    let invite = dialog.invite(None, &[Header::new("X-Tenant", "7").unwrap()]);
    assert_eq!((values(&invite, "Content-Type"), values(&invite, "X-Tenant")), (vec![], vec!["7".to_owned()]));
    dialog.credentials = vec![("Proxy-Authorization".into(), "Digest x".into())];
    let ack = dialog.ack(Some("v=0\r\n"));
    assert_eq!(
        (values(&ack, "Content-Type"), ack.body.as_slice()),
        (vec!["application/sdp".to_owned()], b"v=0\r\n".as_slice())
    );
    assert_eq!(values(&ack, "Proxy-Authorization"), ["Digest x"]);
}

#[test]
fn a_cancel_is_on_the_branch_of_its_invite() {
    let mut dialog = dialog();
    let invite = dialog.invite(Some("v=0\r\n"), &[]);
    let cancel = cancel(&invite);
    assert_eq!(values(&cancel, "Via"), values(&invite, "Via"));
    assert_eq!((values(&cancel, "CSeq"), values(&cancel, "Contact")), (vec!["1 CANCEL".to_owned()], vec![]));
    assert!(cancel.body.is_empty() && cancel.uri == invite.uri);
}

#[test]
fn a_dialog_can_be_written_down() {
    let mut dialog = dialog();
    dialog.invite(Some("v=0\r\n"), &[]);
    dialog.confirm(&answer("Contact: <sip:phone@203.0.113.7:5070>\r\n"));
    let written = serde_json::to_string(&dialog).unwrap();
    assert_eq!(serde_json::from_str::<Dialog>(&written).unwrap(), dialog);
}

#[test]
fn a_uri_says_how_its_owner_is_reached() {
    let peer = |text| Peer::of_uri(text, Transport::Udp).map(|peer| peer.to_string());
    for (uri, expected) in [
        ("sip:voice@agents.example", "udp:agents.example:5060"),
        ("\"Voice\" <sip:voice@192.0.2.9:5070;transport=TCP;lr>", "tcp:192.0.2.9:5070"),
        ("sips:voice@agents.example", "tls:agents.example:5061"),
        ("sip:voice@[2001:db8::1]:5080;transport=udp", "udp:[2001:db8::1]:5080"),
    ] {
        assert_eq!(peer(uri).as_deref(), Some(expected), "{uri}");
    }
    assert_eq!(peer("sip:voice@agents.example;transport=ws"), None);
}
