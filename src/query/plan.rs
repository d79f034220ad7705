//! How a query may be answered from an index: as ranges of keys, or by the pieces of a text.
//!
//! A plan only narrows what is looked at, and says in which order: every document is judged by [`super::eval`] and
//! placed by [`super::order`] all the same. Hence ranges may be wider than what is asked for, and never narrower.

use super::{
    ast::{By, Filter, Path, Query, Sort, Than},
    index::{Index, Of},
    order::{self, part, parts},
    pick::Window,
};
use crate::model::{
    Json,
    limits::{INDEX_RANGES_MAX, SORT_TEXT_BYTES},
};

/// How documents are come by.
#[derive(Debug, Clone, PartialEq)]
pub enum Access<'a> {
    /// All of them, by name and id.
    All,
    /// Those of some ranges of an index.
    Ranges {
        index: &'a Index,
        fields: &'a [Sort],
        ranges: Vec<Range>,
        order: Option<Order>,
        /// Whether all that stands there matches: then keys can be counted in place of documents.
        exact: bool,
    },
    /// Those that share a piece with a text, the most alike first.
    Alike {
        index: &'a Index,
        /// The order of likeness.
        by: Sort,
        at_least: f64,
        /// Whether no others can match.
        complete: bool,
        /// Whether that is the query's order.
        in_order: bool,
    },
}

/// Keys from one on, and before another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    pub from: Vec<u8>,
    pub to: Vec<u8>,
}

/// That the keys of an index are in the order of a query: what each field of the index is to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order(Vec<Slot>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    /// One value, whose part this is.
    One(Vec<u8>),
    /// The field of the query's order that has this index.
    Sorted(usize),
}

impl Order {
    /// The key of the index for a key of the query's order.
    #[must_use]
    pub fn key(&self, sort: &[Sort], key: &[u8]) -> Option<Vec<u8>> {
        let (parts, rest) = parts(sort, key)?;
        let mut found = Vec::with_capacity(key.len() + 16);
        for slot in &self.0 {
            match slot {
                Slot::One(part) => found.extend_from_slice(part),
                Slot::Sorted(index) => found.extend_from_slice(parts.get(*index)?),
            }
        }
        found.extend_from_slice(rest);
        Some(found)
    }
}

/// The best way to answer a query for a page.
#[must_use]
pub fn plan<'a>(indexes: &'a [Index], query: &Query, window: &Window) -> Access<'a> {
    let mut conjuncts = Vec::new();
    flatten(&query.filter, &mut conjuncts);
    let mut best = (0, Access::All);
    for index in indexes {
        let found = match &index.of {
            Of::Fields(fields) => ranges(index, fields, &conjuncts, query),
            Of::Similarity(path) => alike(index, path, &conjuncts, query, window),
        };
        if let Some((worth, access)) = found
            && worth > best.0
        {
            best = (worth, access);
        }
    }
    best.1
}

/// The filters that all have to hold.
fn flatten<'a>(filter: &'a Filter, conjuncts: &mut Vec<&'a Filter>) {
    match filter {
        Filter::And(filters) => filters.iter().for_each(|filter| flatten(filter, conjuncts)),
        other => conjuncts.push(other),
    }
}

/// What a query has in an index of fields, and how much that is worth: values before an order, an order before a
/// range.
fn ranges<'a>(
    index: &'a Index,
    fields: &'a [Sort],
    conjuncts: &[&Filter],
    query: &Query,
) -> Option<(usize, Access<'a>)> {
    let mut prefix = Vec::new();
    let mut ones = 0;
    let mut next_path = None;
    let mut spans = vec![Range { from: Vec::new(), to: vec![0xff] }];
    let mut narrowed = false;
    for field in fields {
        let By::Path(path) = &field.by else { return None };
        let Some(found) = spans_of(path, conjuncts) else { break };
        spans = found;
        if field.descending {
            spans.iter_mut().for_each(turn);
        }
        (narrowed, next_path) = (true, Some(path));
        let one = one(path, conjuncts).map(|value| turned(&value, field.descending));
        let Some(part) = one else { break };
        prefix.extend_from_slice(&part);
        ones += 1;
        spans = vec![Range { from: Vec::new(), to: vec![0xff] }];
        (narrowed, next_path) = (false, None);
    }
    let mut ranges: Vec<Range> = spans
        .into_iter()
        .map(|span| Range {
            from: [prefix.as_slice(), &span.from].concat(),
            to: [prefix.as_slice(), &span.to].concat(),
        })
        .collect();
    if ones == fields.len() {
        ranges = vec![Range { to: next(&prefix), from: prefix }];
    }
    ranges.sort_unstable();
    ranges.dedup();
    let order = in_order(fields, conjuncts, &query.sort).filter(|_| ranges.len() == 1);
    let sorts = order.is_some() && !query.count && (ones > 0 || narrowed || !query.sort.is_empty());
    let worth = ones * 4 + usize::from(sorts) * 2 + usize::from(narrowed);
    let exact = conjuncts.iter().all(|filter| match path_of(filter) {
        Some(path) if Some(path) == next_path => fits(filter, path, conjuncts),
        Some(path) if fields.iter().take(ones).any(|field| field.by == By::Path(path.clone())) => {
            matches!(filter, Filter::Eq { value, .. } if is_whole(value) && one(path, conjuncts).as_ref() == Some(value))
        }
        _ => false,
    });
    Some((worth, Access::Ranges { index, fields, ranges, order, exact }))
}

