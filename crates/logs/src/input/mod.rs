//! Files, folders' worth of them and standard input, decompressed and in chunks of whole lines.

mod chunk;
mod decode;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use chunk::{Chunk, ChunkReader, Line, Start};

/// Why a log can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// A pattern that is none.
    #[error("pattern {pattern}")]
    Pattern {
        /// As it was given.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: glob::PatternError,
    },
    /// A pattern that no file has.
    #[error("pattern {pattern}: no file found")]
    NoFile {
        /// As it was given.
        pattern: String,
    },
    /// A folder can't be looked into.
    #[error("pattern {pattern}")]
    Folder {
        /// As it was given.
        pattern: String,
        /// What the system says.
        #[source]
        source: glob::GlobError,
    },
    /// A file can't be opened.
    #[error("{file}")]
    Open {
        /// Its name.
        file: Arc<str>,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file can't be read on, or decompressed.
    #[error("{file}, byte {offset} of its text")]
    Read {
        /// Its name.
        file: Arc<str>,
        /// How far it was read, decompressed.
        offset: u64,
        /// What the system or the decompression says.
        #[source]
        source: io::Error,
    },
    /// A text of UTF-16 that is to be followed.
    #[error("{file}: UTF-8 or another text of bytes expected, UTF-16 found, which can be imported and not followed")]
    Utf16 {
        /// Its name.
        file: Arc<str>,
    },
    /// What has logs in it, and is none.
    #[error(
        "{file}: a log expected, {what} found; `{how} {file}` writes what is in it to standard output, and - reads that"
    )]
    Archive {
        /// Its name.
        file: Arc<str>,
        /// What it is.
        what: &'static str,
        /// What reads it.
        how: &'static str,
    },
}

/// A log that can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    name: Arc<str>,
    /// None for standard input.
    path: Option<PathBuf>,
}

impl Input {
    /// The inputs of patterns: files, globs (`u_ex*.log`, `logs/**/*.gz`), `-` for standard input. Those of one pattern are
    /// sorted by name; a file that several patterns name is there once, at its first place. A folder is its files' names
    /// only by a pattern such as `folder/*`.
    ///
    /// # Errors
    /// Each names the pattern: it is none, or there is no such file.
    pub fn find<P: AsRef<str>>(patterns: &[P]) -> Result<Vec<Self>, InputError> {
        let (mut inputs, mut names) = (Vec::new(), HashSet::new());
        for pattern in patterns {
            let pattern = pattern.as_ref();
            for input in Self::of_pattern(pattern)? {
                if names.insert(Arc::clone(&input.name)) {
                    inputs.push(input);
                }
            }
        }
        Ok(inputs)
    }

    fn of_pattern(pattern: &str) -> Result<Vec<Self>, InputError> {
        if pattern == "-" {
            return Ok(vec![Self { name: "-".into(), path: None }]);
        }
        // A file may be called like a pattern.
        if Path::new(pattern).is_file() {
            return Ok(vec![Self::file(pattern)]);
        }
        let wrong = |source| InputError::Pattern { pattern: pattern.to_owned(), source };
        let mut paths = Vec::new();
        for path in glob::glob(pattern).map_err(wrong)? {
            let path = path.map_err(|source| InputError::Folder { pattern: pattern.to_owned(), source })?;
            if !path.is_dir() {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            return Err(InputError::NoFile { pattern: pattern.to_owned() });
        }
        paths.sort();
        Ok(paths.into_iter().map(Self::file).collect())
    }

    /// One file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { name: path.to_string_lossy().into(), path: Some(path) }
    }

    /// What it is called: as the pattern found it, or `-`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it can be opened again: no pipe, and not standard input.
    pub fn is_regular(&self) -> bool {
        self.path.as_ref().is_some_and(|path| path.metadata().is_ok_and(|meta| meta.is_file()))
    }

    /// Where it is; `None` for standard input.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Its bytes, decompressed.
    pub(crate) fn decompressed(&self) -> io::Result<Box<dyn Read + Send>> {
        match &self.path {
            Some(path) => Ok(decode::decode(Box::new(File::open(path)?))?.reader),
            None => Ok(Box::new(io::stdin())),
        }
    }

    /// Its text in chunks, decompressed if its first bytes say that it is compressed (gzip, bzip2, xz, zstd; several
    /// streams one after the other too).
    ///
    /// # Errors
    /// It can't be opened, or is an archive.
    pub fn open(&self) -> Result<ChunkReader, InputError> {
        let raw: Box<dyn Read + Send> = match &self.path {
            None => Box::new(io::stdin()),
            Some(path) => {
                Box::new(File::open(path).map_err(|source| InputError::Open { file: Arc::clone(&self.name), source })?)
            }
        };
        ChunkReader::open(&self.name, raw)
    }
}
