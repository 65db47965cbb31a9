//! A bounded memory of what user agents named: most visits come with one that was seen before.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;

/// Entries in each of the two generations. A user agent has some 120 bytes, so both together stay below 3 MB.
const GENERATION_MAX: usize = 4_096;

/// Two generations: what is asked for moves to the young one, and when that is full, the old one goes. So what is used
/// stays, and nothing needs a clock or a list.
#[derive(Debug)]
pub(crate) struct Cache<V>(Mutex<Generations<V>>);

#[derive(Debug)]
struct Generations<V> {
    young: HashMap<Box<str>, Arc<V>>,
    old: HashMap<Box<str>, Arc<V>>,
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self(Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() }))
    }
}

impl<V> Cache<V> {
    /// What is remembered for a key, or what `make` says. Others may ask while it thinks.
    pub(crate) fn get(&self, key: &str, make: impl FnOnce() -> V) -> Arc<V> {
        {
            let mut generations = self.0.lock();
            if let Some(value) = generations.young.get(key) {
                return value.clone();
            }
            if let Some((key, value)) = generations.old.remove_entry(key) {
                generations.put(key, value.clone());
                return value;
            }
        }
        let value = Arc::new(make());
        self.0.lock().put(key.into(), value.clone());
        value
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let generations = self.0.lock();
        generations.young.len() + generations.old.len()
    }
}

impl<V> Generations<V> {
    fn put(&mut self, key: Box<str>, value: Arc<V>) {
        if self.young.len() >= GENERATION_MAX {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let cache = Cache::default();
        for n in 0..10 * GENERATION_MAX {
            cache.get("often", || 0);
            assert_eq!(*cache.get(&n.to_string(), || n), n);
        }
        assert!(cache.len() <= 2 * GENERATION_MAX, "{}", cache.len());
        assert_eq!(*cache.get("often", || unreachable!("it was used all the time")), 0);
        let mut made = false;
        cache.get("1", || {
            made = true;
            1
        });
        assert!(made, "it was long forgotten");
    }
}
