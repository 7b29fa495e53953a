//! Exports from outside: where their files go, what they hash to, and the Python that looks at them.

use std::fs::File;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sha2::{Digest, Sha256};

use super::patience::{SOON, until};

/// The section of the settings.
pub fn exports_section(folder: &Path) -> String {
    format!("[exports]\nfolder = {folder:?}")
}

/// In hexadecimal; the file may be larger than what fits into memory.
pub fn sha256_of(file: &Path) -> String {
    let (mut file, mut part, mut sha256) = (File::open(file).unwrap(), vec![0; 1 << 16], Sha256::new());
    loop {
        match file.read(&mut part).unwrap() {
            0 => return sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            read => sha256.update(&part[..read]),
        }
    }
}

/// The Python that has openpyxl and moto; installed when it is not there.
pub fn python() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/python-tools.sh");
    let output = Command::new(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A store that speaks S3, on a port of its own; ended with the test.
pub struct S3 {
    child: Child,
    endpoint: String,
}

impl S3 {
    pub const BUCKET: &str = "exports";

    /// Starts it, and makes the bucket.
    pub async fn start(folder: &Path) -> Self {
        let python = python();
        // Free now; nobody else asks for ports from outside the system's range.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = File::create(folder.join("moto.log")).unwrap();
        let child = Command::new(&python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let s3 = Self { child, endpoint: format!("http://127.0.0.1:{port}") };
        until("the store", SOON, || TcpStream::connect(("127.0.0.1", port)).ok()).await;
        let make = format!(
            "import boto3; boto3.client('s3', endpoint_url='{}', region_name='us-east-1', aws_access_key_id='a', \
             aws_secret_access_key='b').create_bucket(Bucket='{}')",
            s3.endpoint,
            Self::BUCKET
        );
        assert!(Command::new(&python).args(["-c", &make]).status().unwrap().success());
        s3
    }

    /// The section of the settings.
    pub fn section(&self, folder: &Path) -> String {
        format!("[exports]\nfolder = {folder:?}\n{}", self.keys())
    }

    /// What a section that keeps files needs to keep them here.
    pub fn keys(&self) -> String {
        let Self { endpoint, .. } = self;
        let keys = "access_key_id = \"a\"\nsecret_access_key = \"b\"";
        format!("url = \"s3://{}/some/where\"\nendpoint = {endpoint:?}\n{keys}", Self::BUCKET)
    }

    /// The keys of what is in the bucket.
    pub fn objects(&self) -> Vec<String> {
        let list = format!(
            "import boto3; [print(o['Key']) for o in boto3.client('s3', endpoint_url='{}', region_name='us-east-1', \
             aws_access_key_id='a', aws_secret_access_key='b').list_objects_v2(Bucket='{}').get('Contents', [])]",
            self.endpoint,
            Self::BUCKET
        );
        let output = Command::new(python()).args(["-c", &list]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
