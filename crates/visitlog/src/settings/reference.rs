//! What is made of the table for people and editors: the page, the schema, the file to begin with.

use serde_json::{Map, Value as Json, json};

use super::load::{FILE, FILE_VARIABLE};
use super::table::{ROWS, Row, Settings};
use super::value::Kind;

/// The rows, section by section.
fn sections() -> impl Iterator<Item = (&'static str, &'static str, Vec<&'static Row>)> {
    let mut sections: Vec<(&str, &str, Vec<&Row>)> = Vec::new();
    for row in ROWS {
        let name = row.parts().0;
        match sections.last_mut() {
            Some((last, _, rows)) if *last == name => rows.push(row),
            _ => sections.push((name, row.title, vec![row])),
        }
    }
    sections.into_iter()
}

/// `docs/settings.md`.
pub fn page() -> String {
    let mut page = format!(
        "# Settings\n\nThey come from `{FILE}` (in the current folder, or where `--config` or `{FILE_VARIABLE}` says), from the \
         environment, and from options of the command line: the later ones win. `visitlog config init` writes a file to begin \
         with, `visitlog config set KEY VALUE` changes one setting in it, `visitlog config check` says what is wrong with it, and \
         `visitlog config show --all` what holds, and who said so.\n\n\
         - The variable of `cookie.name` is `VISITLOG_COOKIE_NAME`, and so on. A list's parts stand between commas there.\n\
         - Settings marked *site* may stand in a site's section too, which is stronger than what is said of all sites: \
         `[site.\"shop.example\"]`, `[site.\"shop.example\".cookie]`.\n\
         - Those marked *live* are taken over by a running server on `visitlog reload` or SIGHUP; the others when it starts.\n\
         - A `*_file` marked *secret* holds a secret, which no setting does itself. A credential of systemd does as well: \
         `LoadCredential=identity.keys:/etc/visitlog/keys`.\n"
    );
    for (name, title, rows) in sections() {
        let header = if name.is_empty() { String::new() } else { format!(" `[{name}]`") };
        page.push_str(&format!(
            "\n## {title}{header}\n\n| setting | default | option | what it means |\n|---|---|---|---|\n"
        ));
        for row in rows.into_iter().filter(|row| !row.traits.hidden) {
            let marks = [("site", row.traits.site), ("live", row.traits.live), ("secret", row.traits.secret)];
            let marks: Vec<&str> = marks.iter().filter(|(_, is)| *is).map(|(mark, _)| *mark).collect();
            let marks = if marks.is_empty() { String::new() } else { format!(" *{}*", marks.join(", ")) };
            let words = match row.kind {
                Kind::Choice(words) => {
                    let words: Vec<String> =
                        words.iter().map(|(word, what)| format!("`{word}`: {}", what.trim())).collect();
                    format!("<br>{}", words.join("<br>"))
                }
                Kind::Tables(parts) => {
                    let parts: Vec<String> = parts.iter().map(|(name, _, what)| format!("`{name}`: {what}")).collect();
                    format!("<br>{}", parts.join("<br>"))
                }
                _ => String::new(),
            };
            let default = match (row.value(&Settings::default()), row.traits.without) {
                (Some(value), None) => format!("`{value}`"),
                (_, without) => without.unwrap_or("not set").to_owned(),
            };
            let about = format!("{}{words}{marks}", row.about()).replace('|', "\\|");
            page.push_str(&format!("| `{}` | {default} | `--{}` | {about} |\n", row.key, row.flag()));
        }
    }
    page
}

