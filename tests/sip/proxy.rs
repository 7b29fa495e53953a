//! A trunk behind a real proxy, Kamailio: credentials are asked for, and every request of a dialog has to take its route. Over
//! UDP, TCP and TLS.

use serde_json::json;

use crate::cases::{Table, answered, assert_tells, case};
use crate::exchange::{Case, Exchange};
use crate::harness::site::folder;
use crate::kamailio::{Door, Kamailio, Ports};
use crate::sipp::play;
use crate::{certificate, ports};

/// What happens on the trunk over one transport, in three calls.
fn calls_over(transport: &'static str, port: u16, more: &str) -> Table {
    let named = |what: &str| -> &'static str { Box::leak(format!("{transport}-{what}").into_boxed_str()) };
    let behind = |case: Case| {
        let phone = ports::free();
        let trunk = format!("transport = \"{transport}\"\nusername = \"phone-{phone}\"\npassword = \"s3cret\"\n{more}");
        let trunk = Box::leak(trunk.into_boxed_str());
        Case { trunk, host: "localhost", trunk_port: port, carrier_port: phone, ..case }
    };
    let unanswered = |status: u16| json!({"result": "NO_ANSWER", "scope": "CALLEE", "counted": true, "answeredAt": null, "sip.status": status});
    let talked = |by: &str| json!({"result": "ANSWERED", "hangupBy": by, "counted": true});
    vec![
        (behind(answered(named("callee"), play("answers_and_hangs_up"), play("agent"))), talked("CALLEE")),
        (behind(answered(named("agent"), play("answers"), play("agent_hangs_up"))), talked("AGENT")),
        (behind(case(named("rings"), play("goes_on_behind_a_proxy").saying("180 Ringing"))), unanswered(487)),
        (behind(case(named("crosses"), play("answers_too_late_behind_a_proxy"))), unanswered(200)),
    ]
}

/// What the proxy has to have seen of a call; what it refused would be there, too.
fn expected_notes(case: &Case) -> Vec<&'static str> {
    let (_, what) = case.name.split_once('-').unwrap();
    match what {
        // The ACK of the answer, the offer that joins the agent, its ACK, and the end.
        "callee" | "agent" => vec!["WITHIN ACK", "WITHIN INVITE", "WITHIN ACK", "WITHIN BYE"],
        "rings" => vec!["MATCHED CANCEL"],
        _ => vec!["MATCHED CANCEL", "WITHIN ACK", "WITHIN BYE"],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_through_a_proxy_take_its_route_and_are_taken_back_behind_it() {
    let folder = folder("proxy-kamailio");
    certificate::issue(&folder);
    let (ports, door) = (Ports::free(), Door::free());
    let proxy = Kamailio::start(&folder, &ports, &[door]).await;
    let authority = format!("ca_file = {:?}", folder.join("ca.pem"));
    let over =
        [calls_over("udp", ports.udp, ""), calls_over("tcp", ports.tcp, ""), calls_over("tls", door.port, &authority)];
    let table = over.concat();
    let cases: Vec<Case> = table.iter().map(|(case, _)| *case).collect();
    let exchange = Exchange::open("proxy", &cases).await;
    for (case, expected) in &table {
        let ended = exchange.ended(case.name).await;
        assert_tells(ended[0].data(), case.name, expected);
        let (transport, _) = case.name.split_once('-').unwrap();
        let relayed = format!("RELAYED {transport}");
        let expected = [vec![relayed.as_str()], expected_notes(case)].concat();
        assert_eq!(proxy.noted(ended[0].text("callId")), expected, "what Kamailio saw of {}", case.name);
        assert_eq!(exchange.routes_of(&format!("{}-carrier", case.name)), 2, "{}: Record-Routes", case.name);
    }
    exchange.close().await;
}
