//! An INVITE that is too long for a datagram: it goes over TCP where the agent takes connections, and as a datagram where it
//! does not.

use serde_json::json;

use crate::cases::{answered, assert_tells};
use crate::exchange::{Case, Exchange};
use crate::sipp::play;

const TOLD: &str = "a long message is sent as a datagram, which may get lost";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_told_much_is_called_over_tcp_if_it_can_be() {
    let long = |name, agent| Case { variable_length: 1_000, ..answered(name, play("answers_and_hangs_up"), agent) };
    // One of them has a socket for connections only, the other one for datagrams only.
    let cases = [long("long-tcp", play("agent").over_tcp()), long("long-udp", play("agent"))];
    let exchange = Exchange::open("length", &cases).await;
    for case in cases {
        let talked = json!({"result": "ANSWERED", "hangupBy": "CALLEE"});
        assert_tells(exchange.ended(case.name).await[0].data(), case.name, &talked);
    }
    let told = exchange.site.daemon.all_logged(TOLD);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0]["length"].as_u64().unwrap() > 1_300, "{told:?}");
    exchange.close().await;
}
