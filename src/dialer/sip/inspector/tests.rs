//! Which answers make us send something.

use futures_util::FutureExt;
use rsipstack::sip::Transport as Via;
use rsipstack::transport::SipConnection;
use rsipstack::transport::channel::ChannelConnection;

use super::*;
use crate::dialer::sip::peer::{Peer, Transport};

fn address(ip: [u8; 4]) -> SipAddr {
    SipAddr { r#type: Some(Via::Udp), addr: std::net::SocketAddr::from((ip, 5060)).into() }
}

fn path() -> Path {
    let ((out, _), (_, back)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let address = address([192, 0, 2, 1]);
    let channel = ChannelConnection::create_connection(back, out, address.clone(), None).now_or_never();
    let connection = SipConnection::Channel(channel.unwrap().unwrap());
    Path { peer: Peer::new(Transport::Udp, "192.0.2.1", None), connection, address }
}

fn dialog() -> Dialog {
    Dialog {
        call_id: "one".into(),
        local_tag: "ours".into(),
        local: "<sip:a@198.51.100.1>".into(),
        remote: "<sip:b@192.0.2.1>".into(),
        local_sequence: 0,
        invite_sequence: 0,
        target: "sip:b@192.0.2.1".into(),
        routes: Vec::new(),
        contact: "<sip:calltaskd@198.51.100.1>".into(),
        sent_by: "198.51.100.1:5060".into(),
        peer: Peer::new(Transport::Udp, "192.0.2.1", None),
        credentials: Vec::new(),
        local_sdp: None,
        remote_sdp: None,
    }
}

/// An INVITE that `phone` answered and that was acknowledged.
struct Answered {
    answers: Answers,
    strays: mpsc::UnboundedReceiver<Stray>,
    branch: String,
}

impl Answered {
    fn by(phone: &str) -> Self {
        let (sender, strays) = mpsc::unbounded_channel();
        let (answers, mut dialog) = (Answers::new(sender), dialog());
        let invite = dialog.invite(None, &[]);
        let branch = message::branch(&invite).unwrap();
        answers.expect(&dialog, 1, (&invite, &path()));
        let mut answered = Self { answers, strays, branch };
        answered.hears(&answered.answer(phone), [192, 0, 2, 1]);
        dialog.confirm(&answered.answer(phone));
        answered.answers.acknowledged(&dialog, dialog.ack(None), &path());
        answered
    }

    fn answer(&self, phone: &str) -> Response {
        let branch = &self.branch;
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch={branch}\r\nFrom: <sip:a@198.51.100.1>;tag=ours\r\n\
             To: <sip:b@192.0.2.1>;tag={phone}\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        Response::try_from(text.as_str()).unwrap()
    }

    /// What an answer from this address makes us send.
    fn hears(&mut self, answer: &Response, from: [u8; 4]) -> Option<Stray> {
        self.answers.look_at(answer, Some(&address(from)));
        self.strays.try_recv().ok()
    }
}

#[test]
fn an_answer_that_is_repeated_is_acknowledged_again_and_another_phone_is_hung_up() {
    let mut call = Answered::by("phone");
    let again = call.answer("phone");
    assert!(matches!(call.hears(&again, [192, 0, 2, 1]), Some(Stray::Again(_))));
    let other = call.answer("other");
    assert!(matches!(call.hears(&other, [192, 0, 2, 1]), Some(Stray::Unwanted(_))));
}

#[test]
fn a_strangers_answer_makes_us_send_nothing() {
    let mut call = Answered::by("phone");
    let other = call.answer("other");
    assert!(call.hears(&other, [203, 0, 113, 9]).is_none(), "it comes from elsewhere");
    for phone in ["phone", "other"] {
        let mut forged = call.answer(phone);
        forged.headers.retain(|header| !matches!(header, Header::Via(_)));
        forged.headers.push(Header::Via("SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKguess".into()));
        assert!(call.hears(&forged, [192, 0, 2, 1]).is_none(), "it is on a branch that we never sent");
    }
    let mut forged = call.answer("phone");
    forged.headers.retain(|header| !matches!(header, Header::From(_)));
    forged.headers.push(Header::From("<sip:a@198.51.100.1>;tag=guess".into()));
    assert!(call.hears(&forged, [192, 0, 2, 1]).is_none(), "it has not our tag");
}

#[test]
fn who_answers_a_call_of_an_earlier_run_is_told_of_once() {
    let (sender, strays) = mpsc::unbounded_channel();
    let mut call = Answered { answers: Answers::new(sender), strays, branch: "z9hG4bKearlier".to_owned() };
    let answer = call.answer("phone");
    assert!(call.hears(&answer, [192, 0, 2, 1]).is_none(), "nobody knows it");
    call.answers.orphan(["one".to_owned(), "two".to_owned()].into_iter());
    let Some(Stray::Orphan(orphan)) = call.hears(&answer, [192, 0, 2, 1]) else { panic!("it is left alone") };
    let dialog = Dialog { local: String::new(), local_tag: String::new(), ..dialog() };
    let dialog = dialog.answered(&orphan.0).unwrap();
    assert_eq!((dialog.local.as_str(), dialog.local_tag.as_str()), ("<sip:a@198.51.100.1>", "ours"));
    assert_eq!((dialog.local_sequence, dialog.remote_tag_now().as_str()), (1, "phone"));
    call.answers.adopt(&dialog, dialog.ack(None), &path());
    assert!(matches!(call.hears(&answer, [192, 0, 2, 1]), Some(Stray::Again(_))), "its ACK was lost");
}

#[test]
fn a_guess_does_not_take_the_place_of_the_answer() {
    let (sender, mut strays) = mpsc::unbounded_channel();
    let (answers, mut dialog) = (Answers::new(sender), dialog());
    let invite = dialog.invite(None, &[]);
    answers.expect(&dialog, 1, (&invite, &path()));
    let (_, unused) = mpsc::unbounded_channel();
    let answered =
        |branch: String| Answered { answers: Answers::new(mpsc::unbounded_channel().0), strays: unused, branch };
    let true_one = answered(message::branch(&invite).unwrap()).answer("phone");
    let mut guess = true_one.clone();
    guess.headers.retain(|header| !matches!(header, Header::Via(_)));
    guess.headers.push(Header::Via("SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKguess".into()));
    for answer in [&guess, &true_one, &true_one] {
        answers.look_at(answer, Some(&address([192, 0, 2, 1])));
    }
    assert!(strays.try_recv().is_err(), "the phone that answered is not hung up");
}
