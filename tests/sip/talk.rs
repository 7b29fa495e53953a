//! Callee and agent hear each other: both are real phones with audio, and each records what the other plays. Whichever
//! way the daemon offers the callee media.

use serde_json::json;

use crate::baresip::{AMPLITUDE, Account, Namespace, Phone, program};
use crate::cases::assert_tells;
use crate::exchange::{agent_record, row};
use crate::harness::orders;
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::{Site, folder};
use crate::ports;
use crate::tone::{self, SAMPLES_PER_SECOND};

const OFFERS: [&str; 2] = ["placeholder", "late"];
const CALLEE_HERTZ: f64 = 440.0;
const AGENT_HERTZ: f64 = 880.0;
const CALLEE_PORT: u16 = 5_070;
const AGENT_PORT: u16 = 5_080;

/// The phones, which take the next port for TLS as well, of the case of this number: a callee and an agent.
async fn phones(namespace: &Namespace, program: &str, index: usize) -> [Phone; 2] {
    let folder = folder(&format!("talk-peers-{}", OFFERS[index]));
    let shift = u16::try_from(index).unwrap();
    let number = orders::number(index);
    let callee =
        Account { user: &number, port: CALLEE_PORT + 2 * shift, audio: 20_000 + 200 * shift, hertz: CALLEE_HERTZ };
    let agent =
        Account { user: "voice", port: AGENT_PORT + 2 * shift, audio: 21_000 + 200 * shift, hertz: AGENT_HERTZ };
    [
        Phone::start(program, &folder.join("callee"), namespace, callee).await,
        Phone::start(program, &folder.join("agent"), namespace, agent).await,
    ]
}

fn settings(namespace: &Namespace) -> String {
    let Namespace { here, there, .. } = namespace;
    let trunk = |(offer, port): (&str, u16)| {
        format!(
            "[trunks.{offer}]\nkind = \"sip\"\naddress = \"{there}:{port}\"\noptions_seconds = 0\noffer = \"{offer}\"\n"
        )
    };
    let trunks: String = OFFERS.into_iter().zip((CALLEE_PORT..).step_by(2)).map(trunk).collect();
    format!("[sip]\nbind = \"udp:{here}:{}\"\n{trunks}", ports::free())
}

/// Begins the call of the case of this number and gives its task.
async fn begin(site: &Site, namespace: &Namespace, index: usize) -> String {
    let (name, port) = (OFFERS[index], AGENT_PORT + 2 * u16::try_from(index).unwrap());
    let uri = format!("sip:voice@{}:{port}", namespace.there);
    site.upstream.accept("agent.put", &orders::with(agent_record(name, port), "sipUri", uri.into())).await;
    let line = orders::with(orders::line(name, 1, 10), "trunk", name.into());
    site.upstream.accept("service-instance.put", &line).await;
    let task = orders::with(orders::task(name, 1), "agentId", name.into());
    let task = orders::with(task, "serviceInstanceId", name.into());
    // The shortest that there is.
    let task = site.create_as(&orders::with(task, "maxTalkSeconds", 10.into())).await;
    site.import(&task, &[row(index)]).await;
    task
}

/// The last seconds of the call are those that all re-INVITEs lie before.
async fn assert_hears(phone: &Phone, who: &str, other: f64, own: f64) {
    let second = SAMPLES_PER_SECOND as usize;
    let heard = phone.heard(6 * second).await;
    let late = &heard[heard.len() - 4 * second..heard.len() - second];
    let (other, own) = (tone::amplitude(late, other), tone::amplitude(late, own));
    println!("{who}: {} samples, the other's tone at {other:.0}, its own at {own:.0}", heard.len());
    assert!(other >= AMPLITUDE / 2.0, "{who} hears the other at {other}");
    assert!(own < AMPLITUDE / 10.0, "{who} hears itself at {own}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callee_and_agent_hear_each_other() {
    let program = program();
    let Some(namespace) = Namespace::open() else { return };
    let pairs = [phones(&namespace, &program, 0).await, phones(&namespace, &program, 1).await];
    let plan = Plan { more: settings(&namespace), grace_seconds: 1, ..Plan::default() };
    let mut site = Site::start("talk", &plan).await;
    let tasks = [begin(&site, &namespace, 0).await, begin(&site, &namespace, 1).await];
    for ((offer, task), [callee, agent]) in OFFERS.into_iter().zip(&tasks).zip(&pairs) {
        let ended = until(&format!("the call of {offer} to end"), SOON, || {
            site.ledger.about("call.ended", task).into_iter().next()
        })
        .await;
        assert_tells(ended.data(), offer, &json!({"result": "ANSWERED", "hangupBy": "SYSTEM", "counted": true}));
        assert_hears(callee, &format!("the callee of {offer}"), AGENT_HERTZ, CALLEE_HERTZ).await;
        assert_hears(agent, &format!("the agent of {offer}"), CALLEE_HERTZ, AGENT_HERTZ).await;
    }
    site.daemon.stop(SOON).await;
    // After the phones, which hold it.
    drop(pairs);
    drop(namespace);
}
