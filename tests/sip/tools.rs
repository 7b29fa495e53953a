//! The real SIP programs that play the daemon's peers: each is installed when it is missing. Where that cannot be done,
//! the test fails and says what is missing: a peer that is left out shows nothing.

use std::path::Path;
use std::process::Command;

/// The path of a program of `scripts/sip-tools.sh`.
pub fn path(name: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/sip-tools.sh");
    let output = Command::new(script).arg(name).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "there is no {name}, and it cannot be installed: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
