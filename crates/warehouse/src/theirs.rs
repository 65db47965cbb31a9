//! Whose visits the rows of the tables are.

use std::collections::HashMap;

use deltalake::arrow::array::{Array as _, AsArray, BooleanArray, RecordBatch, StringArray};
use deltalake::arrow::datatypes::Int64Type;
use futures_util::StreamExt as _;
use visitlog_core::VisitorId;
use visitlog_core::erasure::{Claim, FoundVisits, Subject, Survey, Whose};

use crate::error::WarehouseError;
use crate::files::read;
use crate::rows::visitor_key;
use crate::tables::Table;

/// The visits of somebody, by their ids as text.
pub(crate) type VisitIds = HashMap<String, Claim>;

/// Calls `see` with each row of a table: visit, visitor as far as the table says it, its key, and user.
async fn each_row(table: &Table, mut see: impl FnMut(Identity<'_>)) -> Result<(), WarehouseError> {
    for file in table.files()? {
        let mut rows = read(table, &file, Some(&WHOSE)).await?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let Some(visits) = text(&batch, "visit_id") else { continue };
            let (visitors, users) = (text(&batch, "visitor_id"), text(&batch, "user_id"));
            let keys = batch.column_by_name("visitor_key").map(|keys| keys.as_primitive::<Int64Type>());
            for (row, visit) in visits.iter().enumerate() {
                let Some(visit) = visit else { continue };
                see(Identity {
                    visit,
                    visitor: visitors.filter(|column| column.is_valid(row)).and_then(|ids| ids.value(row).parse().ok()),
                    visitor_key: keys.map(|keys| keys.value(row)),
                    user: users.filter(|column| column.is_valid(row)).map(|users| users.value(row)),
                });
            }
        }
    }
    Ok(())
}

/// Whose a row is.
struct Identity<'a> {
    visit: &'a str,
    visitor: Option<VisitorId>,
    visitor_key: Option<i64>,
    user: Option<&'a str>,
}

/// Shows a survey all visits.
pub(crate) async fn show(visits: &Table, events: &Table, survey: &mut Survey) -> Result<(), WarehouseError> {
    let user = survey.user().clone();
    let mut of_events = HashMap::new();
    if !survey.is_second() {
        each_row(events, |row| {
            if row.user == Some(user.as_str()) {
                of_events.insert(row.visit.to_owned(), None);
            }
        })
        .await?;
    }
    each_row(visits, |row| {
        let Some(visitor) = row.visitor else { return };
        survey.see(visitor, row.user);
        if !survey.is_second() && of_events.contains_key(row.visit) {
            survey.see(visitor, [user.as_str()]);
        } else if survey.is_second() && survey.concerns(visitor) {
            of_events.insert(row.visit.to_owned(), Some(visitor));
        }
    })
    .await?;
    if survey.is_second() {
        each_row(events, |row| {
            if let (Some(Some(visitor)), Some(user)) = (of_events.get(row.visit), row.user) {
                survey.see(*visitor, [user]);
            }
        })
        .await?;
    }
    Ok(())
}

/// The ids of somebody's visits.
pub(crate) struct Theirs {
    pub(crate) ids: VisitIds,
    /// If only events say so of some of them: the user whom they name.
    pub(crate) told_by_events: Option<String>,
}

/// Somebody's visits, wherever a row says so.
pub(crate) async fn visits_of(visits: &Table, events: &Table, whose: &Whose) -> Result<Theirs, WarehouseError> {
    // The tables of events know visitors by their keys.
    let (visitor, user) = match whose.subject() {
        Subject::Visitor(visitor) => (Some(visitor), None),
        Subject::User(user) => (None, Some(user.as_str())),
    };
    let by_key: HashMap<i64, VisitorId> =
        whose.alone().iter().chain(visitor).map(|visitor| (visitor_key(*visitor), *visitor)).collect();
    let mut of_visitors: HashMap<String, (VisitorId, Vec<String>)> = HashMap::new();
    let mut ids = VisitIds::new();
    let mut told_by_events = None;
    for table in [visits, events] {
        let is_events = std::ptr::eq(table, events);
        each_row(table, |row| {
            let known = row.visitor_key.and_then(|key| by_key.get(&key)).copied();
            if let Some(visitor) = known.filter(|known| row.visitor.is_none_or(|visitor| visitor == *known)) {
                let (_, users) = of_visitors.entry(row.visit.to_owned()).or_insert((visitor, Vec::new()));
                users.extend(row.user.filter(|user| !users.iter().any(|known| known == user)).map(str::to_owned));
            }
            if user.is_some() && row.user == user {
                let is_new = ids.insert(row.visit.to_owned(), Claim::Login).is_none();
                if is_events && is_new {
                    told_by_events = user.map(str::to_owned);
                }
            }
        })
        .await?;
    }
    for (visit, (visitor, users)) in of_visitors {
        if let Some(claim) = whose.claim(visitor, users.iter().map(String::as_str)) {
            ids.insert(visit, claim);
        }
    }
    Ok(Theirs { ids, told_by_events })
}

/// The same by their ids.
pub(crate) fn found(ids: &VisitIds) -> FoundVisits {
    let mut found = FoundVisits::default();
    for (id, claim) in ids {
        if let Ok(id) = id.parse() {
            found.add(id, *claim);
        }
    }
    found
}

pub(crate) fn none(batch: &RecordBatch) -> BooleanArray {
    vec![false; batch.num_rows()].into()
}

pub(crate) fn text<'a>(batch: &'a RecordBatch, column: &str) -> Option<&'a StringArray> {
    batch.column_by_name(column)?.as_string_opt::<i32>()
}

/// The columns that tell whose rows they are.
pub(crate) const WHOSE: [&str; 5] = ["visitor_key", "visit_id", "visitor_id", "user_id", "previous_visit_id"];
