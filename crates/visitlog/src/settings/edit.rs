//! Changes of the file that leave alone what they are not about: comments, order, line ends.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, Value as Toml};
use visitlog_core::Host;

use super::file;
use super::given::{Given, Origin};
use super::problem::{Problem, Problems};
use super::table::{Row, Settings};

/// A file's text with a setting in it; of a site, if one is named. `path` is what messages call the file.
///
/// # Errors
/// When the value is none, the site may have none of its own, or the file was wrong before.
pub fn set(text: &str, path: &Path, site: Option<&Host>, row: &Row, given: &Given) -> Result<String, Problems> {
    let mut settings = Settings::default();
    (row.read)(&mut settings, given).map_err(|what| Problem::new(Origin::Default, row.key, what))?;
    if site.is_some() && !row.traits.site {
        let what = "it is one for the whole server: leave the site out";
        return Err(Problem::new(Origin::Default, row.key, what).into());
    }
    let Some(value) = (row.show)(&settings) else { return unset(text, path, site, row) };
    file::read(text, path)?;
    let (section, name) = row.parts();
    let mut document = parsed(text, path)?;
    let there = table(&mut document, site, section, false).is_some_and(|table| table.contains_key(name));
    if !there
        && site.is_none()
        && let Some(text) = uncommented(text, section, name, &value)
        && parsed(&text, path).is_ok_and(|mut found| has(&mut found, section, name, &value))
    {
        return Ok(text);
    }
    // What a file begins with stays there, whatever comes new.
    let (comments, rest) = text.split_at(head(text).len());
    let gap = match rest.is_empty() && !comments.is_empty() {
        true if comments.ends_with("\n\n") => "",
        true if comments.ends_with('\n') => "\n",
        true => "\n\n",
        false => "",
    };
    let mut document = parsed(rest, path)?;
    if site.is_none() && section.is_empty() && document.iter().all(|(_, item)| !item.is_value()) {
        // Settings in no section stand above all sections.
        let below = if rest.is_empty() { "" } else { "\n" };
        return Ok(format!("{comments}{gap}{name} = {}\n{below}{rest}", value.decorated("", "")));
    }
    let Some(table) = table(&mut document, site, section, true) else {
        return Err(Problem::new(Origin::Default, row.key, "the file has something else in its place").into());
    };
    match table.get_mut(name).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = value;
            *old.decor_mut() = decor;
        }
        None => drop(table.insert(name, Item::Value(value))),
    }
    Ok(format!("{comments}{gap}{document}"))
}

/// The comments that a file begins with, as far as they are about no line: up to the last blank one.
fn head(text: &str) -> &str {
    let (mut at, mut end) = (0, 0);
    for line in text.split_inclusive('\n') {
        let is_blank = line.trim().is_empty();
        if !is_blank && !line.trim_start().starts_with('#') {
            return &text[..end];
        }
        at += line.len();
        if is_blank {
            end = at;
        }
    }
    text
}

/// A file's text without a setting.
///
/// # Errors
/// When the file was wrong before.
pub fn unset(text: &str, path: &Path, site: Option<&Host>, row: &Row) -> Result<String, Problems> {
    file::read(text, path)?;
    let (section, name) = row.parts();
    let mut document = parsed(text, path)?;
    let removed = table(&mut document, site, section, false).and_then(|table| table.remove(name));
    Ok(if removed.is_some() { document.to_string() } else { text.to_owned() })
}

fn parsed(text: &str, path: &Path) -> Result<DocumentMut, Problems> {
    let origin = || Origin::File { path: path.to_owned(), line: 1 };
    text.parse().map_err(|error: toml_edit::TomlError| Problem::new(origin(), "", error.message()).into())
}

/// The table of a section, of a site's section.
fn table<'a>(
    document: &'a mut DocumentMut,
    site: Option<&Host>,
    section: &str,
    make: bool,
) -> Option<&'a mut dyn toml_edit::TableLike> {
    let mut table: &mut dyn toml_edit::TableLike = document.as_table_mut();
    let site = site.into_iter().flat_map(|host| [file::SITES, host.as_str()]);
    for name in site.chain(Some(section).filter(|section| !section.is_empty())) {
        if make && table.get(name).is_none() {
            let mut new = Table::new();
            // Without settings of its own it needs no line.
            new.set_implicit(true);
            table.insert(name, Item::Table(new));
        }
        table = table.get_mut(name)?.as_table_like_mut()?;
    }
    Some(table)
}

