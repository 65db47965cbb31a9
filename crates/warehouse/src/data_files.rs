//! Files that are tables already: Parquet, CSV and TSV with a header, JSON. Their columns are as the files call them.
//!
//! What a column holds is told by all of its values, not by the first ones; where files of a glob differ, it is what holds
//! both: whole numbers and fractions are fractions, anything else is text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::SessionContext;
use url::Url;
use visitlog_logs::Input;

/// How a file begins is looked at up to here.
const HEAD_BYTES: usize = 4 << 10;

/// What a file of data is, by its name and its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Parquet,
    Csv,
    Tsv,
    /// An object a line.
    Lines,
    /// One array of objects.
    Array,
}

impl Kind {
    /// By a file's name. JSON may be a log, too: whoever asks looks for one first.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = compressions().iter().find_map(|(ending, _)| name.strip_suffix(ending)).unwrap_or(&name);
        Some(match name.rsplit_once('.')?.1 {
            "parquet" => Self::Parquet,
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            "json" | "ndjson" | "jsonl" if begins_with_bracket(path) => Self::Array,
            "json" | "ndjson" | "jsonl" => Self::Lines,
            _ => return None,
        })
    }

    /// Whether a log may look like that.
    pub(crate) const fn may_be_log(self) -> bool {
        matches!(self, Self::Lines | Self::Array)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Lines => "json, an object a line",
            Self::Array => "json, an array",
        }
    }

    /// How its values are written; `first` is one of the files.
    fn format(self, first: &Path, compression: FileCompressionType) -> Arc<dyn FileFormat> {
        let csv = |delimiter| {
            CsvFormat::default()
                .with_has_header(true)
                .with_delimiter(delimiter)
                .with_newlines_in_values(true)
                .with_truncated_rows(true)
                .with_schema_infer_max_rec(usize::MAX)
                .with_file_compression_type(compression)
        };
        let json = |by_line| {
            JsonFormat::default()
                .with_newline_delimited(by_line)
                .with_schema_infer_max_rec(usize::MAX)
                .with_file_compression_type(compression)
        };
        match self {
            Self::Parquet => Arc::new(ParquetFormat::default().with_force_view_types(false)),
            Self::Csv => Arc::new(csv(separator(first))),
            Self::Tsv => Arc::new(csv(b'\t')),
            Self::Lines => Arc::new(json(true)),
            Self::Array => Arc::new(json(false)),
        }
    }
}

/// How names of compressed files end.
fn compressions() -> [(&'static str, FileCompressionType); 4] {
    [
        (".gz", FileCompressionType::GZIP),
        (".bz2", FileCompressionType::BZIP2),
        (".xz", FileCompressionType::XZ),
        (".zst", FileCompressionType::ZSTD),
    ]
}

fn compression(path: &Path) -> FileCompressionType {
    let name = path.to_string_lossy().to_ascii_lowercase();
    let found = compressions().into_iter().find(|(ending, _)| name.ends_with(ending));
    found.map_or(FileCompressionType::UNCOMPRESSED, |(_, compression)| compression)
}

/// What stands between the names of a CSV file's first line: a comma, or what spreadsheets of other countries put there.
fn separator(path: &Path) -> u8 {
    let inputs = Input::find(&[path.to_string_lossy()]).unwrap_or_default();
    let mut chunks = inputs.first().and_then(|input| input.open().ok());
    let sample = chunks.as_mut().and_then(|chunks| chunks.sample().ok()).unwrap_or_default();
    separator_of(sample)
}

fn separator_of(text: &[u8]) -> u8 {
    let (mut counts, mut is_quoted) = ([(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)], false);
    for byte in text.iter().copied() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => break,
            byte if !is_quoted => {
                counts.iter_mut().filter(|(known, _)| *known == byte).for_each(|(_, count)| *count += 1);
            }
            _ => {}
        }
    }
    // Of those that are as frequent, the first.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(byte, _)| *byte)
}

