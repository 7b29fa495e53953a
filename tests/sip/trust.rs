//! Trunks over TLS: a carrier that wants a certificate of ours, and servers that are not who they should be. Nobody is called
//! through those that one of both sides does not trust, and the log says why.

use std::path::Path;

use serde_json::json;

use crate::cases::{answered, assert_tells, case};
use crate::exchange::{Case, Exchange, Other, secure_sip_settings};
use crate::harness::patience::{SOON, until};
use crate::harness::site::folder;
use crate::kamailio::{Door, Kamailio, Ports};
use crate::sipp::play;
use crate::{certificate, ports};

const ALARM: &str = "ALARM: no connection to a server of the trunk";

/// A case behind this door, with more settings of the trunk.
fn behind(door: Door, more: &str, case: Case) -> Case {
    let phone = ports::free();
    let trunk = format!("transport = \"tls\"\nusername = \"phone-{phone}\"\npassword = \"s3cret\"\n{more}");
    let trunk = Box::leak(trunk.into_boxed_str());
    Case { trunk, host: "localhost", trunk_port: door.port, carrier_port: phone, ..case }
}

fn trusted_at(folder: &Path, door: Door, name: &'static str, more: &str) -> Case {
    let authority = format!("ca_file = {:?}\n{more}", folder.join("ca.pem"));
    behind(door, &authority, answered(name, play("answers_and_hangs_up"), play("agent")))
}

fn refused_at(folder: &Path, door: Door, name: &'static str, more: &str) -> Case {
    let authority = format!("ca_file = {:?}\n{more}", folder.join("ca.pem"));
    behind(door, &authority, Case { carrier: Other::Absent, ..case(name, play("answers")) })
}

/// The settings of a trunk that shows the certificate of this name.
fn showing(folder: &Path, name: &str) -> String {
    let file = |ending: &str| folder.join(format!("{name}.{ending}"));
    format!("certificate_file = {:?}\nkey_file = {:?}\n", file("pem"), file("key"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_over_tls_gets_calls_only_where_both_sides_trust_each_other() {
    let folder = &folder("trust-kamailio");
    certificate::issue(folder);
    certificate::authority(folder, "stranger");
    certificate::sign(folder, "ca", ("ours", "calltaskd.test"));
    certificate::sign(folder, "ca", ("other", "other.test"));
    certificate::sign(folder, "stranger", ("forged", "localhost"));
    // A server's word about our certificate comes within the handshake, or after it.
    let strict = Door { wants_certificate: true, ..Door::free() };
    let old = Door { versions: "TLSv1.2", port: ports::free(), ..strict };
    let other = Door { certificate: "other", ..Door::free() };
    let forged = Door { certificate: "forged", ..Door::free() };
    let kamailio = Kamailio::start(folder, &Ports::free(), &[strict, old, other, forged]).await;
    let trusted = [("shown", strict), ("shown-early", old)];
    let (unshown, unaccepted) =
        ("it wants a certificate, and the trunk has none to show", "it does not accept the trunk's");
    let refused = [
        ("unshown", strict, "", unshown),
        ("unshown-early", old, "", "HandshakeFailure"),
        ("unaccepted", strict, "forged", unaccepted),
        ("other-name", other, "", "certificate not valid for name \"localhost\""),
        ("other-authority", forged, "", "UnknownIssuer"),
    ];
    let show = |name: &str| if name.is_empty() { String::new() } else { showing(folder, name) };
    let trusted_cases = trusted.map(|(name, door)| trusted_at(folder, door, name, &show("ours")));
    let refused_cases = refused.map(|(name, door, own, _)| refused_at(folder, door, name, &show(own)));
    let cases = [trusted_cases.as_slice(), refused_cases.as_slice()].concat();
    let exchange = Exchange::open_at("trust", &cases, secure_sip_settings(folder, "ours")).await;
    for (name, ..) in trusted {
        let talked = json!({"result": "ANSWERED", "hangupBy": "CALLEE"});
        assert_tells(exchange.ended(name).await[0].data(), name, &talked);
    }
    for (name, _, _, cause) in refused {
        let alarm = until(&format!("an alarm about {name}"), SOON, || {
            let alarms = exchange.site.daemon.all_logged(ALARM);
            alarms.into_iter().find(|line| line["trunk"] == name)
        })
        .await;
        let said = alarm["error"].as_str().unwrap();
        assert!(said.contains(cause), "{name}: {said}");
    }
    assert_eq!(kamailio.calls(), trusted.len(), "nobody else was called");
    let connected = exchange.site.daemon.all_logged("connected to the trunk's server");
    assert!(connected.iter().all(|line| line["trunk"].as_str().unwrap().starts_with("shown")), "{connected:?}");
    let events = exchange.site.ledger.events();
    assert_eq!(events.iter().filter(|event| event.kind() == "call.ended").count(), trusted.len());
    exchange.abandon().await;
}
