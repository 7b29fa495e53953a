//! What the section `sip` and a SIP trunk's table may say, and every mistake that is found in them.

use secrecy::ExposeSecret;

use super::tests::{found, loaded, problems};
use super::*;
use crate::domain::call::{CallResult, Scope};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::problem::Code;

fn sip(text: &str) -> SipTrunk {
    let settings = loaded(&format!("[trunks.c]\nkind = \"sip\"\n{text}"), &[])
        .unwrap_or_else(|found| panic!("{}", render(&found)));
    let Trunk::Sip(trunk) = &settings.trunks[&TrunkName::new("c")] else { panic!() };
    trunk.clone()
}

/// The problems of a trunk `c`, without its path.
fn wrong(text: &str) -> Vec<(String, Code)> {
    let found = found(&format!("[trunks.c]\nkind = \"sip\"\n{text}"), &[]).into_iter();
    found.map(|(key, code)| (key.replacen("trunks.c.", "", 1), code)).collect()
}

#[test]
fn a_trunk_needs_only_its_place() {
    let trunk = sip("address = \"192.0.2.1\"");
    let server = |host: &str, port| HostPort { host: host.to_owned(), port };
    assert_eq!(trunk.place, TrunkPlace::Servers(vec![server("192.0.2.1", None)]));
    assert_eq!(
        (trunk.transport, trunk.offer, trunk.identity),
        (Transport::Udp, OfferStrategy::Placeholder, Identity::From)
    );
    assert_eq!((trunk.options.unwrap().as_secs(), trunk.agent_timeout.as_secs()), (30, 8));
    assert_eq!(trunk.codecs, [Codec::Pcma, Codec::Pcmu]);
    assert!(trunk.credentials.is_none() && trunk.overrides.is_empty() && trunk.ca.is_none());

    let several = sip(
        "address = [\"a.example:5080\", \"[2001:db8::1]:5070\", \"2001:db8::2\"]\ntransport = \"TLS\"\nmax_cps = 5",
    );
    let servers = [server("a.example", Some(5_080)), server("2001:db8::1", Some(5_070)), server("2001:db8::2", None)];
    assert_eq!(several.place, TrunkPlace::Servers(servers.to_vec()));
    assert_eq!(servers.map(|server| server.to_string()), ["a.example:5080", "[2001:db8::1]:5070", "[2001:db8::2]"]);
    assert_eq!((several.transport.default_port(), several.capacity.max_cps), (5_061, Some(5)));
    assert_eq!(sip("domain = \"sip.example.com\"\noptions_seconds = 0").options, None);
}

#[test]
fn who_we_are_and_how_numbers_are_written() {
    let trunk = sip(
        "address = \"h.example\"\nusername = \"u\"\npassword_file = \"DIRECTORY/secret\"\nidentity = \"P-Asserted-Identity\"\n\
         from_domain = \"me.example\"\nstrip_plus = true\ndial_prefix = \"9#00\"\noffer = \"agent-first\"\ncodecs = [\"OPUS\"]",
    );
    let credentials = trunk.credentials.unwrap();
    assert_eq!(
        (credentials.username.as_str(), credentials.password.expose_secret()),
        ("u", "amqp://secret:word@bus:5672/%2f")
    );
    assert_eq!((trunk.identity, trunk.offer), (Identity::PAssertedIdentity, OfferStrategy::AgentFirst));
    let number = PhoneNumber::from_stored("+49301234567".into());
    assert_eq!(trunk.numbers.called(&number), "9%230049301234567");
    assert_eq!(trunk.numbers.caller(&number), "49301234567");
    assert_eq!(NumberFormat::default().called(&number), "+49301234567");
}

#[test]
fn every_mistake_in_a_trunk_is_found() {
    let text = r#"
        address = ["not a host", "192.0.2.1:0", "300.1.1.1"]
        domain = "sip.example.com"
        transport = "sctp"
        username = "u"
        offer = "never"
        codecs = ["PCMA", "pcma"]
        identity = "me"
        from_domain = "h:5060"
        dial_prefix = "00 "
        options_seconds = -1
        agent_timeout_seconds = 60
        ca_file = "/nonexistent/ca.pem"
        certificate_file = "DIRECTORY/secret"
        colour = "red"
    "#;
    let mut keys = wrong(text);
    keys.sort();
    let expected = [
        ("address", Code::InvalidValue),
        ("address[0]", Code::InvalidValue),
        ("address[1]", Code::InvalidValue),
        ("address[2]", Code::InvalidValue),
        ("agent_timeout_seconds", Code::OutOfRange),
        ("ca_file", Code::InvalidValue),
        ("ca_file", Code::Unreadable),
        ("certificate_file", Code::InvalidValue),
        ("certificate_file", Code::InvalidValue),
        ("codecs", Code::InvalidValue),
        ("colour", Code::UnknownField),
        ("dial_prefix", Code::InvalidValue),
        ("from_domain", Code::InvalidValue),
        ("identity", Code::InvalidValue),
        ("key_file", Code::Required),
        ("offer", Code::InvalidValue),
        ("options_seconds", Code::OutOfRange),
        ("transport", Code::InvalidValue),
        ("username", Code::Required),
    ];
    let mut expected = expected.map(|(key, code)| (key.to_owned(), code));
    expected.sort();
    assert_eq!(keys, expected);
    assert_eq!(wrong(""), [("address".to_owned(), Code::Required)]);
    assert_eq!(wrong("address = \"h\"\npassword = \"hunter2\""), [("username".to_owned(), Code::Required)]);
    let password = render(&loaded("[trunks.c]\nkind = \"sip\"\npassword = \"hunter2\\n\"", &[]).unwrap_err());
    assert!(!password.contains("hunter2"), "{password}");
}