fn begins_with_bracket(path: &Path) -> bool {
    use std::io::Read as _;

    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(HEAD_BYTES as u64).read_to_end(&mut head));
    read.is_ok() && head.trim_ascii_start().starts_with(b"[")
}

/// These files as one table. They are of one kind and one compression.
///
/// # Errors
/// When one can't be read, or is not what its name says.
pub(crate) fn table(files: &[PathBuf], kind: Kind) -> Result<Arc<dyn TableProvider>> {
    // Whoever asks may be inside a runtime.
    let made = std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
            runtime.block_on(open(files, kind))
        });
        worker.join()
    });
    made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn open(files: &[PathBuf], kind: Kind) -> Result<Arc<dyn TableProvider>> {
    let context = SessionContext::new();
    let state = context.state();
    let first = files.first().map_or(Path::new(""), PathBuf::as_path);
    let format = kind.format(first, compression(first));
    // The names were chosen already: whatever they end in is read.
    let options = ListingOptions::new(format).with_file_extension("");
    let (mut urls, mut schema): (Vec<ListingTableUrl>, Option<SchemaRef>) = (Vec::new(), None);
    for file in files {
        let path = std::fs::canonicalize(file)?;
        let url = Url::from_file_path(&path)
            .map_err(|()| DataFusionError::Execution(format!("{}: no path", path.display())))?;
        let url = ListingTableUrl::try_new(url, None)?;
        let of_file = options.infer_schema(&state, &url).await?;
        schema = Some(match schema {
            None => of_file,
            Some(schema) => Arc::new(widened(&schema, &of_file)),
        });
        urls.push(url);
    }
    let schema = schema.unwrap_or_else(|| Arc::new(Schema::empty()));
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// The columns of both.
fn widened(one: &Schema, other: &Schema) -> Schema {
    let both = |field: &Field| match other.field_with_name(field.name()) {
        Err(_) => field.clone().with_nullable(true),
        Ok(same) => Field::new(field.name(), wider(field.data_type(), same.data_type()), true),
    };
    let known = one.fields().iter().map(|field| both(field));
    let more = other.fields().iter().filter(|field| one.field_with_name(field.name()).is_err());
    Schema::new(known.chain(more.map(|field| field.as_ref().clone().with_nullable(true))).collect::<Vec<_>>())
}

fn wider(one: &DataType, other: &DataType) -> DataType {
    match (one, other) {
        _ if one == other => one.clone(),
        (DataType::Null, kind) | (kind, DataType::Null) => kind.clone(),
        _ if one.is_integer() && other.is_integer() => DataType::Int64,
        _ if one.is_numeric() && other.is_numeric() => DataType::Float64,
        _ => DataType::Utf8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_files_are() {
        for (name, wanted) in [
            ("a.parquet", Some(Kind::Parquet)),
            ("A.CSV", Some(Kind::Csv)),
            ("a.tsv.gz", Some(Kind::Tsv)),
            ("a.jsonl", Some(Kind::Lines)),
            ("a.log", None),
            ("csv", None),
            ("a.log.gz", None),
        ] {
            assert_eq!(Kind::of(Path::new(name)), wanted, "{name}");
        }
    }

    #[test]
    fn separators_are_told_by_the_first_line() {
        for (text, wanted) in [
            ("a,b\n1;2;3\n", b','),
            ("\"a,b,c\";d;e\n", b';'),
            ("a\n", b','),
            ("a|b", b'|'),
            ("a\tb", b'\t'),
            ("", b','),
        ] {
            assert_eq!(char::from(separator_of(text.as_bytes())), char::from(wanted), "{text}");
        }
    }

    #[test]
    fn what_differs_is_widened() {
        for (one, other, wanted) in [
            (DataType::Int64, DataType::Float64, DataType::Float64),
            (DataType::Null, DataType::Int64, DataType::Int64),
            (DataType::Boolean, DataType::Int64, DataType::Utf8),
        ] {
            assert_eq!(wider(&one, &other), wanted);
            assert_eq!(wider(&other, &one), wanted);
        }
    }
}
