//! `[[redirect]]`: who is led elsewhere by where he is.

use toml_edit::{Array, InlineTable, Value as Toml};
use visitlog_core::model::CountryCode;
use visitlog_server::layer_settings::Redirect;

use super::given::Given;
use super::value::{Kind, Value};

/// A redirect: a table of the file, or a text such as `country=DE,AT from=/ to=/de/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectRule(pub Redirect);

/// What a redirect consists of, whether that is a list, and what it means.
const PARTS: &[(&str, bool, &str)] = &[
    ("country", true, "Countries, as DE"),
    ("language", true, "Languages: the one that the browser wants most, as de or pt-BR"),
    ("from", false, "A path; /blog/* is all below /blog/"),
    ("to", false, "A path or a URL; /de/blog/* ends in what the star stood for"),
];

const EXPECTED: &str =
    "country or language, from and to expected, as country = [\"DE\", \"AT\"], from = \"/\", to = \"/de/\"";

impl Value for RedirectRule {
    const KIND: Kind = Kind::Tables(PARTS);

    fn read(given: &Given) -> Result<Self, String> {
        let parts: Vec<(String, Given)> = match given {
            Given::Table(parts) => parts.clone(),
            Given::Text(text) if text.starts_with('{') => {
                match text.parse::<Toml>().map(|value| Given::of_toml(&value)) {
                    Ok(Given::Table(parts)) => parts,
                    _ => return Err(format!("{EXPECTED}; {given} found")),
                }
            }
            Given::Text(text) => text
                .split_whitespace()
                .map(|part| {
                    let (key, value) = part.split_once('=').ok_or_else(|| format!("{EXPECTED}; {part:?} found"))?;
                    let is_list = PARTS.iter().any(|(name, is_list, _)| *name == key && *is_list);
                    Ok((key.to_owned(), Given::of_text(value, is_list)?))
                })
                .collect::<Result<_, String>>()?,
            other => return Err(format!("{EXPECTED}; {other} found")),
        };
        let mut redirect = Redirect::default();
        for (key, given) in &parts {
            let in_place = |what: String| format!("{key}: {what}");
            match key.as_str() {
                "country" => redirect.countries = texts(given, country).map_err(in_place)?,
                "language" => redirect.languages = texts(given, |text| Ok(text.to_owned())).map_err(in_place)?,
                "from" => redirect.from = String::read(given).map_err(in_place)?,
                "to" => redirect.to = String::read(given).map_err(in_place)?,
                _ => return Err(format!("country, language, from or to expected, {key:?} found")),
            }
        }
        if redirect.from.is_empty() || redirect.to.is_empty() {
            return Err(format!("{EXPECTED}; {given} found"));
        }
        Ok(Self(redirect))
    }

    fn toml(&self) -> Option<Toml> {
        let Redirect { countries, languages, from, to } = &self.0;
        let mut table = InlineTable::new();
        if !countries.is_empty() {
            table.insert("country", countries.iter().map(CountryCode::as_str).collect::<Array>().into());
        }
        if !languages.is_empty() {
            table.insert("language", languages.iter().map(String::as_str).collect::<Array>().into());
        }
        table.insert("from", from.as_str().into());
        table.insert("to", to.as_str().into());
        Some(Toml::InlineTable(table))
    }
}

fn country(text: &str) -> Result<CountryCode, String> {
    CountryCode::new(text).ok_or_else(|| format!("two letters such as DE expected, {text:?} found"))
}

/// One text, or a list of them.
fn texts<T>(given: &Given, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let one = |given: &Given| match given {
        Given::Text(text) => read(text),
        other => Err(format!("a text expected, {other} found")),
    };
    match given {
        Given::List(parts) => parts.iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_what_a_table_does() {
        let rule = RedirectRule::read(&Given::Text("country=DE,at language=de from=/ to=/de/".into())).expect("a rule");
        assert_eq!(rule.0.countries.iter().map(CountryCode::as_str).collect::<Vec<_>>(), ["DE", "AT"]);
        let toml = rule.toml().expect("written");
        assert_eq!(toml.to_string(), r#"{ country = ["DE", "AT"], language = ["de"], from = "/", to = "/de/" }"#);
        assert_eq!(RedirectRule::read(&Given::of_toml(&toml)), Ok(rule.clone()));
        assert_eq!(RedirectRule::read(&Given::Text(toml.to_string())), Ok(rule));
    }

    #[test]
    fn what_is_wrong_with_one_is_said() {
        let said = |text: &str| RedirectRule::read(&Given::Text(text.into())).expect_err(text);
        assert!(
            said("country=Germany from=/ to=/de/")
                .contains("country: two letters such as DE expected, \"Germany\" found")
        );
        assert!(said("from=/").contains("from and to expected"));
        assert!(said("county=DE from=/ to=/de/").contains("country, language, from or to expected, \"county\" found"));
        assert!(said("/ /de/").contains("\"/\" found"));
        assert!(RedirectRule::read(&Given::Switch(true)).is_err_and(|said| said.contains("true found")));
    }
}
