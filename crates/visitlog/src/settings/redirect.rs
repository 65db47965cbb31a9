//! `[[redirect]]`: who is led elsewhere by where he is.

use toml_edit::{Array, InlineTable, Value as Toml};
use visitlog_core::model::CountryCode;
use visitlog_server::layer_settings::Redirect;

use super::given::Given;
use super::value::{Kind, Value, table_of, texts};

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
        let mut redirect = Redirect::default();
        for (key, given) in &table_of(given, PARTS, EXPECTED)? {
            let in_place = |what: String| format!("{key}: {what}");
            match key.as_str() {
                "country" => redirect.countries = texts(given, country).map_err(in_place)?,
                "language" => redirect.languages = texts(given, |text| Ok(text.to_owned())).map_err(in_place)?,
                "from" => redirect.from = String::read(given).map_err(in_place)?,
                "to" => redirect.to = String::read(given).map_err(in_place)?,
                _ => unreachable!("a table has the keys that it may have"),
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
