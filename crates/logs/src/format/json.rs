//! Objects: which of their keys mean what, told by their names and by what stands there.

use std::sync::Arc;

use hashbrown::HashMap;

use super::column::{Clock, Column, Common, Kind, Meaning, Unit};
use super::evidence::Evidence;
use super::layout::{Field, Layout};
use super::shape::Piece;
use super::words;
use crate::limits::COLUMNS_MAX;
use crate::parse::{Scalar, pairs, walk};

/// How the keys and values of a line are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Syntax {
    /// One JSON object.
    #[default]
    Json,
    /// `key=value key="a value"`.
    Pairs,
    /// Values with this between them, whose names are in the first line.
    Separated { by: u8, header: Box<[u8]>, names: Arc<[Box<str>]> },
}

/// What the keys of lines mean.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Keys {
    fields: Vec<Field>,
    scores: Vec<u16>,
    positions: Arc<HashMap<Box<str>, u16>>,
    pub(crate) layout: Layout,
    pub(crate) syntax: Syntax,
    /// From a format string: what keys mean is certain.
    pub(crate) is_given: bool,
    /// The unit of the duration is told by its size only.
    pub(crate) is_unit_guessed: bool,
}

/// What a sample says of a key.
#[derive(Debug)]
struct Seen {
    path: Box<str>,
    kind: Kind,
    evidence: Evidence,
}

impl Keys {
    pub(crate) fn of_syntax(syntax: Syntax) -> Self {
        Self { syntax, ..Self::default() }
    }

    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Where a value of this path goes.
    pub(crate) fn position(&self, path: &str) -> Option<usize> {
        self.positions.get(path).map(|at| usize::from(*at))
    }

    /// The same for a format that has `columns`, with further fields that are found by other means.
    pub(crate) fn laid_out(mut self, columns: &[Column], more: &[Field]) -> Self {
        let mut fields = self.fields.clone();
        fields.extend_from_slice(more);
        self.layout = Layout::new(fields, columns);
        for which in Common::EVERY {
            let mut of: Vec<u16> = (0..self.fields.len() as u16).filter(|at| self.gives(*at, which)).collect();
            of.sort_by_key(|at| {
                (is_part(&self.fields[usize::from(*at)].meaning, which), self.scores[usize::from(*at)])
            });
            if let Some(best) = of.first() {
                self.layout.common[which as usize] = Some(*best);
            }
            self.layout.candidates[which as usize] = of.into();
        }
        self
    }

    fn gives(&self, at: u16, which: Common) -> bool {
        self.fields[usize::from(at)].meaning.gives().contains(&which)
    }

