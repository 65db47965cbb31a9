//! What stands where in a row: fields by position, the format's columns, and the common columns made of them.

use super::clients::{Clients, Told};
use super::column::{Clock, Column, Common, Kind, Meaning};
use crate::limits::COLUMNS_MAX;

/// One field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: Box<str>,
    pub(crate) meaning: Meaning,
    /// The kind of its column.
    pub(crate) kind: Kind,
}

impl Field {
    pub(crate) fn new(name: impl Into<Box<str>>, meaning: Meaning) -> Self {
        let kind = meaning.kind();
        Self { name: name.into(), meaning, kind }
    }
}

/// The fields of rows of one shape, by position, and where columns are found among them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Layout {
    pub(crate) fields: Vec<Field>,
    /// The position of each column of the format, if this shape has it.
    pub(crate) own: Vec<Option<u16>>,
    /// The position of what each common column is made of.
    pub(crate) common: [Option<u16>; Common::COUNT],
    /// Of rows of keys, all that may say a common column, better ones first.
    pub(crate) candidates: [Box<[u16]>; Common::COUNT],
    /// Where the day stands, if it stands alone.
    pub(crate) date: Option<u16>,
    /// Where the time stands that something around the line says.
    pub(crate) outer_time: Option<u16>,
    /// Where the client is told, beside where it usually stands.
    pub(crate) told: Told,
}

impl Layout {
    /// The layout of `fields` for a format that has `columns`.
    pub(crate) fn new(fields: Vec<Field>, columns: &[Column]) -> Self {
        let own = columns.iter().map(|column| position(&fields, |field| is_named(field, &column.name))).collect();
        let mut common = [None; Common::COUNT];
        for which in Common::EVERY {
            let candidates = fields.iter().enumerate().filter(|(_, field)| field.meaning.gives().contains(&which));
            let best = candidates.min_by_key(|(at, field)| (rank(&field.meaning), *at));
            common[which as usize] = best.and_then(|(at, _)| u16::try_from(at).ok());
        }
        // A path may have its query with it.
        if common[Common::Query as usize].is_none() {
            common[Common::Query as usize] = common[Common::Path as usize];
        }
        let date = position(&fields, |field| field.meaning == Meaning::Date);
        let outer_time = position(&fields, |field| field.meaning == Meaning::Time(Clock::Syslog));
        let mut layout =
            Self { fields, own, common, date, outer_time, candidates: Default::default(), told: Told::default() };
        layout.find_clients(&Clients::default());
        layout
    }

    /// Looks for the client elsewhere.
    pub(crate) fn find_clients(&mut self, clients: &Clients) {
        let fields = self.fields.iter().map(|field| (&*field.name, &field.meaning));
        self.told = Told::of(fields, clients);
    }

    pub(crate) fn position_of(&self, common: Common) -> Option<usize> {
        self.common[common as usize].map(usize::from)
    }

    pub(crate) fn meaning_of(&self, common: Common) -> Option<&Meaning> {
        self.position_of(common).map(|at| &self.fields[at].meaning)
    }
}

fn position(fields: &[Field], is: impl Fn(&Field) -> bool) -> Option<u16> {
    fields.iter().position(is).and_then(|at| u16::try_from(at).ok())
}

fn is_named(field: &Field, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

/// What says one thing only is better than what says several; the log's own time is better than syslog's.
fn rank(meaning: &Meaning) -> u8 {
    match meaning {
        Meaning::Uri | Meaning::ClientName => 1,
        Meaning::TimeOfDay => 1,
        Meaning::Request | Meaning::Date => 2,
        Meaning::Time(Clock::Syslog) => 3,
        _ => 0,
    }
}

/// The columns of `fields`, and of others found before; names are the same in any case.
pub(crate) fn add_columns<'a>(columns: &mut Vec<Column>, fields: impl IntoIterator<Item = &'a Field>) {
    for field in fields {
        if field.name.is_empty() {
            continue;
        }
        let has_room = columns.len() < COLUMNS_MAX;
        match columns.iter_mut().find(|column| column.name.eq_ignore_ascii_case(&field.name)) {
            Some(column) => column.kind = column.kind.with(field.kind),
            None if has_room => columns.push(Column {
                name: field.name.clone(),
                kind: field.kind,
                gives: field.meaning.gives().to_vec(),
            }),
            None => {}
        }
    }
}