fn path_of(filter: &Filter) -> Option<&Path> {
    match filter {
        Filter::Eq { path, .. }
        | Filter::In { path, .. }
        | Filter::Compare { path, .. }
        | Filter::Prefix { path, .. } => Some(path),
        _ => None,
    }
}

/// Whether the parts of a path's values in its spans are of those values alone of which a filter holds.
fn fits(filter: &Filter, path: &Path, conjuncts: &[&Filter]) -> bool {
    let others = conjuncts.iter().filter(|other| path_of(other) == Some(path)).count() - 1;
    let lists =
        || conjuncts.iter().any(|other| matches!(other, Filter::In { path: of, .. } if of == path));
    match filter {
        Filter::In { values, .. } => others == 0 && values.iter().all(is_whole),
        Filter::Compare { value, .. } => is_whole(value) && !lists(),
        Filter::Prefix { text, .. } => {
            !text.ignore_case && text.text.len() < SORT_TEXT_BYTES && !lists()
        }
        _ => false,
    }
}

/// Whether no other value has the same part.
fn is_whole(value: &Json) -> bool {
    match value {
        Json::Array(_) | Json::Object(_) => false,
        Json::String(text) => text.len() < SORT_TEXT_BYTES,
        _ => true,
    }
}

/// Whether an index has the order of a query, among documents with the one value of some fields.
fn in_order(fields: &[Sort], conjuncts: &[&Filter], sort: &[Sort]) -> Option<Order> {
    let fixed = |field: &Sort| match &field.by {
        By::Path(path) => one(path, conjuncts),
        By::Similarity { .. } => None,
    };
    let mut left = sort.iter().enumerate().filter(|(_, field)| fixed(field).is_none());
    let mut slots = Vec::new();
    for field in fields {
        slots.push(match fixed(field) {
            Some(value) => Slot::One(turned(&value, field.descending)),
            None => {
                let (place, wanted) = left.next()?;
                if wanted != field {
                    return None;
                }
                Slot::Sorted(place)
            }
        });
    }
    left.next().is_none().then_some(Order(slots))
}

/// The part of a value in a field of an order.
fn turned(value: &Json, descending: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    part(&mut bytes, value);
    if descending {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
    }
    bytes
}

/// The one value that a path has to have.
fn one(path: &Path, conjuncts: &[&Filter]) -> Option<Json> {
    conjuncts.iter().find_map(|filter| match filter {
        Filter::Eq { path: of, value } if of == path => Some(value.clone()),
        Filter::In { path: of, values } if of == path => match values.as_slice() {
            [value] => Some(value.clone()),
            _ => None,
        },
        _ => None,
    })
}

/// Where the parts of a path's values have to be, if filters say so.
fn spans_of(path: &Path, conjuncts: &[&Filter]) -> Option<Vec<Range>> {
    let of_one = |value: &Json| {
        let from = turned(value, false);
        Range { to: next(&from), from }
    };
    let mut span: Option<Range> = None;
    for filter in conjuncts {
        let found = match filter {
            Filter::Eq { path: of, value } if of == path => return Some(vec![of_one(value)]),
            Filter::In { path: of, values } if of == path && values.len() <= INDEX_RANGES_MAX => {
                return Some(values.iter().map(of_one).collect());
            }
            Filter::Compare { path: of, than, value } if of == path => compared(*than, value),
            Filter::Prefix { path: of, text } if of == path && !text.ignore_case => {
                let mut from = turned(&Json::String(text.text.clone()), false);
                from.pop();
                Range { to: next(&from), from }
            }
            _ => continue,
        };
        span = Some(match span {
            None => found,
            Some(span) => Range { from: span.from.max(found.from), to: span.to.min(found.to) },
        });
    }
    span.map(|span| vec![span])
}

