//! Files that others have: read from a URL or from below a folder, into a file of ours, chunk by chunk.
//!
//! Whoever names them may be mistaken or worse, so a URL leads to allowed hosts only, also by its redirects, a path leads
//! nowhere out of its folder, also by its links, and nothing is larger than allowed. No message holds a URL: it may be
//! a secret.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Url, header};
use rustix::fs::OFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{CHUNK, Content, Measure};
use crate::domain::recording::HostRule;

const MOST_REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);
/// A sender that says nothing for so long has died.
const SILENCE: Duration = Duration::from_secs(60);

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("the URL cannot be read: {0}")]
    Url(String),
    #[error("the host {0} is not among recordings.hosts")]
    Host(String),
    #[error("it has more than {0} bytes (recordings.max_mebibytes)")]
    TooLarge(u64),
    #[error("it is empty")]
    Empty,
    #[error("the server answered {0}")]
    Status(u16),
    #[error("the server failed: {}", with_causes(.0))]
    Web(#[source] reqwest::Error),
    #[error("the path leads out of recordings.root")]
    Outside,
    #[error("paths need the setting recordings.root")]
    NoRoot,
    #[error("recordings.root cannot be read: {0}")]
    Root(#[source] io::Error),
    #[error("it is no file")]
    NoFile,
    #[error("it was written to while it was read")]
    Changed,
    #[error("it cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("it took longer than {0:?} (recordings.timeout_seconds)")]
    TooSlow(Duration),
    /// Not the source's fault.
    #[error("the copy cannot be written: {0}")]
    Copy(#[source] io::Error),
}

impl SourceError {
    /// Whether it is the operator's to mend; everything else is the choice of whoever named the source.
    pub fn is_operators(&self) -> bool {
        use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
        match self {
            Self::NoRoot | Self::Root(_) | Self::Copy(_) => true,
            Self::Unreadable(error) => {
                !matches!(error.kind(), NotFound | NotADirectory | InvalidFilename | InvalidInput)
            }
            _ => false,
        }
    }

    /// Whether another try would end the same.
    pub fn is_final(&self) -> bool {
        use SourceError::{Host, NoFile, NoRoot, Outside, TooLarge, Url};
        matches!(self, Url(_) | Host(_) | TooLarge(_) | Outside | NoRoot | NoFile)
    }
}

impl From<reqwest::Error> for SourceError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            if let Some(Self::Host(host)) = inner.downcast_ref() {
                return Self::Host(host.clone());
            }
            cause = inner.source();
        }
        Self::Web(error)
    }
}

/// The client's errors say what failed, and leave why to their causes.
fn with_causes(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}

/// What was read, and of what media type it was said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub content: Content,
    pub media_type: Option<String>,
}

/// Reads from URLs.
#[derive(Debug, Clone)]
pub struct Web {
    client: Client,
    hosts: Option<Vec<HostRule>>,
}

impl Web {
    /// From these hosts; with `None` from all.
    pub fn new(hosts: Option<Vec<HostRule>>) -> Result<Self, SourceError> {
        super::one_tls_provider();
        let rules = hosts.clone();
        let follow = move |attempt: Attempt<'_>| match judge(attempt.url(), rules.as_deref()) {
            _ if attempt.previous().len() > MOST_REDIRECTS => attempt.error("there are too many redirects"),
            Ok(()) => attempt.follow(),
            Err(error) => attempt.error(error),
        };
        let client = Client::builder()
            .user_agent(concat!("calltaskd/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::custom(follow))
            .referer(false)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build()?;
        Ok(Self { client, hosts })
    }

    /// Reads what is at a URL.
    pub async fn read(&self, url: &str, copy: &mut Copy<'_>) -> Result<Fetched, SourceError> {
        let url = Url::parse(url).map_err(|error| SourceError::Url(error.to_string()))?;
        judge(&url, self.hosts.as_deref())?;
        let mut answer = self.client.get(url).send().await?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(SourceError::Status(answer.status().as_u16()));
        }
        copy.expect(answer.content_length())?;
        let media_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.map(str::to_owned);
        while let Some(chunk) = answer.chunk().await? {
            copy.take(&chunk).await?;
        }
        Ok(Fetched { content: copy.finish().await?, media_type })
    }
}

