//! What a leg leaves behind.

use std::time::Duration;

use tokio::net::UdpSocket;

use super::*;
use crate::dialer::sip::peer::{Peer, Transport};
use crate::settings;

const SOON: Duration = Duration::from_secs(5);

/// Answers the next request of this method with a 200.
async fn answer(phone: &UdpSocket, method: &str) {
    let mut buffer = [0; 4_096];
    loop {
        let (length, from) = tokio::time::timeout(SOON, phone.recv_from(&mut buffer)).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if !text.starts_with(method) {
            continue;
        }
        let kept = ["Via", "From", "Call-ID", "CSeq"];
        let mut response = "SIP/2.0 200 OK\r\n".to_owned();
        for line in text.lines().filter(|line| kept.iter().any(|name| line.starts_with(&format!("{name}:")))) {
            response += &format!("{line}\r\n");
        }
        response += "To: <sip:phone@127.0.0.1>;tag=phone\r\nContent-Length: 0\r\n\r\n";
        phone.send_to(response.as_bytes(), from).await.unwrap();
        return;
    }
}

#[tokio::test]
async fn an_answer_that_a_leg_does_not_live_to_see_is_forgotten() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[sip]\nbind = \"udp:127.0.0.1:0\"\n").unwrap();
    let (stack, deaf) = Stack::open(&settings::load(Some(file.path()), []).unwrap().sip).unwrap();
    deaf.begin();
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = phone.local_addr().unwrap().port();
    let path = stack.path(&Peer::new(Transport::Udp, "127.0.0.1", Some(port))).await.unwrap();
    let invitation = Invitation {
        call_id: "one".to_owned(),
        uri: format!("sip:phone@127.0.0.1:{port}"),
        from: "us".to_owned(),
        from_domain: None,
        offer: Some("v=0\r\n".to_owned()),
        headers: Vec::new(),
        credentials: None,
    };
    let mut leg = Leg::invite(&stack, path, invitation).await.unwrap();
    answer(&phone, "INVITE").await;
    assert!(matches!(leg.next().await, Event::Answered(_)));
    leg.ack(None).await;
    leg.reoffer("v=0\r\n").await;
    answer(&phone, "INVITE").await;
    let came = async {
        while leg.signals.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, came).await.unwrap();
    drop(leg);
    assert_eq!(stack.answers.endless(), 0);
}
