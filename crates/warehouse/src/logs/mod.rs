//! Log files as tables of SQL: no import, no folder, no server.
//!
//! [`Files`] are the files of one statement, opened: each was looked at, so that its format and its columns are known.
//! As tables they have, for every format, the common columns (`time`, `client_ip`, ...), then the log's own by its own
//! names (`cs-uri-stem`, `cs(Cookie)`), then `line` and `file`. A column of the log that is called as a common one is
//! that one. Several files of a glob are one table with the union of their columns by name.
//!
//! A scan reads chunks of whole lines, one after the other, and parses them on all cores; of a line only what the
//! statement names is made into values. So memory does not grow with the files, and the order of the rows is not that of
//! the lines, unless a small `LIMIT` stands alone. Each line is parsed, a directive, or rejected, and [`Files::account`]
//! says how many of each there were.

mod account;
mod build;
mod columns;
mod describe;
mod error;
mod filter;
mod open;
mod rejects;
mod scan;
mod sessions;
mod table;

pub use self::account::{Account, FileAccount, OnReject};
pub use self::describe::{DescribedColumn, Description, describe};
pub use self::error::FilesError;
pub(crate) use self::error::with_sources;
pub use self::open::{FileOptions, Files, Verdict, WithFiles};
