//! Picks the page of a query from documents in any order.
//!
//! A page ends before the document that would bring its JSON over so many bytes, and has one at least. Numbered pages
//! have the size that was asked: they may hold, with all before them, so many times as much, or are given up.

use std::collections::BTreeMap;

use super::{
    ast::{By, Filter, Sort},
    order,
};
use crate::model::{Direction, Projection, limits::NUMBERED_PAGES};

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
    /// Bytes of the JSON of a page.
    bytes_max: usize,
    held: BTreeMap<Vec<u8>, Projection>,
    bytes: usize,
    /// The key of what the page had no room for.
    end: Option<Vec<u8>>,
    count: u64,
}

impl<'a> Pick<'a> {
    #[must_use]
    pub fn new(filter: &'a Filter, sort: &'a [Sort], window: Window, bytes_max: usize) -> Self {
        let numbered = matches!(window, Window::Offset { .. });
        let bytes_max = if numbered { bytes_max.saturating_mul(NUMBERED_PAGES) } else { bytes_max };
        let (held, end) = (BTreeMap::new(), None);
        Self { filter, sort, window, bytes_max, held, bytes: 0, end, count: 0 }
    }

    /// Looks at a document.
    pub fn look(&mut self, document: Projection) {
        if !self.filter.holds(&document) {
            return;
        }
        self.count += 1;
        let key = order::key(self.sort, &document);
        let backwards = matches!(self.window, Window::Before { .. });
        let inside = match &self.window {
            Window::After { key: after, .. } => after.as_ref().is_none_or(|after| key > *after),
            Window::Before { key: before, .. } => key < *before,
            Window::Offset { .. } => true,
        };
        let room = self.end.as_ref().is_none_or(|end| (key < *end) != backwards && key != *end);
        if !inside || !room {
            return;
        }
        self.bytes = self.bytes.saturating_add(bytes(&document));
        self.held.insert(key, document);
        while self.held.len() > self.window.size()
            || (self.bytes > self.bytes_max && self.held.len() > 1)
        {
            let last = if backwards { self.held.pop_first() } else { self.held.pop_last() };
            let Some((key, document)) = last else { break };
            self.bytes = self.bytes.saturating_sub(bytes(&document));
            self.end = Some(key);
        }
    }

    /// Whether no later document can change the page, if they come in its order.
    #[must_use]
    pub fn is_full(&self, direction: Direction) -> bool {
        let backwards = matches!(self.window, Window::Before { .. });
        let full = self.end.is_some() || self.held.len() >= self.window.size();
        backwards == (direction == Direction::Backwards) && full
    }

    /// Whether a numbered page, with all before it, is too large to be held.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self.window, Window::Offset { .. })
            && self.end.is_some()
            && self.held.len() + 1 < self.window.size()
    }

    /// The page of all that was looked at.
    #[must_use]
    pub fn found(self) -> Found {
        let Self { sort, window, mut held, end, count, .. } = self;
        let more = held.len() == window.size();
        if more {
            match window {
                Window::Before { .. } => held.pop_first(),
                Window::After { .. } | Window::Offset { .. } => held.pop_last(),
            };
        }
        let more = more || end.is_some();
        let (has_next, has_previous) = match window {
            Window::After { key, .. } => (more, key.is_some()),
            Window::Before { .. } => (true, more),
            Window::Offset { offset, .. } => {
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

/// The JSON of a document, about.
#[must_use]
pub fn bytes(document: &Projection) -> usize {
    document.state.bytes() + document.metadata.bytes()
}
