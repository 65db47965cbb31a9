//! Keys of a file's rows: those of its sample, and those that appear later.

use hashbrown::HashMap;

use crate::format::{Keys, Layout, is_part};
use crate::limits::COLUMNS_MAX;

/// Keys that no line of the sample had.
#[derive(Debug, Clone, Default)]
pub(super) struct Late {
    /// The format's layout, with them.
    pub(super) layout: Layout,
    known: HashMap<Box<str>, Option<u16>>,
    scores: Vec<u16>,
    pub(super) keys: usize,
}

impl Late {
    pub(super) fn of(keys: &Keys) -> Self {
        Self { layout: keys.layout.clone(), keys: keys.fields().len(), ..Self::default() }
    }

    pub(super) fn find(&mut self, keys: &Keys, path: &str) -> Option<usize> {
        if let Some(known) = self.known.get(path) {
            return known.map(usize::from);
        }
        if keys.is_given || self.known.len() >= COLUMNS_MAX {
            return None;
        }
        let found = keys.late(path).and_then(|(field, score)| {
            let at = u16::try_from(self.layout.fields.len()).ok()?;
            for which in field.meaning.gives() {
                let rank = (is_part(&field.meaning, *which), score);
                let of = &self.layout.candidates[*which as usize];
                let is_better = |other: &&u16| {
                    let meaning = &self.layout.fields[usize::from(**other)].meaning;
                    (is_part(meaning, *which), self.score(keys, **other)) <= rank
                };
                let place = of.iter().take_while(is_better).count();
                let mut of = of.to_vec();
                of.insert(place, at);
                self.layout.candidates[*which as usize] = of.into();
            }
            self.layout.fields.push(field);
            self.scores.push(score);
            Some(at)
        });
        self.known.insert(path.into(), found);
        found.map(usize::from)
    }

    fn score(&self, keys: &Keys, at: u16) -> u16 {
        let at = usize::from(at);
        match at.checked_sub(self.layout.fields.len() - self.scores.len()) {
            Some(late) => self.scores[late],
            None => keys.score(at),
        }
    }
}
