//! Picks the page of a query from documents in any order.

use std::collections::BTreeMap;

use super::{
    ast::{By, Filter, Sort},
    order,
};
use crate::model::Projection;

/// Which of those that match, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// So many after a key; or from the first.
    After { key: Option<Vec<u8>>, limit: usize },
    /// So many that end before a key.
    Before { key: Vec<u8>, limit: usize },
    /// So many after so many.
    Offset { offset: usize, limit: usize },
}

/// A document of a page, with its key, and its score if it was sorted by one.
#[derive(Debug, Clone, PartialEq)]
pub struct Picked {
    pub document: Projection,
    pub key: Vec<u8>,
    pub score: Option<f64>,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    pub picked: Vec<Picked>,
    pub has_next: bool,
    pub has_previous: bool,
    /// All that match.
    pub count: u64,
}

/// Takes one document after another, and holds those that may be of the page.
#[derive(Debug)]
pub struct Pick<'a> {
    filter: &'a Filter,
    sort: &'a [Sort],
    window: Window,
    held: BTreeMap<Vec<u8>, Projection>,
    /// Whether one that matches lies on the other side of the window's key.
    beyond: bool,
    count: u64,
}

impl<'a> Pick<'a> {
    #[must_use]
    pub fn new(filter: &'a Filter, sort: &'a [Sort], window: Window) -> Self {
        Self { filter, sort, window, held: BTreeMap::new(), beyond: false, count: 0 }
    }

    /// Looks at a document.
    pub fn look(&mut self, document: Projection) {
        if !self.filter.holds(&document) {
            return;
        }
        self.count += 1;
        let key = order::key(self.sort, &document);
        let (inside, most) = match &self.window {
            Window::After { key: after, limit } => {
                (after.as_ref().is_none_or(|after| key > *after), limit + 1)
            }
            Window::Before { key: before, limit } => (key < *before, limit + 1),
            Window::Offset { offset, limit } => (true, offset + limit + 1),
        };
        if inside {
            self.held.insert(key, document);
            if self.held.len() > most {
                match self.window {
                    Window::Before { .. } => self.held.pop_first(),
                    Window::After { .. } | Window::Offset { .. } => self.held.pop_last(),
                };
            }
        } else {
            self.beyond = true;
        }
    }

    /// Whether no later document can change the page, if they come in its order.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match &self.window {
            Window::After { limit, .. } => self.held.len() > *limit,
            Window::Before { .. } => self.beyond,
            Window::Offset { offset, limit } => self.held.len() > offset + limit,
        }
    }

    /// The page of all that was looked at.
    #[must_use]
    pub fn found(self) -> Found {
        let Self { sort, window, mut held, beyond, count, .. } = self;
        let (has_next, has_previous) = match window {
            Window::After { limit, .. } => {
                let more = held.len() > limit;
                if more {
                    held.pop_last();
                }
                (more, beyond)
            }
            Window::Before { limit, .. } => {
                let more = held.len() > limit;
                if more {
                    held.pop_first();
                }
                (beyond, more)
            }
            Window::Offset { offset, limit } => {
                let more = held.len() > offset + limit;
                if more {
                    held.pop_last();
                }
                let before = offset.min(held.len());
                (0..before).for_each(|_| drop(held.pop_first()));
                (more, before > 0)
            }
        };
        let scored = sort.iter().find(|field| matches!(field.by, By::Similarity { .. }));
        let picked = held.into_iter().map(|(key, document)| {
            let score = scored.map(|field| field.score(&document));
            Picked { document, key, score }
        });
        Found { picked: picked.collect(), has_next, has_previous, count }
    }
}
