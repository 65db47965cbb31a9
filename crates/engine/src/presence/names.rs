//! Names that many connections share, each kept once as long as somebody has it.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};
use visitlog_core::limits;
use visitlog_core::model::{Event, UserId};

use super::connections::NONE;

/// A page as it is asked for: path and query, and title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page<'a> {
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) title: Option<&'a str>,
}

impl<'a> Page<'a> {
    /// The page that an event shows.
    pub(super) fn of(event: &'a Event) -> Option<Self> {
        let request = event.request.as_deref()?;
        Some(Self { path: &request.path, query: request.query.as_deref(), title: event.title() })
    }
}

/// A page as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageName {
    pub(super) page: Arc<str>,
    pub(super) title: Option<Arc<str>>,
}

impl PageName {
    /// Whether this is it, as it is kept. A long one that was cut is not known again, and is kept anew.
    pub(super) fn is(&self, page: &Page<'_>) -> bool {
        let is_path = match page.query {
            None => *self.page == *page.path,
            Some(query) => {
                let rest = self.page.strip_prefix(page.path).and_then(|rest| rest.strip_prefix('?'));
                rest == Some(query)
            }
        };
        is_path && self.title.as_deref() == page.title.filter(|title| !title.is_empty())
    }

    fn of(page: &Page<'_>) -> Self {
        let Page { path, query, title } = *page;
        let whole = match query {
            Some(query) => limits::cut(&format!("{path}?{query}"), limits::PRESENCE_PAGE_BYTES_MAX),
            None => limits::cut(path, limits::PRESENCE_PAGE_BYTES_MAX),
        };
        let title = title.filter(|title| !title.is_empty());
        Self {
            page: whole.into(),
            title: title.map(|title| limits::cut(title, limits::PRESENCE_TITLE_BYTES_MAX).into()),
        }
    }
}

/// Names, and how many have each.
#[derive(Debug)]
pub(super) struct Names<T> {
    entries: Vec<Entry<T>>,
    index: HashTable<u32>,
    free: Vec<u32>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Entry<T> {
    name: Option<T>,
    hash: u64,
    holders: u32,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), index: HashTable::new(), free: Vec::new(), hasher: DefaultHashBuilder::default() }
    }
}

impl<T: Hash + Eq> Names<T> {
    pub(super) fn get(&self, handle: u32) -> Option<&T> {
        self.entries.get(handle as usize)?.name.as_ref()
    }

    /// One holder more.
    pub(super) fn hold(&mut self, handle: u32) {
        if let Some(entry) = self.entries.get_mut(handle as usize) {
            entry.holders += 1;
        }
    }

    /// One holder less; the last one takes the name along.
    pub(super) fn release(&mut self, handle: u32) {
        let Some(entry) = self.entries.get_mut(handle as usize) else { return };
        entry.holders -= 1;
        if entry.holders > 0 {
            return;
        }
        entry.name = None;
        if let Ok(found) = self.index.find_entry(entry.hash, |&other| other == handle) {
            found.remove();
        }
        self.free.push(handle);
    }

    /// The handle of a name, held once more.
    pub(super) fn keep(&mut self, name: T) -> u32 {
        let hash = self.hasher.hash_one(&name);
        let entries = &mut self.entries;
        if let Some(&known) = self.index.find(hash, |&other| entries[other as usize].name.as_ref() == Some(&name)) {
            entries[known as usize].holders += 1;
            return known;
        }
        let entry = Entry { name: Some(name), hash, holders: 1 };
        let handle = match self.free.pop() {
            Some(handle) => {
                entries[handle as usize] = entry;
                handle
            }
            None => {
                entries.push(entry);
                (entries.len() - 1) as u32
            }
        };
        let entries = &self.entries;
        self.index.insert_unique(hash, handle, |&other| entries[other as usize].hash);
        handle
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }
}

impl Names<PageName> {
    /// The handle of a page, held once more; [`NONE`] of none.
    pub(super) fn page(&mut self, page: Option<&Page<'_>>) -> u32 {
        page.map_or(NONE, |page| self.keep(PageName::of(page)))
    }
}

impl Names<UserId> {
    /// The handle of a user, held once more; [`NONE`] of nobody.
    pub(super) fn user(&mut self, user: Option<&UserId>) -> u32 {
        user.map_or(NONE, |user| self.keep(user.clone()))
    }
}

impl Hash for PageName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.page.hash(state);
        self.title.hash(state);
    }
}
