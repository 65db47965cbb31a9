//! The files of a statement, found, looked at and made into tables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use parking_lot::Mutex;
use visitlog_core::Timestamp;
use visitlog_enrich::Enricher;
use visitlog_logs::{ChunkReader, Format, Hints, Input, Parser, Wanted, detect, fitted};

use super::account::{Account, Ledger, OnReject};
use super::error::{FilesError, with_sources};
use super::rejects::RejectsTable;
use super::sessions::{SessionOptions, SessionsTable};
use super::table::LogTable;
use crate::data_files::{self, Kind};
use crate::sql::rewrite::{ColumnNames, wants_everything};
use crate::sql::{Argument, Catalog, CatalogError, Dialect, Source, SourceKind, SqlError, Table, sources};

/// Directives that are gathered before they are looked at.
const DIRECTIVES_BYTES_MAX: usize = 64 << 10;
/// The format whose columns may change inside a file.
const W3C: &str = "w3c";

/// How files are read.
#[derive(Clone, Default)]
pub struct FileOptions {
    /// The format of all files: a name, or a format string of nginx or Apache. Default: each file's own, by its content.
    pub format: Option<String>,
    /// What is known of the files that they don't say themselves: their zone, the unit of their durations. (When files
    /// were written last is looked at.)
    pub hints: Hints,
    /// How many lines of a table may be rejected. Default: any number.
    pub max_errors: Option<u64>,
    /// Takes the lines that are rejected.
    pub on_reject: Option<OnReject>,
    /// Whose statement it is. Default: SQL's.
    pub dialect: Dialect,
    /// What the visits of `sessions(...)` are enriched by. Default: one with the embedded data.
    pub enricher: Option<Arc<Enricher>>,
}

impl std::fmt::Debug for FileOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileOptions")
            .field("format", &self.format)
            .field("max_errors", &self.max_errors)
            .finish_non_exhaustive()
    }
}

/// Which format a file has, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The file.
    pub file: Arc<str>,
    /// The format's name.
    pub format: String,
    /// What that rests on.
    pub because: String,
}

/// A file whose format is known.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) input: Input,
    pub(super) format: Format,
    because: String,
    hints: Hints,
    /// Standard input and pipes, which can't be opened again.
    opened: Mutex<Option<ChunkReader>>,
}

impl LogFile {
    /// Looks at a file.
    pub(super) fn open(input: Input, format: Option<&Format>, hints: &Hints) -> Result<Self, FilesError> {
        let mut chunks = input.open()?;
        let sample = chunks.sample()?;
        let (format, because) = match format {
            Some(format) => (fitted(format, sample), "it was asked for".to_owned()),
            None if sample.is_empty() => (Format::named("combined")?, "the file is empty".to_owned()),
            None => {
                let found = detect(sample, input.name())?;
                (found.format, found.because)
            }
        };
        let hints = Hints { until: Some(changed(&input)), ..hints.clone() };
        let opened = Mutex::new((!input.is_regular()).then_some(chunks));
        Ok(Self { input, format, because, hints, opened })
    }

    /// Which format it has, and why.
    pub(super) fn verdict(&self) -> Verdict {
        let (file, format) = (Arc::clone(self.input.name()), self.format.name().to_owned());
        Verdict { file, format, because: self.because.clone() }
    }

    /// What reads its lines.
    pub(super) fn parser(&self, wanted: Wanted) -> Parser {
        Parser::new(&self.format, wanted).with_hints(self.hints.clone())
    }

    /// Takes all `#Fields` of the file for its columns, not only those at its start.
    fn find_all_fields(&mut self) -> Result<(), FilesError> {
        if !self.input.is_regular() {
            return Ok(());
        }
        let (mut chunks, mut directives, mut used) = (self.input.open()?, Vec::new(), Vec::new());
        while let Some(chunk) = chunks.next_chunk(used)? {
            for line in chunk.lines().filter(|line| line.bytes.starts_with(b"#")) {
                directives.extend_from_slice(line.bytes);
                directives.push(b'\n');
            }
            if directives.len() > DIRECTIVES_BYTES_MAX {
                self.format = self.format.with_sample(&directives);
                directives.clear();
            }
            used = chunk.bytes;
        }
        self.format = self.format.with_sample(&directives);
        Ok(())
    }

    /// Its text, from its start.
    pub(super) fn chunks(&self) -> Result<ChunkReader, FilesError> {
        if self.input.is_regular() {
            return Ok(self.input.open()?);
        }
        self.opened.lock().take().ok_or(FilesError::StandardInput)
    }
}

/// When it was written last; now, where that is not known: syslog's times have no year.
fn changed(input: &Input) -> Timestamp {
    let changed = input.path().and_then(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok());
    let changed = changed.and_then(|changed| jiff::Timestamp::try_from(changed).ok());
    Timestamp::from_micros(changed.unwrap_or_else(jiff::Timestamp::now).as_microsecond())
}

