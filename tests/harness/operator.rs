//! What an operator asks a daemon's endpoint: its metrics and its health.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::daemon::Daemon;
use super::patience::{SOON, until};

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Where a daemon's endpoint is.
#[derive(Debug, Clone, Copy)]
pub struct Operator(SocketAddr);

impl Operator {
    pub fn at(address: SocketAddr) -> Self {
        Self(address)
    }

    /// The endpoint that a daemon says it has opened.
    pub async fn of(daemon: &Daemon) -> Self {
        let opened = until("the operator's endpoint", SOON, || daemon.logged("the operator's endpoint is open")).await;
        Self(opened["address"].as_str().unwrap().parse().unwrap())
    }

    /// `None`: nobody answers.
    pub fn ask(self, path: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.0, Duration::from_secs(5)).ok()?;
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.0).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, body: body.to_owned() })
    }

    /// All metrics at this moment.
    pub fn scrape(self) -> Scrape {
        let answer = self.ask("/metrics").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        Scrape(answer.body)
    }
}

/// What `/metrics` said.
#[derive(Debug)]
pub struct Scrape(String);

impl Scrape {
    /// The sum over all lines of a metric that have each of these labels.
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let lines = self.0.lines().filter(|line| {
            let rest = line.strip_prefix(metric);
            rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && labels.iter().all(|label| line.contains(label))
        });
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}
