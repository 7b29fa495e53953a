//! Certificates for peers over TLS, made by openssl.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Leaves an authority's own `ca.pem` in the folder, and `server.pem` and `server.key` of a certificate for `localhost` that it
/// signed.
pub fn issue(folder: &Path) {
    authority(folder, "ca");
    sign(folder, "ca", ("server", "localhost"));
}

/// Leaves an authority's certificate and key in the folder, under this name.
pub fn authority(folder: &Path, name: &str) {
    let files = format!("-keyout {name}.key -out {name}.pem");
    run(folder, &format!("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority-{name} {files}"));
}

/// Leaves a certificate and its key in the folder, under the first name: it is for the host of the second one, and this
/// authority has signed it.
pub fn sign(folder: &Path, authority: &str, (name, host): (&str, &str)) {
    run(folder, &format!("req -newkey rsa:2048 -nodes -subj /CN={host} -keyout {name}.key -out {name}.csr"));
    fs::write(folder.join("names"), format!("subjectAltName=DNS:{host}\nbasicConstraints=CA:FALSE\n")).unwrap();
    let by = format!("-CA {authority}.pem -CAkey {authority}.key -CAcreateserial -extfile names");
    run(folder, &format!("x509 -req -in {name}.csr {by} -days 2 -out {name}.pem"));
}

fn run(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {output:?}");
}