    /// The keys of a sample's objects, with those that are known already.
    pub(crate) fn with_sample<'l>(&self, lines: impl Iterator<Item = &'l [u8]>) -> Self {
        if self.is_given {
            return self.clone();
        }
        let mut syntax = self.syntax.clone();
        let mut lines = lines.peekable();
        if let Syntax::Separated { by, header, names } = &mut syntax
            && header.is_empty()
            && let Some(first) = lines.peek()
        {
            (*by, *names) = (separator(first), names_of(first, separator(first)));
            *header = (*first).into();
        }
        let mut seen: Vec<Seen> = Vec::new();
        let mut places: HashMap<Box<str>, usize> = HashMap::new();
        for line in lines {
            if matches!(&syntax, Syntax::Separated { header, .. } if **header == *line) {
                continue;
            }
            let mut path = String::new();
            // A line that is cut still says what its first keys are.
            _ = syntax.walk(line, 0, &mut path, &mut |path, span, scalar| {
                let value = span.said(line).unwrap_or_default();
                if scalar == Scalar::Null || value.is_empty() {
                    return;
                }
                let kind = match scalar {
                    Scalar::Number if crate::parse::integer(value).is_some() => Kind::Integer,
                    Scalar::Number => Kind::Float,
                    _ => Kind::Text,
                };
                let at = match places.get(path) {
                    Some(at) => *at,
                    None if seen.len() < COLUMNS_MAX => {
                        seen.push(Seen { path: path.into(), kind, evidence: Evidence::default() });
                        places.insert(path.into(), seen.len() - 1);
                        seen.len() - 1
                    }
                    None => return,
                };
                seen[at].kind = seen[at].kind.with(kind);
                seen[at].evidence.add(value);
            });
        }
        if let Syntax::Separated { names, .. } = &syntax {
            for name in names.iter().filter(|name| !places.contains_key(&***name)) {
                seen.push(Seen { path: name.clone(), kind: Kind::Text, evidence: Evidence::default() });
            }
        }
        let mut known = Vec::new();
        for (field, score) in self.fields.iter().zip(&self.scores) {
            if !places.contains_key(&field.name) {
                known.push((field.clone(), *score));
            }
        }
        Self { syntax, ..Self::of_seen(known, &seen) }
    }

    fn of_seen(known: Vec<(Field, u16)>, seen: &[Seen]) -> Self {
        let (mut fields, mut scores): (Vec<Field>, Vec<u16>) = known.into_iter().unzip();
        let first = fields.len();
        for Seen { path, kind, evidence } in seen {
            let guess = words::guesses(path).into_iter().find(|guess| evidence.allows(&guess.meaning));
            let plain = match kind {
                Kind::Integer if words::is_measure(path) => Meaning::Float,
                Kind::Integer => Meaning::Integer,
                Kind::Float => Meaning::Float,
                _ => Meaning::Text,
            };
            let (meaning, score) = guess.map_or((plain, u16::MAX), |guess| (guess.meaning, guess.score));
            fields.push(Field::new(path.clone(), meaning));
            scores.push(score);
        }
        let mut keys = Self::of_fields(fields, scores, false);
        keys.settle(first, seen);
        keys
    }

    /// What one key's meaning says about another's.
    fn settle(&mut self, first: usize, seen: &[Seen]) {
        let has = |name: &str| self.position(name).is_some();
        // Tomcat's JSON calls the client `host`.
        let is_tomcat = has("logicalUserName") && has("threadName");
        let has_time_of_day = self.fields.iter().any(|field| field.meaning == Meaning::TimeOfDay);
        let has_date = self.fields.iter().any(|field| field.meaning == Meaning::Date);
        let unit = producer(&has);
        let best = |meaning: fn(&Meaning) -> bool| {
            let of = self.fields.iter().enumerate().filter(|(_, field)| meaning(&field.meaning));
            of.min_by_key(|(at, _)| (self.scores[*at], *at)).map(|(at, _)| at)
        };
        let best_time = best(|meaning| matches!(meaning, Meaning::Time(_)));
        let mut is_unit_guessed = false;
        for (at, field) in self.fields.iter_mut().enumerate() {
            let seen = at.checked_sub(first).and_then(|at| seen.get(at));
            match &field.meaning {
                Meaning::Host if is_tomcat && &*field.name == "host" => field.meaning = Meaning::Client,
                Meaning::Date if !has_time_of_day => field.meaning = Meaning::Time(Clock::Iso),
                Meaning::TimeOfDay if !has_date => (field.meaning, self.scores[at]) = (Meaning::Text, u16::MAX),
                Meaning::Duration(unsaid) => {
                    if *unsaid == Unit::Unsaid {
                        let (unit, is_guessed) = unit_of(&field.name, unit, seen.map(|seen| &seen.evidence));
                        is_unit_guessed |= is_guessed;
                        field.meaning = Meaning::Duration(unit);
                    }
                    field.kind = match seen {
                        Some(seen) if seen.kind == Kind::Text && !seen.evidence.is_number() => Kind::Text,
                        _ => Kind::Float,
                    };
                }
                _ => {}
            }
            // Only the moment that is the row's is read as one.
            if matches!(field.meaning, Meaning::Time(_)) {
                field.kind = if best_time == Some(at) { Kind::Time } else { seen.map_or(Kind::Text, |seen| seen.kind) };
            } else if !matches!(field.meaning, Meaning::Duration(_)) {
                field.kind = field.meaning.kind();
            }
        }
        self.is_unit_guessed = is_unit_guessed;
    }

    /// Of a format string such as `{"time":"$time_iso8601","status":$status}`.
    pub(crate) fn of_pieces(pieces: &[Piece]) -> Option<Self> {
        let mut fields = Vec::new();
        let mut key = None;
        for piece in pieces {
            match piece {
                Piece::Text(text) => key = last_key(text).or(key),
                Piece::Field(field) => {
                    // Of several variables in one value the first one says what it is.
                    if let Some(key) = key.take() {
                        fields.push(Field::new(key, field.meaning.clone()));
                    }
                }
            }
        }
        let scores = (0..fields.len() as u16).collect();
        (!fields.is_empty()).then(|| Self::of_fields(fields, scores, true))
    }

    fn of_fields(fields: Vec<Field>, scores: Vec<u16>, is_given: bool) -> Self {
        let positions = fields.iter().enumerate();
        let positions =
            positions.filter_map(|(at, field)| u16::try_from(at).ok().map(|at| (field.name.clone(), at))).collect();
        Self { fields, scores, positions: Arc::new(positions), is_given, ..Self::default() }
    }

    /// Where a key that no line of the sample had stands among the candidates for what it may mean.
    pub(crate) fn late(&self, path: &str) -> Option<(Field, u16)> {
        let guess = words::guesses(path).into_iter().next().filter(|_| !self.is_given)?;
        let has_date = self.layout.date.is_some();
        let meaning = match guess.meaning {
            Meaning::Duration(Unit::Unsaid) => {
                let known = self.fields.iter().find_map(|field| match field.meaning {
                    Meaning::Duration(unit) => Some(unit),
                    _ => None,
                });
                Meaning::Duration(known.unwrap_or(Unit::Seconds))
            }
            Meaning::Date | Meaning::TimeOfDay if !has_date => return None,
            meaning => meaning,
        };
        Some((Field::new(path, meaning), guess.score))
    }

    /// The key that says how long the answer took, and its unit.
    pub(crate) fn duration(&self) -> Option<(&str, Unit)> {
        let field = &self.layout.fields[self.layout.position_of(Common::Duration)?];
        match field.meaning {
            Meaning::Duration(unit) => Some((&field.name, unit)),
            _ => None,
        }
    }

    /// The score of a field.
    pub(crate) fn score(&self, at: usize) -> u16 {
        self.scores.get(at).copied().unwrap_or(u16::MAX)
    }
}

