//! Where files are kept: a folder, or a bucket of an S3-compatible store. Sections that keep files have these keys.

use std::path::PathBuf;

use secrecy::SecretString;
use serde_json::Value;

use super::reader::Section;
use super::secret;
use crate::domain::fields::{self, Parsed};
use crate::domain::problem::{Code, Problem};

/// Where files are kept.
#[derive(Debug, Clone)]
pub struct Place {
    /// In use unless there is a bucket; unfinished files are put there in any case.
    pub folder: PathBuf,
    pub bucket: Option<Bucket>,
}

/// A bucket of an S3-compatible store.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub name: String,
    /// What the keys begin with; empty for none.
    pub prefix: String,
    pub region: String,
    /// Of a store that is not Amazon's.
    pub endpoint: Option<String>,
    /// Without one, the environment's or the machine's role is used.
    pub key: Option<(String, SecretString)>,
}

impl Place {
    pub(super) fn read(section: &mut Section<'_>, default: &str) -> Self {
        let folder = section.optional("folder", absolute).unwrap_or_else(|| default.into());
        let place = section.optional("url", bucket_url);
        let region = section.optional("region", fields::line(1..=64)).unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = section.optional("endpoint", endpoint);
        let id = section.optional("access_key_id", fields::line(1..=256));
        let secret = secret::text(section, ["secret_access_key", "secret_access_key_file"]);
        if id.is_some() != secret.is_some() {
            let message = "goes together with secret_access_key (or secret_access_key_file); give both or neither";
            section.problem(Problem::of("access_key_id", Code::Required, message));
        }
        let key = id.zip(secret);
        let bucket = place.map(|(name, prefix)| Bucket { name, prefix, region, endpoint, key });
        Self { folder, bucket }
    }
}

pub(super) fn absolute(value: &Value) -> Parsed<PathBuf> {
    let path = PathBuf::from(fields::line(1..=4_096)(value)?);
    match path.is_absolute() {
        true => Ok(path),
        false => Err(Problem::new(Code::InvalidValue, "must be an absolute path").into()),
    }
}

/// The bucket and the prefix.
fn bucket_url(value: &Value) -> Parsed<(String, String)> {
    let url = fields::line(1..=1_024)(value)?;
    let place = url.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, "")));
    match place {
        Some((bucket, prefix)) if !bucket.is_empty() => Ok((bucket.to_owned(), prefix.trim_matches('/').to_owned())),
        _ => Err(Problem::new(Code::InvalidValue, "must be s3://BUCKET or s3://BUCKET/PREFIX").into()),
    }
}

fn endpoint(value: &Value) -> Parsed<String> {
    let url = fields::line(1..=1_024)(value)?;
    match url.starts_with("https://") || url.starts_with("http://") {
        true => Ok(url),
        false => Err(Problem::new(Code::InvalidValue, "must be an http:// or https:// URL").into()),
    }
}