/// The files of one statement, opened.
#[derive(Debug)]
pub struct Files {
    sources: Vec<Source>,
    tables: Vec<Table>,
    columns: ColumnNames,
    verdicts: Vec<Verdict>,
    /// Some can't be read twice.
    has_pipes: bool,
    ledgers: Vec<Arc<Ledger>>,
}

impl Files {
    /// Opens the files that a statement names; `None` if it names none. What is a file is said at [`sources`].
    ///
    /// # Errors
    /// When a file is not there, can't be read, or is of no known format.
    pub fn open(sql: &str, options: &FileOptions) -> Result<Option<Self>, SqlError> {
        let sources = sources(sql, options.dialect, &|name| Path::new(name).is_file())?;
        if sources.is_empty() {
            return Ok(None);
        }
        let files = Self::of(sources.clone(), options, false)?;
        // A field that is named and not there may be named by a later line of the file, and who wants all of them wants those of
        // later lines. (Standard input is not read twice.)
        let reads_input = files.has_pipes;
        let wants_all = || files.has_w3c() && wants_everything(sql, options.dialect);
        if !reads_input && (files.columns.is_one_missing(sql, options.dialect, &sources) || wants_all()) {
            return Ok(Some(Self::of(sources, options, true)?));
        }
        Ok(Some(files))
    }

    fn of(sources: Vec<Source>, options: &FileOptions, wants_all_fields: bool) -> Result<Self, FilesError> {
        let mut files = Self {
            sources,
            tables: Vec::new(),
            columns: ColumnNames::default(),
            verdicts: Vec::new(),
            has_pipes: false,
            ledgers: Vec::new(),
        };
        let (mut names, mut own, mut has_w3c, mut has_input) = (Vec::new(), Vec::new(), false, false);
        for (at, source) in files.sources.clone().into_iter().enumerate() {
            if let Some(same) = files.sources[..at].iter().find(|before| before.name == source.name) {
                files.sources[at].kind = same.kind.clone();
            }
            if files.tables.iter().any(|(name, _)| *name == source.name) {
                continue;
            }
            let reads_input = source.patterns().contains(&"-");
            if reads_input && std::mem::replace(&mut has_input, true) {
                return Err(FilesError::StandardInput);
            }
            let data = if options.format.is_none() { data_of(&source)? } else { None };
            let looked_at = match &data {
                Some((kind, _)) if !kind.may_be_log() => None,
                _ => match (files.look_at(&source, options, wants_all_fields), &data) {
                    (Err(FilesError::Detect(_)), Some(_)) => None,
                    (looked_at, _) => Some(looked_at?),
                },
            };
            let (logs, ledger) = match (looked_at, data) {
                (Some(looked_at), _) => looked_at,
                (None, None) => continue,
                (None, Some((kind, paths))) => {
                    let table = files.data(&source, kind, &paths)?;
                    names.extend(table.schema().fields().iter().map(|field| field.name().clone()));
                    files.sources[at].kind = SourceKind::Data { patterns: owned(source.patterns()) };
                    files.tables.push((source.name, table));
                    continue;
                }
            };
            has_w3c |= logs.iter().any(|file| file.format.name() == W3C);
            let table: Arc<dyn TableProvider> = match &source.kind {
                SourceKind::Log { .. } | SourceKind::Data { .. } => {
                    let table = LogTable::new(logs, ledger);
                    names.extend(table.column_names());
                    own.push((source.name.clone(), table.own_columns()));
                    Arc::new(table)
                }
                SourceKind::Rejects { .. } => Arc::new(RejectsTable::new(logs, ledger)),
                SourceKind::Sessions { arguments } => {
                    let settings = SessionOptions::of(arguments)?;
                    Arc::new(SessionsTable::new(logs, ledger, settings, options.enricher.clone()))
                }
            };
            files.tables.push((source.name, table));
        }
        files.columns = ColumnNames::new(names, has_w3c).with_logs(own);
        Ok(files)
    }

