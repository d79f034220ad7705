//! Picks the page of a query from documents in any order.

use std::collections::BTreeMap;

use super::{
    ast::{By, Filter, Sort},
    order,
};
use crate::model::{Direction, Projection};

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

impl Window {
    /// As many documents as tell whether there are more.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::After { limit, .. } | Self::Before { limit, .. } => limit + 1,
            Self::Offset { offset, limit } => offset + limit + 1,
        }
    }
}

impl Window {
    /// The keys that lead on from a page that has nothing, `after` and `before` it: back to where its own key was.
    #[must_use]
    pub fn turned(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        match self {
            // A key ends with 0, and no other lies between it and itself without or with one more.
            Self::Before { key, .. } => (key.split_last().map(|(_, rest)| rest.to_vec()), None),
            Self::After { key: Some(key), .. } => (None, Some([key.as_slice(), &[0]].concat())),
            Self::After { key: None, .. } | Self::Offset { .. } => (None, None),
        }
    }
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
    /// Something comes after the page; of a page before a key: what the key was of.
    pub has_next: bool,
    /// Something comes before the page; of a page after a key: what the key was of.
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
    count: u64,
}

impl<'a> Pick<'a> {
    #[must_use]
    pub fn new(filter: &'a Filter, sort: &'a [Sort], window: Window) -> Self {
        Self { filter, sort, window, held: BTreeMap::new(), count: 0 }
    }

    /// Looks at a document.
    pub fn look(&mut self, document: Projection) {
        if !self.filter.holds(&document) {
            return;
        }
        self.count += 1;
        let key = order::key(self.sort, &document);
        let inside = match &self.window {
            Window::After { key: after, .. } => after.as_ref().is_none_or(|after| key > *after),
            Window::Before { key: before, .. } => key < *before,
            Window::Offset { .. } => true,
        };
        if inside {
            self.held.insert(key, document);
            if self.held.len() > self.window.size() {
                match self.window {
                    Window::Before { .. } => self.held.pop_first(),
                    Window::After { .. } | Window::Offset { .. } => self.held.pop_last(),
                };
            }
        }
    }

    /// Whether no later document can change the page, if they come in its order.
    #[must_use]
    pub fn is_full(&self, direction: Direction) -> bool {
        let backwards = matches!(self.window, Window::Before { .. });
        backwards == (direction == Direction::Backwards) && self.held.len() >= self.window.size()
    }

    /// The page of all that was looked at.
    #[must_use]
    pub fn found(self) -> Found {
        let Self { sort, window, mut held, count, .. } = self;
        let (has_next, has_previous) = match window {
            Window::After { key, limit } => {
                let more = held.len() > limit;
                if more {
                    held.pop_last();
                }
                (more, key.is_some())
            }
            Window::Before { limit, .. } => {
                let more = held.len() > limit;
                if more {
                    held.pop_first();
                }
                (true, more)
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
