//! A file that is fetched: under another name until it is whole, so that nobody takes a part of it for the file.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::domain::visible::steers;

/// A file that is not whole yet. What was there under its name stays until it is.
#[derive(Debug)]
pub struct Download {
    path: PathBuf,
    /// Where to write it.
    pub unfinished: PathBuf,
}

impl Download {
    pub fn to(path: PathBuf) -> Self {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".unfinished");
        Self { unfinished: path.with_file_name(name), path }
    }

    /// The same under another name: what is written stays where it is.
    pub fn renamed(self, path: PathBuf) -> Self {
        Self { path, ..self }
    }

    /// Gives the whole file its name, and tells it.
    pub fn finish(self) -> anyhow::Result<String> {
        std::fs::rename(&self.unfinished, &self.path).with_context(|| self.path.display().to_string())?;
        Ok(self.path.display().to_string())
    }

    /// Removes what was written of a file that will not be whole.
    pub fn give_up(&self) {
        drop(std::fs::remove_file(&self.unfinished));
    }
}

/// What a file is called here, without what could lead to another folder or hide it.
pub fn file_name(name: &str) -> String {
    let fits = |c: char| if c == '/' || c == '\\' || steers(c) { '-' } else { c };
    name.trim_start_matches('.').chars().map(fits).collect()
}

/// For [`Path`]s that a location or a URL ends with.
pub fn extension(path: &str) -> Option<&str> {
    Path::new(path).extension().and_then(|extension| extension.to_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_no_other_folder() {
        assert_eq!(file_name("Monday, all"), "Monday, all");
        assert_eq!(file_name("a\u{202e}vaw.b"), "a-vaw.b");
        assert_eq!(file_name("../../etc/passwd"), "-..-etc-passwd");
        assert_eq!(Download::to("a/b.csv".into()).unfinished, PathBuf::from("a/b.csv.unfinished"));
    }
}