    /// The files of a source, and the ledger of their lines.
    fn look_at(
        &mut self,
        source: &Source,
        options: &FileOptions,
        wants_all_fields: bool,
    ) -> Result<(Arc<[LogFile]>, Arc<Ledger>), FilesError> {
        let patterns = source.patterns();
        let call = match &source.kind {
            SourceKind::Log { .. } | SourceKind::Data { .. } => None,
            SourceKind::Rejects { arguments } => Some(("rejects", arguments.as_slice())),
            SourceKind::Sessions { arguments } => Some(("sessions", arguments.as_slice())),
        };
        if let Some((call, _)) = call.filter(|_| patterns.is_empty()) {
            return Err(FilesError::Argument { call, what: "a file expected, as in ('access.log')".to_owned() });
        }
        let own = call.and_then(|(_, arguments)| named(arguments, "format")).or(options.format.as_deref());
        if let Some(("rejects", arguments)) = call {
            only("rejects", arguments, &["format"])?;
        }
        let format = own.map(Format::named).transpose()?;
        let ledger = Arc::new(Ledger::new(&source.name, options.max_errors, options.on_reject.clone()));
        let (mut logs, mut wrong) = (Vec::new(), None);
        for input in Input::find(&patterns)? {
            let name = Arc::clone(input.name());
            let mut file = match LogFile::open(input, format.as_ref(), &options.hints) {
                Ok(file) => file,
                Err(error) => {
                    ledger.warn(format!("{name} is left out: {}", with_sources(&error)));
                    wrong = wrong.or(Some(error));
                    continue;
                }
            };
            self.has_pipes |= !file.input.is_regular();
            if wants_all_fields && file.format.name() == W3C {
                file.find_all_fields()?;
            }
            let verdict = file.verdict();
            if !self.verdicts.contains(&verdict) {
                self.verdicts.push(verdict);
            }
            logs.push(file);
        }
        // One bad file is said and left out; where there is no other, it is an error.
        if let Some(error) = wrong.filter(|_| logs.is_empty()) {
            return Err(error);
        }
        self.ledgers.push(Arc::clone(&ledger));
        Ok((logs.into(), ledger))
    }

    /// The table of files that are tables already.
    fn data(&mut self, source: &Source, kind: Kind, paths: &[PathBuf]) -> Result<Arc<dyn TableProvider>, FilesError> {
        let table = data_files::table(paths, kind).map_err(|error| FilesError::Data {
            name: source.name.clone(),
            kind: kind.name(),
            why: error.find_root().strip_backtrace(),
        })?;
        let because = "its name ends so".to_owned();
        self.verdicts.extend(paths.iter().map(|path| Verdict {
            file: path.to_string_lossy().into(),
            format: kind.name().to_owned(),
            because: because.clone(),
        }));
        Ok(table)
    }

    fn has_w3c(&self) -> bool {
        self.verdicts.iter().any(|verdict| verdict.format == W3C)
    }

    /// Which format each file has, and why.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// What became of the lines so far: asked when the statement is over.
    pub fn account(&self) -> Account {
        self.ledgers.iter().map(|ledger| ledger.account()).collect()
    }

    /// Whether the statement names tables that are no files: then these are needed, too.
    pub(crate) fn sources(&self) -> &Vec<Source> {
        &self.sources
    }

    pub(crate) const fn column_names(&self) -> &ColumnNames {
        &self.columns
    }
}

/// What the files of a source are, if all are data of one kind by their names.
fn data_of(source: &Source) -> Result<Option<(Kind, Vec<PathBuf>)>, FilesError> {
    if !matches!(source.kind, SourceKind::Log { .. }) || source.patterns().contains(&"-") {
        return Ok(None);
    }
    let inputs = Input::find(&source.patterns())?;
    let Some(paths) = inputs.iter().map(|input| input.path().map(Path::to_owned)).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let mut kinds = paths.iter().map(|path| Kind::of(path));
    let first = kinds.next().flatten();
    Ok(first.filter(|first| kinds.all(|kind| kind == Some(*first))).map(|kind| (kind, paths)))
}

fn owned(patterns: Vec<&str>) -> Vec<String> {
    patterns.into_iter().map(str::to_owned).collect()
}

/// The value of `name => value`.
pub(super) fn named<'a>(arguments: &'a [Argument], name: &str) -> Option<&'a str> {
    arguments.iter().find(|argument| argument.name.as_deref() == Some(name)).map(|argument| argument.value.as_str())
}

/// Refuses arguments of other names.
pub(super) fn only(call: &'static str, arguments: &[Argument], known: &[&str]) -> Result<(), FilesError> {
    let unknown = arguments.iter().filter_map(|argument| argument.name.as_deref()).find(|name| !known.contains(name));
    match unknown {
        None => Ok(()),
        Some(name) => {
            let near = crate::sql::nearest(name, known).map(|near| format!(", perhaps {near}")).unwrap_or_default();
            Err(FilesError::Argument {
                call,
                what: format!("no argument {name}{near}; there are {}", known.join(", ")),
            })
        }
    }
}

/// The tables of files, and those of another catalog.
#[derive(Debug, Clone)]
pub struct WithFiles {
    files: Arc<Files>,
    others: Option<Arc<dyn Catalog>>,
}

impl WithFiles {
    /// The tables of `files`, and those of `others`.
    pub const fn new(files: Arc<Files>, others: Option<Arc<dyn Catalog>>) -> Self {
        Self { files, others }
    }
}

#[async_trait]
impl Catalog for WithFiles {
    async fn tables(&self) -> Result<Vec<Table>, CatalogError> {
        let mut tables = match &self.others {
            Some(others) => others.tables().await?,
            None => Vec::new(),
        };
        tables.extend(self.files.tables.iter().cloned());
        Ok(tables)
    }

    fn files(&self) -> Option<&Files> {
        Some(&self.files)
    }
}
