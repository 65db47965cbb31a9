//! The state of an importer, and its file.
//!
//! The file `state`: the magic `VLIMPORT` (8 bytes), the version (u32, little-endian, 1), the first 16 bytes of the BLAKE3
//! hash of what follows, then JSON: the fields of [`State`]. It is written beside its place, synced and renamed, so there
//! is always a whole one.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::register::Register;
use crate::sessions::Seen;

const MAGIC: [u8; 8] = *b"VLIMPORT";
const VERSION: u32 = 1;
const HASH_BYTES: usize = 16;
const HEADER_BYTES: usize = MAGIC.len() + 4 + HASH_BYTES;

/// All that an importer knows between two batches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Its name in the tables' transactions: random, made once.
    pub importer: u128,
    /// The number of the last batch.
    pub batch: u64,
    /// The settled visits of that batch, as whoever stores them left word; none where nothing was settled.
    pub staged: Option<serde_json::Value>,
    /// The number of the last batch that had settled visits; 0 where none had.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub last_staged: u64,
    /// The files of the requests that have to wait.
    pub carried: Vec<String>,
    /// What is known of sites.
    pub sites: Vec<Site>,
    /// What the site of requests that name no host was guessed to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guess: Option<String>,
    /// Counts of requests that wait, so that they come in few pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Held>,
    /// The files that were imported.
    pub register: Register,
}

/// Counts that wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Their file.
    pub file: String,
    /// Since when, in microseconds since 1970.
    pub since_us: i64,
}

/// How far a site's rows have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its newest few times, in microseconds since 1970.
    pub newest_us: Vec<i64>,
    /// Up to when its visits are settled: an earlier row comes too late to be part of any of them.
    pub settled_us: i64,
    /// What speaks for it being a site, if requests name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl State {
    /// The bytes of the file.
    pub(super) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + json.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&blake3::hash(&json).as_bytes()[..HASH_BYTES]);
        bytes.extend_from_slice(&json);
        Ok(bytes)
    }

    /// Reads the bytes of the file; the error says what was expected, and what found.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let Some((header, json)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Err(format!("a header of {HEADER_BYTES} bytes expected, {} found", bytes.len()));
        };
        if !header.starts_with(&MAGIC) {
            return Err(format!("{MAGIC:02x?} expected at its start, {:02x?} found", &header[..MAGIC.len()]));
        }
        let version = u32::from_le_bytes(std::array::from_fn(|at| header[MAGIC.len() + at]));
        if version != VERSION {
            return Err(format!("version {VERSION} expected, {version} found; use the visitlog that wrote it"));
        }
        let (expected, found) = (&header[MAGIC.len() + 4..], blake3::hash(json));
        if *expected != found.as_bytes()[..HASH_BYTES] {
            let found = &found.as_bytes()[..HASH_BYTES];
            return Err(format!("hash {expected:02x?} expected, {found:02x?} found"));
        }
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }
}

/// Puts a file in its place, whole or not at all, for its owner's eyes only.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

pub(super) fn sync_dir(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written_and_damage_is_seen() {
        let mut register = Register::default();
        let mut known = register.begin(u128::MAX, "/var/log/access.log");
        known.end = 12;
        register.put(known, None);
        let state = State {
            importer: u128::MAX,
            batch: 7,
            staged: Some(serde_json::json!({ "visits": [1, 2] })),
            last_staged: 7,
            carried: vec!["carry-7-0".into()],
            sites: vec![Site { name: "a".into(), newest_us: vec![-1, 2], settled_us: i64::MIN, seen: None }],
            guess: Some("a.example".into()),
            counted: Some(Held { file: "counts-7".into(), since_us: 3 }),
            register,
        };
        let bytes = state.to_bytes().expect("JSON");
        assert_eq!(State::from_bytes(&bytes), Ok(state));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(State::from_bytes(&damaged).is_err(), "byte {at}");
            assert!(State::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    /// As the first version has written it.
    #[test]
    fn version_1_can_be_read_for_ever() {
        let bytes = include_bytes!("fixtures/state-1");
        let state = State::from_bytes(bytes).expect("a state");
        assert_eq!((state.importer, state.batch, state.register.files().len()), (42, 3, 1));
        assert_eq!(state.to_bytes().expect("JSON"), bytes);
    }
}
