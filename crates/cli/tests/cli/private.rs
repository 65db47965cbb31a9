//! Everything in a data folder is its owner's alone: it says who did what.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::http::Browser;
use crate::server::Server;
#[cfg(feature = "warehouse")]
use crate::server::say;
use crate::upstream::Upstream;

/// What others may look into, with its mode.
fn open_to_others(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    let mut look_at = |path: &Path| {
        let mode = fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            found.push((path.to_owned(), mode));
        }
    };
    look_at(folder);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            look_at(&path);
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[test]
fn what_a_server_leaves_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("some/data");
    let server = Server::start(&data, &Upstream::start(), &["--idle-timeout", "300ms"]);
    let mut browser = Browser::new(server.site, "a browser");
    for number in 0..5 {
        browser.get(&format!("/{number}"), &[("X-Login", "somebody")]);
    }
    assert_eq!(open_to_others(&data), [], "while it runs");
    server.wait_until_all_is_stored();
    server.end();
    let files = fs::read_dir(&data).unwrap().count();
    assert!(files >= 3, "{files} files and folders");
    assert_eq!(open_to_others(&data), []);
    assert_eq!(open_to_others(&folder.path().join("some")), []);
}

#[cfg(feature = "warehouse")]
#[test]
fn what_an_import_leaves_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("access.log"));
    let line =
        |number| crate::weblog::line(crate::weblog::MORNING_S + number, "203.0.113.9", "/page", 200, "a browser");
    fs::write(&log, (0..50).map(|number| line(number) + "\n").collect::<String>()).unwrap();
    say(&["import", log.to_str().unwrap()], &data);
    assert_eq!(open_to_others(&data), []);
    say(&["query", "SELECT count(*) FROM visits"], &data);
    assert_eq!(open_to_others(&data), []);
}
