//! Files that others have: what leads out of the folder, and what is too large.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::source::{Copy, SourceError, Web, read_file};

async fn read(path: &Path, root: &Path, most: u64) -> Result<u64, SourceError> {
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().unwrap());
    let fetched = read_file(path, Some(root), &mut Copy::into(&mut file, Some(most))).await?;
    Ok(fetched.content.bytes)
}

#[tokio::test]
async fn a_path_stays_below_its_root_whatever_its_links_say() {
    let folder = tempfile::tempdir().unwrap();
    let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
    fs::create_dir_all(root.join("a")).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(root.join("a/x.wav"), "sound").unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    symlink(outside.join("secret"), root.join("link")).unwrap();
    symlink(&outside, root.join("folder")).unwrap();
    symlink("a/x.wav", root.join("inside")).unwrap();
    assert_eq!(read(&root.join("a/x.wav"), &root, 5).await.unwrap(), 5);
    assert_eq!(read(&root.join("inside"), &root, 5).await.unwrap(), 5);
    for path in ["link", "folder/secret", "../outside/secret", "a/../../outside/secret"] {
        let refused = read(&root.join(path), &root, 100).await;
        assert!(matches!(refused, Err(SourceError::Outside)), "{path}: {refused:?}");
    }
    assert!(matches!(read(&root.join("a"), &root, 5).await, Err(SourceError::NoFile)));
    assert!(matches!(read(&root.join("none"), &root, 5).await, Err(SourceError::Unreadable(_))));
    assert!(matches!(read(&root.join("a/x.wav"), &root, 4).await, Err(SourceError::TooLarge(4))));
    let gone = read(&root.join("a/x.wav"), &folder.path().join("gone"), 5).await;
    assert!(matches!(gone, Err(SourceError::Root(_))), "{gone:?}");
    fs::write(root.join("empty"), "").unwrap();
    assert!(matches!(read(&root.join("empty"), &root, 5).await, Err(SourceError::Empty)));
}

#[tokio::test]
async fn nothing_is_asked_of_a_host_that_is_not_allowed() {
    let web = Web::new(Some(vec!["voice.example".parse().unwrap()])).unwrap();
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().unwrap());
    for url in ["http://127.0.0.1:1/x", "https://voice.example:8443/x", "http://voice.example@10.0.0.1/x"] {
        let refused = web.read(url, &mut Copy::into(&mut file, None)).await;
        assert!(matches!(refused, Err(SourceError::Host(_))), "{url}: {refused:?}");
    }
    for url in ["file:///etc/passwd", "/etc/passwd", "ftp://voice.example/x"] {
        let refused = web.read(url, &mut Copy::into(&mut file, None)).await;
        assert!(matches!(refused, Err(SourceError::Url(_))), "{url}: {refused:?}");
    }
}
