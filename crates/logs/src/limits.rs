//! Every limit of this crate, with its reason.

/// Text that is handed out at once: large enough that threads don't wait for each other, small enough that some of them
/// per thread are nothing.
pub const CHUNK_BYTES: usize = 1 << 20;

/// The longest line that is read. Web servers refuse requests of more than some 64 KiB of head; ten times that is no log
/// line any more, and memory stays bounded whatever a file holds.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Bytes of a line that a reject keeps: enough to see what it is.
pub const REJECT_BYTES_MAX: usize = 4096;

/// Bytes at the start of a file that tell its format.
pub const SAMPLE_BYTES: usize = 256 << 10;

/// Lines of a sample that are looked at: more say nothing new.
pub const SAMPLE_LINES_MAX: usize = 1000;

/// Columns of a format: of a W3C file whose `#Fields` change, or of JSON whose keys do. Those beyond have no name.
pub const COLUMNS_MAX: usize = 512;

/// How deep the values of a JSON line are looked into: Caddy's headers are at 3.
pub const JSON_DEPTH_MAX: usize = 16;

/// How often a line is tried again with a later quote for the end of a value, since somebody's `"` was not escaped.
pub const QUOTE_RETRIES_MAX: usize = 32;
