//! Two real phones that talk: what matters in the end is that each hears the other. The daemon touches no audio, so this
//! is a test of what it tells each side about the other.

use serde_json::json;

use crate::cases::assert_tells;
use crate::harness::orders;
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::{Site, folder};
use crate::namespace::Namespace;
use crate::phone::{Owner, Phone};
use crate::tone;

const CALLEE_HERTZ: f64 = 440.0;
const AGENT_HERTZ: f64 = 880.0;

/// An echo of one's own tone, or somebody else's.
const FAINT: f64 = tone::AMPLITUDE / 20.0;

/// Two seconds of audio, in packets of 20 ms.
const PACKETS: u32 = 100;

/// And after each resumption, two more.
const RESUMED: u32 = 100;

/// A daemon at one end of the network, two phones at the other, and the task of calling one of them.
struct Talk {
    callee: Phone,
    agent: Phone,
    site: Site,
    task: String,
    /// Dropped last: the phones are in it.
    _network: Namespace,
}

impl Talk {
    /// `None` where there can be no such network.
    async fn begin(name: &str, offer: &str) -> Option<Self> {
        let network = Namespace::open()?;
        let folder = folder(&format!("{name}-phones"));
        let number = orders::number(0);
        let callee = Owner { name: "callee", user: &number, port: 5_070, hertz: CALLEE_HERTZ };
        let agent = Owner { name: "agent", user: "voice", port: 5_080, hertz: AGENT_HERTZ };
        let callee = Phone::start(&network, &folder, callee).await;
        let agent = Phone::start(&network, &folder, agent).await;
        let (here, there) = (&network.near_address, &network.far_address);
        let more = format!(
            "[sip]\nbind = \"udp:{here}:5060\"\n\
             [trunks.carrier]\nkind = \"sip\"\naddress = \"{there}:5070\"\noffer = \"{offer}\"\noptions_seconds = 0\n"
        );
        let site = Site::start(name, &Plan { more, grace_seconds: 1, ..Plan::default() }).await;
        let voice = orders::with(orders::agent(orders::AGENT), "sipUri", format!("sip:voice@{there}:5080").into());
        site.upstream.accept("agent.put", &voice).await;
        let line = orders::with(orders::line(orders::LINE, 1, 1), "trunk", "carrier".into());
        site.upstream.accept("service-instance.put", &line).await;
        let task = site.create(name, 1).await;
        site.import(&task, &[orders::row(0)]).await;
        Some(Self { callee, agent, site, task, _network: network })
    }

    async fn hear_each_other(&self) {
        self.callee.hears(AGENT_HERTZ).await;
        self.agent.hears(CALLEE_HERTZ).await;
    }

    /// One side puts the other on hold, and comes back. baresip does not record any more then, so packets are counted.
    async fn hold(&self, holder: &Phone) {
        holder.press("hold").await;
        holder.is_silent().await;
        holder.press("resume").await;
        holder.carries(2 * u64::from(RESUMED)).await;
    }

    /// The callee hangs up; each side must have had so many packets of the other's, and nobody heard itself.
    async fn end(mut self, least: u32) {
        self.callee.hang_up();
        let ended = until("the call's end", SOON, || {
            let ended = self.site.ledger.about("call.ended", &self.task);
            ended.first().cloned()
        })
        .await;
        assert_tells(ended.data(), "the call", &json!({"result": "ANSWERED", "hangupBy": "CALLEE", "counted": true}));
        for (phone, own) in [(&self.callee, CALLEE_HERTZ), (&self.agent, AGENT_HERTZ)] {
            let packets = phone.finish().await;
            assert!(packets.sent >= least && packets.received >= least, "{packets:?}");
            let echo = tone::amplitude(&phone.heard(), own);
            println!("{own} Hz: {packets:?}, an echo of {echo:.1}");
            assert!(echo < FAINT, "who plays {own} Hz hears it at {echo}");
        }
        self.site.daemon.stop(SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phones_hear_each_other_after_a_placeholder() {
    let Some(talk) = Talk::begin("audio-placeholder", "placeholder").await else { return };
    talk.hear_each_other().await;
    talk.end(PACKETS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phones_hear_each_other_after_a_late_offer() {
    let Some(talk) = Talk::begin("audio-late", "late").await else { return };
    talk.hear_each_other().await;
    talk.end(PACKETS).await;
}

/// Each hold is a new offer that has to reach the other side, and its answer has to come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_stops_the_audio_until_it_ends() {
    let Some(talk) = Talk::begin("audio-hold", "placeholder").await else { return };
    talk.hear_each_other().await;
    talk.hold(&talk.callee).await;
    talk.hold(&talk.agent).await;
    // When one direction alone went on, the other one's packets are missing.
    talk.end(PACKETS + 2 * RESUMED * 3 / 4).await;
}
