//! How much of something bounded each address has, so that one does not take all of it.

use std::collections::HashMap;

use crate::client::AddressGroup;

/// How many each address has taken.
#[derive(Debug, Default)]
pub(crate) struct Shares(HashMap<AddressGroup, usize>);

impl Shares {
    /// Takes one for this address, unless it has `max` already.
    pub(crate) fn take(&mut self, from: AddressGroup, max: usize) -> bool {
        let taken = self.0.entry(from).or_default();
        let is_free = *taken < max;
        *taken += usize::from(is_free);
        is_free
    }

    /// Gives one back.
    pub(crate) fn give_back(&mut self, from: AddressGroup) {
        match self.0.get_mut(&from) {
            Some(taken) if *taken > 1 => *taken -= 1,
            _ => drop(self.0.remove(&from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_as_many_as_it_may_and_none_is_remembered_for_nothing() {
        let mut shares = Shares::default();
        let (one, another) = (AddressGroup::V4([192, 0, 2, 1]), AddressGroup::V4([192, 0, 2, 2]));
        assert!(shares.take(one, 2) && shares.take(one, 2) && !shares.take(one, 2));
        assert!(shares.take(another, 2));
        shares.give_back(one);
        assert!(shares.take(one, 2) && !shares.take(one, 2));
        for from in [one, one, another] {
            shares.give_back(from);
        }
        assert!(shares.0.is_empty());
    }
}
