//! Who is shopping: the name given at login, and the cart.

use crate::catalogue::{self, Product};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// One visitor, as the pages need to know them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shopper {
    pub(crate) user: Option<String>,
    pub(crate) cart: Cart,
}

/// Articles in the order in which they were put in; written as their names with `+` between.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cart(Vec<&'static str>);

/// Most articles in one cart.
const CART_MAX: usize = 50;

impl Cart {
    /// Reads a cart; what the shop does not sell is left out.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.split('+').filter_map(catalogue::find).map(|p| p.slug).take(CART_MAX).collect())
    }

    /// The cart with one article more; a full one stays as it is.
    pub(crate) fn with(mut self, product: &Product) -> Self {
        if self.0.len() < CART_MAX {
            self.0.push(product.slug);
        }
        self
    }

    /// As [`Cart::parse`] reads it.
    pub(crate) fn text(&self) -> String {
        self.0.join("+")
    }

    pub(crate) fn products(&self) -> impl Iterator<Item = &'static Product> {
        self.0.iter().filter_map(|slug| catalogue::find(slug))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A name that somebody may log in with.
pub(crate) fn valid_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// The shop's "database": the users who have deleted their profile picture.
#[derive(Clone, Default)]
pub(crate) struct Shop(Arc<Mutex<BTreeSet<String>>>);

impl Shop {
    /// Whether this user still has a profile picture.
    pub(crate) fn has_picture(&self, user: &str) -> bool {
        !self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(user)
    }

    /// Deletes the picture; false if there was none.
    pub(crate) fn delete_picture(&self, user: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned())
    }

    /// Puts the picture back; false if it was there.
    pub(crate) fn restore_picture(&self, user: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cart_is_read_as_it_was_written() {
        let cart = Cart::parse("assam+mug++nothing");
        assert_eq!(cart.text(), "assam+mug");
        assert_eq!(Cart::parse(&cart.with(&catalogue::PRODUCTS[3]).text()).len(), 3);
    }

    #[test]
    fn names_that_would_break_a_header_or_a_page_are_no_names() {
        assert!(valid_name("alice") && valid_name("a.b-c_9"));
        for name in ["", "a b", "a\"", "a\r\n", "<b>", "é", &"x".repeat(33)] {
            assert!(!valid_name(name), "{name:?}");
        }
    }
}
