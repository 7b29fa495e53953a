//! Files that are handed out: kept in a folder or in a bucket of an S3-compatible store.
//!
//! An object appears whole or not at all, under a key of its own that is never written twice. Must not hold more of
//! an object in memory than a few parts of it. What the files are for is not known here.

pub mod source;
#[cfg(test)]
mod source_tests;

use std::fs::File;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::settings::{Bucket, Place};

/// What is read and sent at a time: the smallest part that S3 takes.
const PART: usize = 5 * 1024 * 1024;
/// Parts on their way at a time.
const PARTS: usize = 3;
const CHUNK: usize = 256 * 1024;

/// Why an object could not be kept or had.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    #[error("the object store failed: {0}")]
    Store(#[from] object_store::Error),
    #[error("the location {0} belongs to no store of the settings")]
    Elsewhere(String),
    #[error("a file failed: {0}")]
    File(#[from] std::io::Error),
}

impl From<object_store::path::Error> for ShelfError {
    fn from(error: object_store::path::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What was read of an object: its length and its SHA-256 in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub bytes: u64,
    pub sha256: String,
}

#[derive(Debug)]
struct Measure {
    bytes: u64,
    sha256: Sha256,
}

impl Measure {
    fn new() -> Self {
        Self { bytes: 0, sha256: Sha256::new() }
    }

    fn take(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        self.sha256.update(chunk);
    }

    fn content(self) -> Content {
        let sha256 = self.sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Content { bytes: self.bytes, sha256 }
    }
}

/// Where objects are kept.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
    bucket: Option<(Bucket, Arc<dyn ObjectStore>)>,
}

impl Shelf {
    /// Prepares the way; nothing is connected to, and no folder made, before it is needed.
    pub fn open(settings: &Place) -> Result<Self, ShelfError> {
        let bucket = settings.bucket.clone().map(|bucket| connect(&bucket).map(|store| (bucket, store)));
        Ok(Self { folder: settings.folder.clone(), bucket: bucket.transpose()? })
    }

    /// Where an unfinished file may grow: beside the finished ones where that can be, so that it has their room.
    pub fn workshop(&self) -> PathBuf {
        match std::fs::create_dir_all(&self.folder) {
            Ok(()) => self.folder.clone(),
            Err(_) => std::env::temp_dir(),
        }
    }

    /// Keeps a file under `group/name`, and tells where that is, and what went there.
    pub async fn put(&self, group: &str, name: &str, file: File) -> Result<(String, Content), ShelfError> {
        let (store, key) = self.place(&format!("{group}/{name}"))?;
        let mut upload = WriteMultipart::new_with_chunk_size(store.put_multipart(&key).await?, PART);
        let sent = send(&mut upload, file).await;
        let content = match sent {
            Ok(content) => content,
            Err(error) => {
                // The reason stands; what was sent so far is given up as far as that can be said.
                drop(upload.abort().await);
                return Err(error);
            }
        };
        upload.finish().await?;
        let location = match &self.bucket {
            Some((bucket, _)) => format!("s3://{}/{key}", bucket.name),
            None => self.folder.join(key.as_ref()).display().to_string(),
        };
        Ok((location, content))
    }

    /// Copies the object at `location` into a file.
    pub async fn fetch(&self, location: &str, into: &FilePath) -> Result<Content, ShelfError> {
        let (store, key) = self.find(location)?;
        let mut stream = store.get(&key).await?.into_stream();
        let (mut file, mut measure) = (tokio::fs::File::create(into).await?, Measure::new());
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            measure.take(&chunk);
            file.write_all(&chunk).await?;
        }
        file.sync_all().await?;
        Ok(measure.content())
    }

    /// Removes one object; one that is not there is as good.
    pub async fn remove(&self, location: &str) -> Result<(), ShelfError> {
        let (store, key) = self.find(location)?;
        match store.delete(&key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes everything of a group, also what was never finished; `false` when there was nothing.
    pub async fn remove_group(&self, group: &str) -> Result<bool, ShelfError> {
        if self.bucket.is_none() {
            let folder = self.folder.join(group);
            match tokio::fs::remove_dir_all(&folder).await {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            // The folders above it go with the last group in them; they stay as long as there is another.
            for above in folder.ancestors().skip(1).take_while(|above| *above != self.folder) {
                if tokio::fs::remove_dir(above).await.is_err() {
                    break;
                }
            }
            return Ok(true);
        }
        let (store, prefix) = self.place(group)?;
        let found: Vec<_> = store.list(Some(&prefix)).try_collect().await?;
        for object in &found {
            store.delete(&object.location).await?;
        }
        Ok(!found.is_empty())
    }

    /// Removes everything of a group but the object at `location`: what runs that died have left.
    pub async fn remove_others(&self, group: &str, location: &str) -> Result<(), ShelfError> {
        if self.bucket.is_none() {
            let mut entries = tokio::fs::read_dir(self.folder.join(group)).await?;
            while let Some(entry) = entries.next_entry().await? {
                if entry.path() != FilePath::new(location) {
                    tokio::fs::remove_file(entry.path()).await?;
                }
            }
            return Ok(());
        }
        let ((store, prefix), (_, kept)) = (self.place(group)?, self.find(location)?);
        let found: Vec<_> = store.list(Some(&prefix)).try_collect().await?;
        for object in found.iter().filter(|object| object.location != kept) {
            store.delete(&object.location).await?;
        }
        Ok(())
    }

    fn place(&self, key: &str) -> Result<(Arc<dyn ObjectStore>, Path), ShelfError> {
        match &self.bucket {
            Some((bucket, store)) => {
                Ok((store.clone(), Path::parse(format!("{}/{key}", bucket.prefix).trim_matches('/'))?))
            }
            None => {
                std::fs::create_dir_all(&self.folder)?;
                let store = LocalFileSystem::new_with_prefix(&self.folder)?.with_fsync(true);
                Ok((Arc::new(store), Path::parse(key)?))
            }
        }
    }

    fn find(&self, location: &str) -> Result<(Arc<dyn ObjectStore>, Path), ShelfError> {
        if location.starts_with('/') {
            return Ok((Arc::new(LocalFileSystem::new()), Path::from_absolute_path(location)?));
        }
        let elsewhere = || ShelfError::Elsewhere(location.to_owned());
        let (bucket, store) = self.bucket.as_ref().ok_or_else(elsewhere)?;
        let key = location.strip_prefix("s3://").and_then(|rest| rest.strip_prefix(&bucket.name));
        Ok((store.clone(), Path::parse(key.and_then(|key| key.strip_prefix('/')).ok_or_else(elsewhere)?)?))
    }
}

async fn send(upload: &mut WriteMultipart, file: File) -> Result<Content, ShelfError> {
    let (mut file, mut measure) = (tokio::fs::File::from_std(file), Measure::new());
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Ok(measure.content());
        }
        upload.wait_for_capacity(PARTS).await?;
        measure.take(&chunk[..read]);
        upload.write(&chunk[..read]);
    }
}

/// The HTTP client has no provider of its own: this is the one of the whole process. Set before, it stays.
fn one_tls_provider() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

fn connect(bucket: &Bucket) -> Result<Arc<dyn ObjectStore>, ShelfError> {
    one_tls_provider();
    let mut builder = match &bucket.key {
        Some((id, secret)) => {
            AmazonS3Builder::new().with_access_key_id(id).with_secret_access_key(secret.expose_secret())
        }
        None => AmazonS3Builder::from_env(),
    };
    builder = builder.with_bucket_name(&bucket.name).with_region(&bucket.region);
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    Ok(Arc::new(builder.build()?))
}
