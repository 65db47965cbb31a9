//! `visitlog.toml`: what stands in it, and on which line.

use std::ops::Range;
use std::path::Path;

use toml_edit::{ArrayOfTables, Document, Item, Key, TableLike};
use visitlog_core::Host;

use super::given::{Given, Origin};
use super::problem::{Problem, Problems};
use super::table::{ROWS, Row};
use super::value::{Kind, Value as _};

/// A setting that the file has.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) row: &'static Row,
    pub(super) given: Given,
    pub(super) origin: Origin,
}

/// All that the file has.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) entries: Vec<Entry>,
    pub(super) sites: Vec<(Host, Vec<Entry>)>,
}

/// The table whose tables are sites.
pub(super) const SITES: &str = "site";

/// Reads a file's text. `path` is what messages call it.
pub(super) fn read(text: &str, path: &Path) -> Result<File, Problems> {
    let mut reader = Reader { text, path, problems: Vec::new() };
    let document = Document::parse(text).map_err(|error| {
        let what = error.message().trim().replace('\n', ", ");
        Problem::new(reader.at(error.span()), "", what)
    })?;
    let mut file = File::default();
    for (key, item) in with_keys(document.as_table()) {
        match item.as_table_like() {
            Some(sites) if key.get() == SITES => {
                for (name, item) in with_keys(sites) {
                    let origin = reader.at(name.span());
                    let host = Host::read(&Given::Text(name.get().to_owned()));
                    match (host, item.as_table_like()) {
                        (Ok(host), Some(table)) => {
                            let mut entries = Vec::new();
                            for (key, item) in with_keys(table) {
                                reader.item("", &key, item, &mut entries);
                            }
                            entries.retain(|entry| reader.is_of_sites(entry));
                            file.sites.push((host, entries));
                        }
                        (Err(what), _) => reader.problems.push(Problem::new(origin, SITES, what)),
                        (_, None) => {
                            let what = format!("settings of a site expected, as [site.\"{}\"]", name.get());
                            reader.problems.push(Problem::new(origin, format!("site.{}", name.get()), what));
                        }
                    }
                }
            }
            _ => reader.item("", &key, item, &mut file.entries),
        }
    }
    if reader.problems.is_empty() { Ok(file) } else { Err(Problems(reader.problems)) }
}

fn with_keys(table: &dyn TableLike) -> impl Iterator<Item = (Key, &Item)> {
    table.iter().filter_map(|(name, item)| Some((table.key(name)?.clone(), item)))
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn at(&self, span: Option<Range<usize>>) -> Origin {
        let before = span.and_then(|span| self.text.get(..span.start)).unwrap_or_default();
        Origin::File { path: self.path.to_owned(), line: 1 + before.matches('\n').count() }
    }

    /// A key of a section, or a section.
    fn item(&mut self, section: &str, key: &Key, item: &Item, entries: &mut Vec<Entry>) {
        let name = if section.is_empty() { key.get().to_owned() } else { format!("{section}.{}", key.get()) };
        let origin = self.at(key.span().or_else(|| item.span()));
        if let Some(row) = Row::of(&name) {
            let tables =
                |tables: &ArrayOfTables| Given::List(tables.iter().map(|table| Given::of_table(table)).collect());
            let given = item.as_value().map(Given::of_toml).or_else(|| item.as_array_of_tables().map(tables));
            match given {
                Some(Given::Text(text)) if row.kind == Kind::Switch => {
                    self.problems.push(Problem::new(origin, name, format!("true or false expected, {text:?} found")));
                }
                Some(given) => entries.push(Entry { row, given, origin }),
                None => self.problems.push(Problem::new(origin, name, "a value expected, a table found")),
            }
            return;
        }
        let is_section = section.is_empty() && ROWS.iter().any(|row| row.parts().0 == name);
        match item.as_table_like() {
            Some(table) if is_section => {
                for (key, item) in with_keys(table) {
                    self.item(&name, &key, item, entries);
                }
            }
            None if is_section => {
                let what = format!("settings expected, as [{name}]; a value found");
                self.problems.push(Problem::new(origin, name, what));
            }
            // Each of its lines is wrong, but one word about it is enough.
            _ => self.problems.push(Problem::unknown(origin, &name)),
        }
    }

    fn is_of_sites(&mut self, entry: &Entry) -> bool {
        if !entry.row.traits.site {
            let what = "it is one for the whole server: move it out of the site's section";
            self.problems.push(Problem::new(entry.origin.clone(), entry.row.key, what));
        }
        entry.row.traits.site
    }
}