/// The parts of values of the same type that may compare so.
fn compared(than: Than, value: &Json) -> Range {
    let own = turned(value, false);
    // Of a long text, others have the same part.
    let long = matches!(value, Json::String(text) if text.len() >= SORT_TEXT_BYTES);
    let tag = own.first().copied().unwrap_or_default();
    let (first, last) = (vec![tag], vec![tag + 1]);
    match than {
        Than::Greater if !long => Range { from: next(&own), to: last },
        Than::Greater | Than::AtLeast => Range { from: own, to: last },
        Than::Less if !long => Range { from: first, to: own },
        Than::Less | Than::AtMost => Range { from: first, to: next(&own) },
    }
}

/// The first bytes after all that begin so.
fn next(bytes: &[u8]) -> Vec<u8> {
    let mut next = bytes.to_vec();
    while let Some(last) = next.pop() {
        if last < 0xff {
            next.push(last + 1);
            return next;
        }
    }
    // No part begins so.
    vec![0xff]
}

/// The same parts with each byte turned over.
fn turn(span: &mut Range) {
    let over = |bytes: &[u8]| next(&bytes.iter().map(|byte| !byte).collect::<Vec<_>>());
    let to = if span.from.is_empty() { vec![0xff] } else { over(&span.from) };
    *span = Range { from: over(&span.to), to };
}

/// What a query has in an index of a similarity. It is worth more than any order, and less than a value.
fn alike<'a>(
    index: &'a Index,
    path: &Path,
    conjuncts: &[&Filter],
    query: &Query,
    window: &Window,
) -> Option<(usize, Access<'a>)> {
    let asked = conjuncts.iter().find_map(|filter| match filter {
        Filter::Similar { path: of, to, at_least } if of == path && *at_least > 0.0 => {
            Some((to, *at_least))
        }
        _ => None,
    });
    let sorted = match query.sort.as_slice() {
        [Sort { by: By::Similarity { path: of, to }, descending: true }] if of == path => Some(to),
        _ => None,
    };
    let (to, at_least, in_order) = match (asked, sorted) {
        (Some((to, at_least)), sorted) => {
            let backwards = matches!(window, Window::Before { .. });
            (to, at_least, sorted == Some(to) && !backwards)
        }
        (None, Some(to)) if !query.count && !matches!(window, Window::Before { .. }) => {
            (to, 0.0, true)
        }
        _ => return None,
    };
    let by = By::Similarity { path: path.clone(), to: to.clone() };
    let (by, complete) = (Sort { by, descending: true }, asked.is_some());
    Some((3, Access::Alike { index, by, at_least, complete, in_order }))
}

impl Access<'_> {
    /// The index that serves.
    #[must_use]
    pub fn index(&self) -> Option<&Index> {
        match self {
            Self::All => None,
            Self::Ranges { index, .. } | Self::Alike { index, .. } => Some(index),
        }
    }

    /// What it does, in words.
    #[must_use]
    pub fn words(&self, query: &Query) -> String {
        let until = |in_order: bool| {
            if in_order && !query.count {
                "; they come in the order asked for, until the page is full"
            } else {
                "; all of them are judged"
            }
        };
        match self {
            Self::All => format!("all entries, by id{}", until(query.sort.is_empty())),
            Self::Ranges { index, ranges, order, .. } => {
                let whole = ranges.iter().any(|range| range.from.is_empty());
                let part = match ranges.len() {
                    1 if whole => "the whole of".to_owned(),
                    1 => "one range of".to_owned(),
                    count => format!("{count} ranges of"),
                };
                format!("{part} the index `{}`{}", index.name, until(order.is_some()))
            }
            Self::Alike { index, in_order, complete, .. } => {
                let then = if *complete { "" } else { "; if they are too few, all entries" };
                let until = until(*in_order);
                format!("the most alike first, by the index `{}`{until}{then}", index.name)
            }
        }
    }
}

/// Where a walk of the most alike first goes on, for a key of the query's order: a score and an id.
#[must_use]
pub fn alike_after(sort: &[Sort], key: &[u8]) -> Option<(f64, String)> {
    let (parts, rest) = parts(sort, key)?;
    let score = order::float(parts.first()?, true)?;
    let (_, id) = std::str::from_utf8(rest.strip_suffix(&[0])?).ok()?.split_once('\0')?;
    (!id.contains('\0')).then(|| (score, id.to_owned()))
}