/// A JSON schema of the file, for editors.
pub fn schema() -> Json {
    let mut properties = Map::new();
    let mut of_sites = Map::new();
    for (name, title, rows) in sections() {
        let object = |rows: &[&Row]| -> Map<String, Json> {
            rows.iter().map(|row| (row.parts().1.to_owned(), property(row))).collect()
        };
        let own: Vec<&Row> = rows.iter().copied().filter(|row| row.traits.site).collect();
        for (rows, target) in [(rows, &mut properties), (own, &mut of_sites)] {
            if name.is_empty() {
                target.extend(object(&rows));
            } else if !rows.is_empty() {
                let section = json!({
                    "type": "object", "description": title, "properties": object(&rows), "additionalProperties": false,
                });
                target.insert(name.to_owned(), section);
            }
        }
    }
    let site = json!({ "type": "object", "properties": of_sites, "additionalProperties": false });
    let sites = json!({
        "type": "object", "description": "Settings of one site, by its host name", "additionalProperties": site,
    });
    properties.insert("site".to_owned(), sites);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FILE,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn property(row: &Row) -> Json {
    let mut property = match row.kind {
        Kind::Text | Kind::Time | Kind::Address | Kind::Path => json!({ "type": "string" }),
        Kind::Size => json!({ "type": ["string", "integer"], "pattern": "^[0-9]+ *([kKMG]i?B|B)?$" }),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Number => json!({ "type": "integer", "minimum": 0 }),
        Kind::List => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Tables(parts) => json!({ "type": "array", "items": table(parts) }),
        Kind::Choice(words) => json!({ "enum": words.iter().map(|(word, _)| *word).collect::<Vec<_>>() }),
    };
    property["description"] = row.about().into();
    let default = row.value(&Settings::default()).and_then(|text| text.parse::<toml_edit::Value>().ok());
    if let Some(default) = default {
        property["default"] = json_of(&default);
    }
    property
}

/// A table of a list; or a text that says the same.
fn table(parts: &[(&str, bool, &str)]) -> Json {
    let part = |(name, is_list, about): &(&str, bool, &str)| {
        let text = json!({ "type": "string" });
        let kind = if *is_list { json!({ "anyOf": [text, { "type": "array", "items": text }] }) } else { text };
        let mut property = kind;
        property["description"] = (*about).into();
        ((*name).to_owned(), property)
    };
    let properties: Map<String, Json> = parts.iter().map(part).collect();
    json!({ "anyOf": [{ "type": "string" }, { "type": "object", "properties": properties, "additionalProperties": false }] })
}

fn json_of(value: &toml_edit::Value) -> Json {
    match value {
        toml_edit::Value::String(text) => text.value().as_str().into(),
        toml_edit::Value::Integer(number) => (*number.value()).into(),
        toml_edit::Value::Boolean(switch) => (*switch.value()).into(),
        toml_edit::Value::Array(array) => array.iter().map(json_of).collect(),
        other => other.to_string().into(),
    }
}

/// A file to begin with: every setting as it is without a word, behind a `#`.
pub fn template() -> String {
    let mut text = String::from(
        "# The settings of Visitlog. Each line behind a # is what holds without it; take the # away and change it.\n\
         # `visitlog config check` says whether all is well, `visitlog config show --all` what holds and who said so.\n",
    );
    for (name, title, rows) in sections() {
        text.push_str(&format!("\n# {title}.\n"));
        if !name.is_empty() {
            text.push_str(&format!("[{name}]\n"));
        }
        for row in rows.into_iter().filter(|row| !row.traits.hidden) {
            text.push_str(&format!("# {}", row.about()));
            if let Kind::Choice(words) = row.kind {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                text.push_str(&format!(": {}", words.join(", ")));
            }
            if let Some(without) = row.traits.without {
                text.push_str(&format!(". Without: {without}"));
            }
            let value = row.value(&Settings::default()).unwrap_or_else(|| "\"\"".to_owned());
            text.push_str(&format!(".\n#{} = {value}\n", row.parts().1));
        }
    }
    text.push_str("\n# Settings of one site; docs/settings.md says which there are.\n#[site.\"shop.example\"]\n#enabled = false\n");
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file;
    use super::super::given::Given;
    use super::*;

    #[test]
    fn the_file_to_begin_with_says_what_holds_without_it() {
        let text = template();
        assert!(file::read(&text, Path::new("x")).expect("a file").entries.is_empty());
        let (text, _) = text.split_once("\n# Settings of one site").expect("the last part");
        let all: String = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if rest.contains(" = ") && !rest.starts_with(' ') && !rest.ends_with("\"\"") => {
                    format!("{rest}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        let file = file::read(&all, Path::new("x")).expect(&all);
        let mut settings = Settings::default();
        for entry in &file.entries {
            (entry.row.read)(&mut settings, &entry.given).expect(entry.row.key);
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn the_schema_knows_each_setting() {
        let schema = schema();
        for row in ROWS {
            let (section, name) = row.parts();
            let at =
                if section.is_empty() { &schema["properties"] } else { &schema["properties"][section]["properties"] };
            assert!(at[name]["description"].is_string(), "{}", row.key);
        }
        assert_eq!(schema["properties"]["cookie"]["properties"]["http_only"]["default"], json!(true));
        let of_sites = &schema["properties"]["site"]["additionalProperties"]["properties"];
        assert!(of_sites["cookie"]["properties"]["name"].is_object() && of_sites["listen"].is_null());
    }

    /// Every key, by file, environment and option.
    #[test]
    fn every_setting_comes_back_as_it_was_given() {
        for row in ROWS {
            let wanted = other_value(row);
            let mut settings = Settings::default();
            let given = Given::of_text(&wanted, row.kind.is_list()).expect(row.key);
            (row.read)(&mut settings, &given).unwrap_or_else(|what| panic!("{}: {what}", row.key));
            assert!(!row.is_same(&settings, &Settings::default()), "{} = {wanted} is the default", row.key);
            let value = row.value(&settings).expect(row.key);
            let (section, name) = row.parts();
            let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
            let file = file::read(&format!("{header}{name} = {value}\n"), Path::new("x")).expect(row.key);
            let mut again = Settings::default();
            (row.read)(&mut again, &file.entries[0].given).unwrap_or_else(|what| panic!("{}: {what}", row.key));
            assert_eq!(again, settings, "{}", row.key);
        }
    }

    /// A value that is not the default.
    fn other_value(row: &Row) -> String {
        match (row.key, row.kind) {
            ("upstream", _) => "http://127.0.0.1:1".to_owned(),
            ("cookie.max_age", _) => "browser".to_owned(),
            ("cookie.path", _) => "/shop".to_owned(),
            ("identity.keys_file", _) => "/dev/null".to_owned(),
            ("identity.trusted_proxies" | "record.exclude_addresses", _) => "10.0.0.0/8,fd00::/8".to_owned(),
            (key, Kind::List) if key.ends_with("paths") => "/a,/b".to_owned(),
            (_, Kind::List) => "a,b".to_owned(),
            ("webhook", _) => "[\"name=crm url=https://crm.example/\", \"name=p exec=/bin/cat,-n\"]".to_owned(),
            (_, Kind::Tables(_)) => "[\"country=DE,AT from=/ to=/de/\", \"language=fr from=/a/* to=/fr/*\"]".to_owned(),
            (_, Kind::Text | Kind::Path) => "other".to_owned(),
            (_, Kind::Switch) => (row.value(&Settings::default()).as_deref() == Some("false")).to_string(),
            (_, Kind::Number) => "7".to_owned(),
            (_, Kind::Time) => "7s".to_owned(),
            (_, Kind::Size) => "7MiB".to_owned(),
            (_, Kind::Address) => "127.0.0.1:7".to_owned(),
            (_, Kind::Choice(words)) => words[words.len() - 1].0.to_owned(),
        }
    }
}