/// Something else says it better: a host of its own is better than that of an address.
pub(crate) fn is_part(meaning: &Meaning, which: Common) -> u8 {
    match (meaning, which) {
        (Meaning::Uri | Meaning::Request, Common::Host | Common::Query | Common::Method) => 1,
        _ => 0,
    }
}

impl Syntax {
    /// Calls `visit` with each key and value of a line from `start` on. Says where the line's own text ends.
    pub(crate) fn walk(
        &self,
        line: &[u8],
        start: usize,
        path: &mut String,
        visit: &mut dyn FnMut(&str, crate::parse::Span, Scalar),
    ) -> Result<usize, crate::Reason> {
        match self {
            Self::Json => {
                let start = crate::parse::object_start(line, start)
                    .ok_or(crate::Reason::Json { at: 0, expected: "the start" })?;
                walk(line, start, path, visit)
            }
            Self::Pairs => pairs::pairs(line, start, path, visit),
            Self::Separated { by, names, .. } => pairs::separated(line, start, *by, names, visit),
        }
    }
}

/// What stands most often between names.
fn separator(line: &[u8]) -> u8 {
    let count = |byte: u8| line.iter().filter(|other| **other == byte).count();
    [b',', b';', b'\t', b'|'].into_iter().max_by_key(|byte| (count(*byte), *byte == b',')).unwrap_or(b',')
}

fn names_of(line: &[u8], by: u8) -> Arc<[Box<str>]> {
    let text = String::from_utf8_lossy(line);
    let names = text.split(char::from(by)).map(|name| name.trim().trim_matches('"').trim().into());
    names.take(COLUMNS_MAX).collect::<Vec<Box<str>>>().into()
}

/// The unit of durations that don't say theirs, by who writes such lines.
fn producer(has: &dyn Fn(&str) -> bool) -> Option<Unit> {
    let all = |names: &[&str]| names.iter().all(|name| has(name));
    if all(&["DownstreamStatus", "Duration"]) {
        return Some(Unit::Nanos);
    }
    let is_millis = all(&["response_flags", "response_code"])
        || all(&["controller", "action"])
        || all(&["latencies.kong", "latencies.request"])
        || all(&["req.method", "res.statusCode"])
        || all(&["@version", "elapsed_time"]);
    if is_millis {
        return Some(Unit::Millis);
    }
    all(&["request.uri", "logger", "size"]).then_some(Unit::Seconds)
}

/// The unit of a key's numbers, and whether their size alone says so.
fn unit_of(name: &str, producer: Option<Unit>, evidence: Option<&Evidence>) -> (Unit, bool) {
    if let Some(unit) = producer {
        return (unit, false);
    }
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let word = |word: &str| plain.ends_with(word);
    if word("eventduration") {
        return (Unit::Nanos, false);
    }
    // nginx's own, and what API Gateway, Kong and Heroku call theirs.
    if word("requesttime") {
        return (Unit::Seconds, false);
    }
    if word("responselatency") || word("latenciesrequest") || word("service") || word("elapsedtime") {
        return (Unit::Millis, false);
    }
    match evidence {
        Some(evidence) if evidence.has_units() => (Unit::Seconds, false),
        // Azure's, in seconds since its second version.
        Some(evidence) if word("timetaken") && evidence.has_fractions() => (Unit::Seconds, false),
        Some(evidence) => (evidence.unit(), true),
        None => (Unit::Seconds, true),
    }
}

/// The key that a value follows: `..., "time":"`.
fn last_key(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let before = text.trim_end().trim_end_matches('"').trim_end().strip_suffix(':')?.trim_end();
    let before = before.strip_suffix('"')?;
    before.rfind('"').map(|at| before[at + 1..].to_owned())
}
