//! Functions for what stands in logs and visits: cookies, queries, user agents, addresses, and those that LogParser's
//! users know. All but those for `NULL` give `NULL` where an argument is `NULL`.
//!
//! What there is stands in one [table]: the functions are made of it, the words that LogParser's users have for what SQL
//! says otherwise, and what is shown of them.

mod agents;
mod arithmetic;
mod clock;
mod digits;
mod known;
mod pages;
mod quantize;
mod rows;
pub(super) mod table;
mod texts;
mod times;
mod urls;
mod win32;
mod zones;

use datafusion::logical_expr::ScalarUDF;

pub(super) use self::known::Known;
pub(crate) use self::pages::page;
use self::rows::{Call, RowFunction};
use self::table::{ENTRIES, Is};

/// All functions.
pub(super) fn all(known: &Known) -> Vec<ScalarUDF> {
    let made = ENTRIES.iter().filter_map(|entry| match entry.is {
        Is::Row(takes, least, gives, call) => Some(RowFunction::udf(entry.name, takes, least, gives, Call::Pure(call))),
        Is::Checked(takes, gives, call) => {
            Some(RowFunction::udf(entry.name, takes, takes.len(), gives, Call::Checked(call)))
        }
        Is::Told(gives, call) => {
            Some(RowFunction::udf(entry.name, &[rows::Takes::Text], 1, gives, Call::Told(known.clone(), call)))
        }
        Is::Own(make) => Some(make(known)),
        Is::Word(_) | Is::Clause => None,
    });
    made.collect()
}