fn judge(url: &Url, hosts: Option<&[HostRule]>) -> Result<(), SourceError> {
    let default = match url.scheme() {
        "http" => 80,
        "https" => 443,
        other => return Err(SourceError::Url(format!("its scheme is {other}; only http and https are fetched"))),
    };
    let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or(default));
    match hosts {
        Some(hosts) if !hosts.iter().any(|rule| rule.allows(host, (port, port == default))) => {
            Err(SourceError::Host(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))))
        }
        _ => Ok(()),
    }
}

/// Reads a file of this machine; with a root only from below it.
pub async fn read_file(path: &Path, root: Option<&Path>, copy: &mut Copy<'_>) -> Result<Fetched, SourceError> {
    let (path, root) = (path.to_owned(), root.map(Path::to_owned));
    let opened = tokio::task::spawn_blocking(move || open(&path, root.as_deref())).await;
    let (file, before) = opened.map_err(|error| SourceError::Unreadable(error.into()))??;
    copy.expect(Some(before))?;
    let mut file = tokio::fs::File::from_std(file);
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk).await.map_err(SourceError::Unreadable)? {
            0 => break,
            read => copy.take(&chunk[..read]).await?,
        }
    }
    let content = copy.finish().await?;
    let after = file.metadata().await.map_err(SourceError::Unreadable)?.len();
    if content.bytes != before || after != before {
        return Err(SourceError::Changed);
    }
    Ok(Fetched { content, media_type: None })
}

/// Opens a regular file, and gives its length. What was opened is looked at, and not only what the path was a moment ago.
fn open(path: &Path, root: Option<&Path>) -> Result<(File, u64), SourceError> {
    let root = root.map(|root| root.canonicalize().map_err(SourceError::Root)).transpose()?;
    let is_outside = |path: &PathBuf| root.as_ref().is_some_and(|root| !path.starts_with(root));
    let whole = path.canonicalize().map_err(SourceError::Unreadable)?;
    if is_outside(&whole) {
        return Err(SourceError::Outside);
    }
    // A pipe would keep whoever opens it waiting.
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits()).unwrap_or(0);
    let opened = File::options().read(true).custom_flags(flags).open(&whole);
    let file = opened.map_err(SourceError::Unreadable)?;
    let there = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(SourceError::Unreadable)?;
    if is_outside(&there) {
        return Err(SourceError::Outside);
    }
    let about = file.metadata().map_err(SourceError::Unreadable)?;
    if about.is_file() { Ok((file, about.len())) } else { Err(SourceError::NoFile) }
}

/// A file of ours that something is copied into, with the most that it may hold.
#[derive(Debug)]
pub struct Copy<'f> {
    file: &'f mut tokio::fs::File,
    measure: Measure,
    most_bytes: Option<u64>,
}

impl<'f> Copy<'f> {
    pub fn into(file: &'f mut tokio::fs::File, most_bytes: Option<u64>) -> Self {
        Self { file, measure: Measure::new(), most_bytes }
    }

    fn expect(&self, bytes: Option<u64>) -> Result<(), SourceError> {
        match (bytes, self.most_bytes) {
            (Some(bytes), Some(most)) if bytes > most => Err(SourceError::TooLarge(most)),
            _ => Ok(()),
        }
    }

    async fn take(&mut self, chunk: &[u8]) -> Result<(), SourceError> {
        self.measure.take(chunk);
        self.expect(Some(self.measure.bytes))?;
        self.file.write_all(chunk).await.map_err(SourceError::Copy)
    }

    async fn finish(&mut self) -> Result<Content, SourceError> {
        self.file.flush().await.map_err(SourceError::Copy)?;
        let content = std::mem::replace(&mut self.measure, Measure::new()).content();
        if content.bytes == 0 { Err(SourceError::Empty) } else { Ok(content) }
    }
}