#[test]
fn a_rule_of_a_trunk_is_read_with_its_defaults() {
    let rules = r#"address = "h"
        overrides = [
            { status = 403, text = "D11", result = "invalid_number" },
            { name = "full", status = ["5xx", "480", "600-603"], q850 = [17, 34], rang = false, result = "NETWORK_BUSY", slow_down = true },
            { text = ["spam", "scam"], result = "OPERATOR_BLOCK" },
            { status = "40x", result = "OTHERS", scope = "CALLEE", counted = true },
        ]"#;
    let rules = sip(rules).overrides;
    let [first, full, spam, others] = rules.try_into().unwrap();
    assert_eq!((first.name.as_str(), first.status.as_slice()), ("1", [403..=403].as_slice()));
    assert_eq!((first.result, first.scope, first.counted), (CallResult::InvalidNumber, Scope::Callee, true));
    assert_eq!((full.name.as_str(), full.status), ("full", vec![500..=599, 480..=480, 600..=603]));
    assert_eq!((full.scope, full.counted, full.slow_down, full.rang), (Scope::Trunk, false, true, Some(false)));
    assert_eq!((spam.scope, spam.counted, spam.text.len()), (Scope::CallerNumber, true, 2));
    assert_eq!((others.scope, others.counted, others.status), (Scope::Callee, true, vec![400..=409]));
}

#[test]
fn a_rule_that_contradicts_itself_is_refused() {
    let rule = |text: &str| wrong(&format!("address = \"h\"\noverrides = [{{ {text} }}]"));
    let at = |key: &str, code| vec![(format!("overrides[0]{key}"), code)];
    assert_eq!(rule("result = \"USER_BUSY\""), at("", Code::Required));
    assert_eq!(rule("status = 486"), at(".result", Code::Required));
    for status in ["200", "\"2xx\"", "\"xxx\"", "700", "\"504-500\"", "\"5x3\"", "\"\"", "true"] {
        let found = rule(&format!("status = {status}, result = \"USER_BUSY\""));
        assert!(found[0].0 == "overrides[0].status", "{status}: {found:?}");
    }
    for result in ["ANSWERED", "UNKNOWN_OUTCOME", "CANCEL", "AGENT_FAILED", "BUSY"] {
        let found = rule(&format!("status = 486, result = \"{result}\""));
        assert_eq!(found, at(".result", Code::InvalidValue), "{result}");
    }
    assert_eq!(rule("status = 486, result = \"USER_BUSY\", counted = false"), at(".counted", Code::InvalidValue));
    assert_eq!(rule("status = 486, result = \"OTHERS\", counted = true"), at(".counted", Code::InvalidValue));
    assert_eq!(rule("status = 486, result = \"USER_BUSY\", scope = \"TRUNK\""), at(".scope", Code::InvalidValue));
    assert_eq!(rule("status = 486, result = \"OTHERS\", scope = \"LOCAL\""), at(".scope", Code::InvalidValue));
    let twice = "address = \"h\"\noverrides = [{ name = \"2\", rang = true, result = \"OTHERS\" }, { rang = false, result = \"OTHERS\" }]";
    assert_eq!(wrong(twice), [("overrides[1].name".to_owned(), Code::InvalidValue)]);
}

#[test]
fn where_sip_is_spoken() {
    let binds = |text: &str| loaded(text, &[]).map(|settings| settings.sip.bind);
    let default = binds("").unwrap();
    assert_eq!((default[0].transport, default[0].address.to_string()), (Transport::Udp, "0.0.0.0:5060".to_owned()));
    let two = loaded("", &[("CALLTASKD__SIP__BIND", "udp:127.0.0.1:5060, tcp:[::1]:5070")]).unwrap().sip.bind;
    assert_eq!((two[1].transport, two[1].address.to_string()), (Transport::Tcp, "[::1]:5070".to_owned()));
    assert_eq!(binds("[sip]\nbind = [\"tcp:127.0.0.1:0\", \"tcp:127.0.0.1:0\"]").unwrap().len(), 2);
    for wrong in [
        "[]",
        "\"\"",
        "\"udp:5060\"",
        "\"sctp:0.0.0.0:1\"",
        "\"udp:h.example:1\"",
        "[\"udp:0.0.0.0:1\", \"udp:0.0.0.0:1\"]",
    ] {
        assert!(binds(&format!("[sip]\nbind = {wrong}")).is_err(), "{wrong}");
    }
    let public = loaded("[sip]\npublic_address = \"sip.example.com:5080\"", &[]).unwrap().sip.public_address.unwrap();
    assert_eq!((public.host.as_str(), public.port), ("sip.example.com", Some(5_080)));
    let found = problems("[sip]\nbind = \"tls:0.0.0.0:5061\"\npublic_address = \"sip:me\"", &[]);
    let keys: Vec<_> = found.iter().map(|problem| (problem.field.as_str(), problem.code)).collect();
    assert_eq!(keys, [("sip.public_address", Code::InvalidValue), ("sip.certificate_file", Code::Required)]);
}
