//! Puts the run's database on a disk of its own, which can be filled up: the log of Postgres and everybody else's data stay where they are.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Stdio};

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};

use super::faults::Fault;
use super::harness::servers::Place;

/// Moves the database, which must be empty still, if a full disk is among the faults. Where no disk can be mounted, that fault is taken
/// from them, and the run says so.
pub async fn give_a_small_one(servers: &Place, services: &OsStr, faults: &mut Vec<Fault>) {
    if !faults.contains(&Fault::DiskFull) {
        return;
    }
    let mut command = Command::new(services);
    let mounted = command.arg("small-disk").stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    if !mounted.success() {
        let line = "chaos: DISK_FULL is skipped, no disk can be mounted here\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        faults.retain(|fault| *fault != Fault::DiskFull);
        return;
    }
    let (server, database) = servers.database_url.rsplit_once('/').unwrap();
    let mut connection = AsyncPgConnection::establish(&format!("{server}/postgres")).await.unwrap();
    let moved = format!("ALTER DATABASE {database} SET TABLESPACE small_disk");
    connection.batch_execute(&moved).await.unwrap();
}
