//! Holds `config/calltaskd.toml` equal to the code: it is what an operator reads, so it must tell the truth.
//!
//! A setting that is added and not written into the file fails here, because the reader remembers every key
//! that it asks for, and so does a key of the file that nobody asks for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::layers::Layers;
use super::reader::Reader;
use super::*;

fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/calltaskd.toml")
}

/// A setting's line without its comment mark: `# key = value`, where prose never has ` = ` after its first word.
fn commented(line: &str) -> Option<&str> {
    let setting = line.strip_prefix("# ")?;
    let (key, _) = setting.split_once(" = ")?;
    let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_\"".contains(c);
    key.chars().all(is_key).then_some(setting)
}

/// A table's head, commented out or not: a trunk that is only an example is all comment.
fn head(line: &str) -> Option<&str> {
    line.strip_prefix("# ").unwrap_or(line).strip_prefix('[')?.strip_suffix(']')
}

/// The file with every setting in force. A `url_file` takes the place of the `url` above it, and so with other secrets; of
/// two settings that contradict each other, the latter.
fn uncommented(directory: &Path) -> PathBuf {
    let text = std::fs::read_to_string(reference()).unwrap();
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let setting = match head(line) {
            Some(head) => format!("[{head}]"),
            None => commented(line).unwrap_or(line).to_owned(),
        };
        let Some(key) = setting.split_once(" = ").and_then(|(key, _)| key.strip_suffix("_file")) else {
            if setting.starts_with("domain = ") {
                lines.retain(|line| !line.starts_with("address = "));
            }
            lines.push(setting);
            continue;
        };
        let above = lines.iter().rposition(|line| line.starts_with(&format!("{key} = ")));
        let secret = above.map(|at| lines.remove(at));
        let content =
            secret.as_deref().and_then(|line| line.split('"').nth(1)).unwrap_or("-----BEGIN CERTIFICATE-----");
        let file = directory.join(format!("file-{}", lines.len()));
        std::fs::write(&file, content).unwrap();
        lines.push(format!("{key}_file = {file:?}"));
    }
    let path = directory.join("calltaskd.toml");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

/// `section.key` of every setting in the file, commented out or not; the keys of maps are an operator's own.
fn keys_in_file() -> BTreeSet<String> {
    let text = std::fs::read_to_string(reference()).unwrap();
    let mut section = "";
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        if let Some(header) = head(line) {
            section = header;
            if section.ends_with(".results") || section.ends_with(".force") {
                keys.insert(section.to_owned());
            }
            continue;
        }
        let setting = commented(line).or((!line.starts_with('#')).then_some(line));
        if let Some((key, _)) = setting.and_then(|setting| setting.split_once(" = "))
            && !keys.contains(section)
        {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

#[test]
fn the_reference_file_says_the_defaults() {
    let (read, default) = (load(Some(&reference()), []).unwrap(), Settings::default());
    // By what they print: it holds every field, also those that are added later.
    assert_eq!(format!("{read:#?}"), format!("{default:#?}"));
    assert_eq!(read.database.url.expose_secret(), default.database.url.expose_secret());
    assert_eq!(read.bus.url.expose_secret(), default.bus.url.expose_secret());
}

#[test]
fn every_setting_is_in_the_reference_file_and_no_other() {
    let directory = tests::directory("keys");
    let (layers, problems) = Layers::read(Some(&uncommented(&directory)), [], &[]);
    std::fs::remove_dir_all(directory).unwrap();
    assert!(problems.is_empty(), "{}", render(&problems));
    let mut reader = Reader::of(&layers);
    Settings::read(&mut reader);
    let asked: BTreeSet<String> = reader.finish().asked.into_iter().collect();
    assert_eq!(asked, keys_in_file());
    assert!(asked.len() > 30, "{asked:?}");
}

#[test]
fn what_is_commented_out_in_the_reference_file_is_accepted() {
    let directory = tests::directory("reference");
    let settings = load(Some(&uncommented(&directory)), []).unwrap();
    let default = Settings::default();
    assert_eq!(settings.node.name, "dialer-1");
    assert_eq!(settings.numbers.default_region, "DE".parse().ok());
    assert_eq!(settings.database.url.expose_secret(), default.database.url.expose_secret());
    assert_eq!(settings.bus.url.expose_secret(), default.bus.url.expose_secret());
    let Trunk::Simulated(trunk) = &settings.trunks[&TrunkName::new("simulated")] else { panic!() };
    assert_eq!((trunk.capacity.max_channels, trunk.capacity.max_cps), (Some(30), Some(10)));
    assert_eq!(trunk.force["0002"], [Forced::NotDiallable]);
    assert_eq!(trunk.record.as_deref(), Some(Path::new("/var/lib/calltaskd/calls.jsonl")));
    let Trunk::Sip(trunk) = &settings.trunks[&TrunkName::new("carrier")] else { panic!() };
    assert_eq!(trunk.credentials.as_ref().unwrap().password.expose_secret(), "secret");
    assert_eq!(trunk.overrides.len(), 2);
    assert!(trunk.ca.is_some() && trunk.certificate.is_some() && settings.sip.certificate.is_some());
    std::fs::remove_dir_all(directory).unwrap();
}
