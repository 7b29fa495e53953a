//! Exports from outside: where their files go, what they hash to, and the Python that looks at them.

use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

/// The section of the settings.
pub fn exports_section(folder: &Path) -> String {
    format!("[exports]\nfolder = {folder:?}")
}

/// In hexadecimal.
pub fn sha256_of(file: &Path) -> String {
    Sha256::digest(fs::read(file).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The Python that has openpyxl and moto; installed when it is not there.
pub fn python() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/python-tools.sh");
    let output = Command::new(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
