//! The formats that have a name.

use std::sync::{Arc, LazyLock};

use super::column::{Meaning, Unit};
use super::inner::{Asides, Body, Escapes, Format, Inner, of_keys};
use super::json::{Keys, Syntax};
use super::layout::{Field, Layout, add_columns};
use super::texts::{TEXTS, Text};
use super::w3c::Directives;

/// IIS's own: 15 values with commas between them.
fn iis() -> Format {
    let fields = vec![
        Field::new("UserIP", Meaning::Client),
        Field::new("UserName", Meaning::User),
        Field::new("Date", Meaning::Date),
        Field::new("Time", Meaning::TimeOfDay),
        Field::new("ServiceInstance", Meaning::Text),
        Field::new("HostName", Meaning::Text),
        Field::new("ServerIP", Meaning::Address),
        Field::new("TimeTaken", Meaning::Duration(Unit::Millis)),
        Field::new("BytesReceived", Meaning::Integer),
        Field::new("BytesSent", Meaning::Bytes),
        Field::new("StatusCode", Meaning::Status),
        Field::new("Win32StatusCode", Meaning::Integer),
        Field::new("RequestType", Meaning::Method),
        Field::new("Target", Meaning::Path),
        Field::new("Parameters", Meaning::Query),
    ];
    let mut columns = Vec::new();
    add_columns(&mut columns, &fields);
    let layout = Layout::new(fields, &columns);
    Format::from(Inner {
        name: "iis".to_owned(),
        description: "IIS's native format: 15 values with commas between them".to_owned(),
        body: Body::Iis(layout),
        columns,
        escapes: Escapes::None,
        is_time_of_end: true,
        wraps: Vec::new(),
        unit: None,
        is_day_first: false,
        directives: None,
        asides: Asides::None,
    })
}

fn w3c() -> Format {
    Format::from(Inner {
        name: "w3c".to_owned(),
        description: "W3C extended: IIS, CloudFront, and whatever says #Fields".to_owned(),
        body: Body::W3c,
        columns: Vec::new(),
        escapes: Escapes::Doubled,
        is_time_of_end: true,
        wraps: Vec::new(),
        unit: None,
        is_day_first: false,
        directives: None,
        asides: Asides::None,
    })
}

/// A W3C log whose header is missing.
pub(super) fn headerless(name: &str, directives: Directives) -> Format {
    let mut columns = Vec::new();
    add_columns(&mut columns, &directives.layout_fields());
    let inner = w3c().inner().clone();
    Format::from(Inner {
        name: name.to_owned(),
        description: "W3C extended without its header".to_owned(),
        columns,
        directives: Some(directives),
        ..inner
    })
}

/// Formats of one JSON object a line: all are read in the same way, by what their keys usually mean.
const JSONS: [(&str, &str, bool, Asides); 5] = [
    ("json", "one JSON object a line, such as nginx writes with escape=json", true, Asides::None),
    ("caddy", "Caddy's JSON log", true, Asides::Caddy),
    ("traefik", "Traefik's JSON access log", false, Asides::None),
    ("cloudflare", "Cloudflare Logpush", false, Asides::None),
    ("azure_gateway", "Azure Application Gateway's access log", true, Asides::None),
];

fn json(name: &str) -> Option<Format> {
    let (name, description, is_time_of_end, asides) = JSONS.into_iter().find(|(known, ..)| *known == name)?;
    Some(of_keys(name, description, Keys::default(), is_time_of_end, asides))
}

fn of_syntax(name: &str, description: &str, syntax: Syntax, escapes: Escapes) -> Format {
    let format = of_keys(name, description, Keys::of_syntax(syntax), false, Asides::None);
    Format::from(Inner { escapes, ..format.inner().clone() })
}

fn separated() -> Syntax {
    Syntax::Separated { by: b',', header: Box::default(), names: Arc::default() }
}

pub(crate) fn named(name: &str) -> Option<Format> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    match name.as_str() {
        "w3c" | "w3c_extended" | "iisw3c" | "cloudfront" | "zeek" => Some(w3c()),
        "iis" | "iis_native" => Some(iis()),
        "ncsa" | "apache" | "nginx" => named("combined"),
        "clf" => named("common"),
        "nginx_json" => named("json"),
        "jira" | "confluence" => named("atlassian"),
        "csv" | "tsv" | "separated" => {
            Some(of_syntax("csv", "values whose names stand in the first line", separated(), Escapes::Doubled))
        }
        "logfmt" | "pairs" => {
            Some(of_syntax("logfmt", "key=value, as Rails, Heroku and Go programs write", Syntax::Pairs, Escapes::Json))
        }
        name => TEXTS.iter().find(|text| text.name == name).and_then(Text::format).or_else(|| json(name)),
    }
}

pub(crate) fn all() -> Vec<Format> {
    static ALL: LazyLock<Vec<Format>> = LazyLock::new(made);
    ALL.clone()
}

fn made() -> Vec<Format> {
    let texts = TEXTS.iter().filter_map(Text::format);
    let jsons = JSONS.iter().filter_map(|(name, ..)| json(name));
    let keyed = ["logfmt", "csv"].into_iter().filter_map(named);
    [w3c(), iis()].into_iter().chain(texts).chain(jsons).chain(keyed).collect()
}