fn has(document: &mut DocumentMut, section: &str, name: &str, value: &Toml) -> bool {
    let found = table(document, None, section, false).and_then(|table| table.get(name)?.as_value().cloned());
    found.is_some_and(|found| Given::of_toml(&found) == Given::of_toml(value))
}

/// The text with `#name = ...` in its section made what is wanted, as `visitlog config init` leaves it.
fn uncommented(text: &str, section: &str, name: &str, value: &Toml) -> Option<String> {
    let (mut here, start) = (String::new(), format!("#{name} = "));
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(header) = line.trim().strip_prefix('[') {
            here = header.trim_end_matches(']').to_owned();
        }
        if here == section && line.starts_with(&start) {
            let end = line.trim_end_matches(['\r', '\n']).len();
            let new = format!("{name} = {}", value.clone().decorated("", ""));
            return Some(format!("{}{new}{}", &text[..at], &text[at + end..]));
        }
        at += line.len();
    }
    None
}

/// Puts a text in a file's place, whole or not at all. Who may read it stays as it was.
///
/// # Errors
/// When the disk refuses.
pub fn store(path: &Path, text: &str) -> io::Result<()> {
    // Where it is a link, it stays one.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fresh = target.with_extension("toml.new");
    let mut file = fs::File::create(&fresh)?;
    file.write_all(text.as_bytes())?;
    if let Ok(about) = fs::metadata(&target) {
        file.set_permissions(about.permissions())?;
    }
    file.sync_all()?;
    fs::rename(&fresh, &target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, site: Option<&str>, key: &str, value: &str) -> String {
        let row = Row::of(key).expect(key);
        let given = Given::of_text(value, row.kind.is_list()).expect(value);
        set(text, Path::new("visitlog.toml"), site.map(Host::new).as_ref(), row, &given).expect("fine")
    }

    #[test]
    fn comments_and_order_stay() {
        let text = "# Ours.\nlisten = \"127.0.0.1:80\" # here\n\n[cookie] # about it\n# a name\nname = 'a'   # short\nsecure = \"always\"\n";
        let text = changed(text, None, "cookie.name", "b");
        let text = changed(&text, None, "listen", "127.0.0.1:81");
        let text = changed(&text, None, "session.idle_timeout", "10m");
        let text = changed(&text, Some("a.example"), "cookie.name", "c");
        let text = changed(&text, Some("a.example"), "enabled", "false");
        insta::assert_snapshot!(text, @r#"
        # Ours.
        listen = "127.0.0.1:81" # here

        [cookie] # about it
        # a name
        name = "b"   # short
        secure = "always"

        [session]
        idle_timeout = "10m"

        [site."a.example"]
        enabled = false

        [site."a.example".cookie]
        name = "c"
        "#);
        let row = Row::of("cookie.name").expect("a row");
        let without = unset(&text, Path::new("x"), None, row).expect("fine");
        assert!(!without.contains("name = \"b\"") && without.contains("name = \"c\""), "{without}");
    }

    #[test]
    fn what_a_file_begins_with_stays_there() {
        let text = changed("# Ours.", None, "cookie.name", "a");
        assert_eq!(text, "# Ours.\n\n[cookie]\nname = \"a\"\n");
        let text = changed(&text, None, "enabled", "false");
        let text = changed(&text, None, "listen", "127.0.0.1:80");
        assert_eq!(text, "# Ours.\n\nenabled = false\nlisten = \"127.0.0.1:80\"\n\n[cookie]\nname = \"a\"\n");
        let text = changed("# Of the cookie.\n[cookie]\nname = \"a\"\n", None, "enabled", "false");
        assert_eq!(text, "enabled = false\n\n# Of the cookie.\n[cookie]\nname = \"a\"\n");
    }

    #[test]
    fn what_init_wrote_is_filled_in_where_it_stands() {
        let text = crate::settings::template();
        let text = changed(&text, None, "cookie.http_only", "false");
        let text = changed(&text, None, "upstream", "http://127.0.0.1:3000");
        let text = changed(&text, None, "record.exclude_paths", "/a,/b");
        let before = crate::settings::template();
        let lines: Vec<&str> = text.lines().filter(|line| !before.lines().any(|old| old == *line)).collect();
        let expected =
            ["upstream = \"http://127.0.0.1:3000\"", "http_only = false", "exclude_paths = [\"/a\", \"/b\"]"];
        assert_eq!(lines, expected);
        assert_eq!(text.lines().count(), before.lines().count());
    }
}
