//! Finds the page of a query: walks documents in the way that its plan says, and judges each.

use std::time::Duration;

use super::{
    StorageError,
    indexes::{Alike, Declared, Keys},
    projections::{Part, ProjectionView, Stretch},
    turn::Turn,
};
use crate::{
    model::{
        Direction, EntryId, Projection, ProjectionName,
        limits::{NUMBERED_PAGES, QUERY_SECONDS_MAX},
    },
    query::{
        By, Query, Sort,
        index::Index,
        order,
        pick::{Found, Pick, Window},
        plan::{Access, Range, alike_after, plan},
        sieve::Sieve,
    },
};

/// Why a query found nothing out.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It would have to examine more documents than it may.
    #[error("the query would examine more than {0} documents")]
    TooBroad(usize),
    /// A numbered page would hold more bytes than it may, with what is before it.
    #[error("the page, with all before it, would hold more than {0} bytes")]
    TooLarge(usize),
    /// It took more seconds than it may.
    #[error("the query took more than {0} seconds")]
    TooLong(u64),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// How far a query may reach.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Documents, and bytes of their JSON, that are read at once.
    pub stretch: usize,
    pub bytes: usize,
    /// Bytes of the JSON of a page.
    pub page_bytes: usize,
    /// Documents that it examines, and for how long.
    pub examined: usize,
    pub time: Duration,
    /// Documents of an index that it examines before it tries whether a page is full sooner in the order of ids.
    pub tried: usize,
    /// Across names: the names of what projectors feed that answer.
    pub answering: Vec<ProjectionName>,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            stretch: 1_000,
            bytes: 4 << 20,
            page_bytes: usize::MAX,
            examined: usize::MAX,
            time: Duration::from_secs(QUERY_SECONDS_MAX),
            tried: 10_000,
            answering: Vec::new(),
        }
    }
}

/// What a query found, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub found: Found,
    /// The index that served.
    pub index: Option<String>,
    /// What was read, in words.
    pub plan: String,
    /// The documents that were examined.
    pub examined: usize,
}

/// Documents that are fetched by their ids at once.
const FETCHED_AT_ONCE: usize = 32;

/// Finds the page of a query among the documents of a name, or of all names.
pub async fn find(
    view: &mut dyn ProjectionView,
    name: Option<&ProjectionName>,
    query: &Query,
    window: Window,
    reach: Reach,
) -> Result<Answer, FindError> {
    let declared = match name {
        Some(name) => view.indexes(name).await?,
        None => Vec::new(),
    };
    let built: Vec<&Declared> = declared.iter().filter(|declared| declared.built).collect();
    let indexes: Vec<Index> = built.iter().map(|declared| declared.index.clone()).collect();
    let id = |index: &Index| {
        built.iter().find(|declared| declared.index == *index).map_or(0, |declared| declared.id)
    };
    let uncounted = Query { count: false, ..query.clone() };
    let access = plan(&indexes, &uncounted, &window);
    if let Access::Ranges { index, ranges, exact: true, .. } = &access
        && query.count
    {
        // Keys are counted, and not documents.
        let mut count = 0;
        for range in ranges {
            count += view.keys_between(id(index), &range.from, &range.to).await?;
        }
        let mut answer = pages(view, name, &uncounted, &window, reach, &access, id).await?;
        answer.found.count = count;
        answer.plan =
            format!("the keys of the index `{}` are counted; {}", index.name, answer.plan);
        answer.index = Some(index.name.to_string());
        return Ok(answer);
    }
    let access = if query.count { plan(&indexes, query, &window) } else { access };
    pages(view, name, query, &window, reach, &access, id).await
}

/// Finds the page in the way of a plan, or through all documents if that is none.
async fn pages(
    view: &mut dyn ProjectionView,
    name: Option<&ProjectionName>,
    query: &Query,
    window: &Window,
    reach: Reach,
    access: &Access<'_>,
    id: impl Fn(&Index) -> i64,
) -> Result<Answer, FindError> {
    let mut search = Search { query, window, reach, examined: 0 };
    if matches!(window, Window::After { limit: 0, .. }) && !query.count {
        // Nothing but the number was asked.
        let index = access.index().map(|index| index.name.to_string());
        return Ok(Answer {
            found: Found::default(),
            index,
            plan: access.words(query),
            examined: 0,
        });
    }
    if let Some((name, walk)) = name.and_then(|name| Some((name, search.walk(access, id)?)))
        && let Some(found) = search.run(view, Some(name), walk, Some(access)).await?
    {
        let index = access.index().map(|index| index.name.to_string());
        let examined = search.examined;
        return Ok(Answer { found, index, plan: access.words(query), examined });
    }
    let found = search.run(view, name, search.by_id(), None).await?.unwrap_or_default();
    let plan = Access::All.words(query);
    Ok(Answer { found, index: None, plan, examined: search.examined })
}

/// Where a walk stands.
enum Walk<'a> {
    ById {
        from: Option<(ProjectionName, EntryId)>,
        direction: Direction,
        in_order: bool,
        sieve: Option<Sieve>,
    },
    Keys {
        index: i64,
        fields: &'a [Sort],
        ranges: Vec<Range>,
        direction: Direction,
        in_order: bool,
    },
    Alike {
        asked: Alike,
        by: Sort,
        /// Those that were found and not looked at, the next one last.
        left: Vec<EntryId>,
        /// Whether there are no more than those.
        whole: bool,
        /// As many as are looked for at once.
        every: usize,
        in_order: bool,
    },
}

struct Search<'a> {
    query: &'a Query,
    window: &'a Window,
    reach: Reach,
    examined: usize,
}

impl Search<'_> {
    /// In the order of names and ids a page begins at its cursor, and ends before all are read.
    fn by_id(&self) -> Walk<'static> {
        let in_order = self.query.sort.is_empty() && !self.query.count;
        // Keys have the names that clients know.
        let place = |key: &[u8]| {
            let (name, id) = place(key)?;
            let fed = self.reach.answering.iter().find(|fed| fed.known() == name.as_str());
            Some((fed.cloned().unwrap_or(name), id))
        };
        let (from, direction) = match self.window {
            Window::After { key: Some(key), .. } if in_order => (place(key), Direction::Forwards),
            Window::Before { key, .. } if in_order => match place(key) {
                Some(place) => (Some(place), Direction::Backwards),
                None => (None, Direction::Forwards),
            },
            _ => (None, Direction::Forwards),
        };
        Walk::ById { from, direction, in_order, sieve: Sieve::of(&self.query.filter) }
    }

    fn walk<'a>(&self, access: &Access<'a>, id: impl Fn(&Index) -> i64) -> Option<Walk<'a>> {
        match access {
            Access::All => None,
            Access::Ranges { index, fields, ranges, order, .. } => {
                let mut ranges = ranges.clone();
                let mut direction = Direction::Forwards;
                let order = order.as_ref().filter(|_| !self.query.count);
                if let (Some(order), [range]) = (order, ranges.as_mut_slice()) {
                    let key = |key: &[u8]| order.key(&self.query.sort, key);
                    match self.window {
                        Window::After { key: Some(after), .. } => {
                            let after = [key(after)?.as_slice(), &[0]].concat();
                            range.from = after.max(std::mem::take(&mut range.from));
                        }
                        Window::Before { key: before, .. } => {
                            range.to = key(before)?.min(std::mem::take(&mut range.to));
                            direction = Direction::Backwards;
                        }
                        Window::After { key: None, .. } | Window::Offset { .. } => {}
                    }
                }
                let in_order = order.is_some();
                // The next one is taken from the end.
                ranges.reverse();
                Some(Walk::Keys { index: id(index), fields, ranges, direction, in_order })
            }
            Access::Alike { index, by, at_least, in_order, .. } => {
                let in_order = *in_order && !self.query.count;
                let after = match self.window {
                    Window::After { key: Some(key), .. } if in_order => {
                        alike_after(&self.query.sort, key)
                    }
                    _ => None,
                };
                let in_order = in_order && !matches!(self.window, Window::Before { .. });
                let By::Similarity { to, .. } = &by.by else { return None };
                let every = self.reach.examined.saturating_add(1);
                let asked = Alike {
                    index: id(index),
                    pieces: to.keys().collect(),
                    at_least: *at_least,
                    after: after.map(|(score, id)| (score, EntryId::stored(id))),
                    limit: if in_order { self.window.size() } else { every },
                };
                let (by, left, whole) = (by.clone(), Vec::new(), false);
                Some(Walk::Alike { asked, by, left, whole, every, in_order })
            }
        }
    }

    /// Walks to the end, or until the page is full. None if it was given up.
    async fn run(
        &mut self,
        view: &mut dyn ProjectionView,
        name: Option<&ProjectionName>,
        mut walk: Walk<'_>,
        access: Option<&Access<'_>>,
    ) -> Result<Option<Found>, FindError> {
        let in_order = walk.in_order();
        let mut limit = self.reach.stretch;
        if in_order {
            limit = self.window.size().clamp(1, limit);
        }
        let by_id_may_end_sooner =
            access.is_some() && matches!(self.by_id(), Walk::ById { in_order: true, .. });
        let may_be_others = matches!(access, Some(Access::Alike { complete: false, .. }));
        let before = self.examined;
        let (window, page_bytes) = (self.window.clone(), self.reach.page_bytes);
        let mut pick = Pick::new(&self.query.filter, &self.query.sort, window, page_bytes);
        let mut turn = Turn::default();
        loop {
            let Part { documents, examined, at_end, .. } =
                walk.next(view, name, limit, self.reach.bytes).await?;
            limit = (limit * 2).min(self.reach.stretch);
            self.examined += examined;
            for document in documents {
                // Of a projector one revision answers, and others are built, or were.
                let answering = &self.reach.answering;
                if name.is_none() && document.name.is_fed() && !answering.contains(&document.name) {
                    continue;
                }
                pick.look(document);
                turn.end().await;
                if turn.lasts() > self.reach.time {
                    return Err(FindError::TooLong(self.reach.time.as_secs()));
                }
            }
            let full = in_order && pick.is_full(walk.direction());
            if self.examined > self.reach.examined && !full {
                return Err(FindError::TooBroad(self.reach.examined));
            }
            if (full || at_end) && pick.is_too_large() {
                let most = page_bytes.saturating_mul(NUMBERED_PAGES);
                return Err(FindError::TooLarge(most));
            }
            if full || at_end {
                return Ok((full || !may_be_others).then(|| pick.found()));
            }
            if !in_order && by_id_may_end_sooner && self.examined - before >= self.reach.tried {
                return Ok(None);
            }
        }
    }
}

impl Walk<'_> {
    fn in_order(&self) -> bool {
        match self {
            Self::ById { in_order, .. }
            | Self::Keys { in_order, .. }
            | Self::Alike { in_order, .. } => *in_order,
        }
    }

    fn direction(&self) -> Direction {
        match self {
            Self::ById { direction, .. } | Self::Keys { direction, .. } => *direction,
            Self::Alike { .. } => Direction::Forwards,
        }
    }

    /// The next documents.
    async fn next(
        &mut self,
        view: &mut dyn ProjectionView,
        name: Option<&ProjectionName>,
        limit: usize,
        bytes: usize,
    ) -> Result<Part, StorageError> {
        match self {
            Self::ById { from, direction, sieve, .. } => {
                let stretch = Stretch {
                    name: name.cloned(),
                    from: from.take(),
                    direction: *direction,
                    limit,
                    bytes,
                    sieve: sieve.clone(),
                };
                let part = view.stretch(&stretch).await?;
                *from = part.last.clone();
                Ok(part)
            }
            Self::Keys { index, fields, ranges, direction, .. } => {
                let (Some(name), Some(range)) = (name, ranges.pop()) else {
                    return Ok(Part::whole(Vec::new(), true));
                };
                let Range { from, to } = range;
                let keys = Keys {
                    name: name.clone(),
                    index: *index,
                    from,
                    to,
                    direction: *direction,
                    limit,
                    bytes,
                };
                let part = view.keyed(&keys).await?;
                let last = part.documents.last().filter(|_| !part.at_end);
                ranges.extend(last.map(|last| rest(keys, order::key(fields, last))));
                Ok(Part { at_end: ranges.is_empty(), ..part })
            }
            Self::Alike { asked, by, left, whole, every, .. } => {
                let Some(name) = name else {
                    return Ok(Part::whole(Vec::new(), true));
                };
                if left.is_empty() {
                    *left = view.alike(asked).await?;
                    left.reverse();
                    *whole = left.len() < asked.limit;
                    asked.limit = asked.limit.saturating_mul(2).min(*every);
                }
                let few = left.len().saturating_sub(limit.min(FETCHED_AT_ONCE));
                let ids = left.split_off(few);
                let found = view.kept(name, &ids).await?;
                let documents: Vec<Projection> =
                    found.into_iter().map(|kept| kept.projection).collect();
                let last = ids.first().and_then(|id| documents.iter().find(|of| of.id == *id));
                asked.after = last.map(|last| (by.score(last), last.id.clone()));
                let at_end = left.is_empty() && (*whole || asked.after.is_none());
                Ok(Part::whole(documents, at_end))
            }
        }
    }
}

/// What is left of a range after a key.
fn rest(keys: Keys, mut last: Vec<u8>) -> Range {
    match keys.direction {
        Direction::Forwards => {
            last.push(0);
            Range { from: last, to: keys.to }
        }
        Direction::Backwards => Range { from: keys.from, to: last },
    }
}

/// The name and the id of a key that has nothing before them, if it is one of a document.
fn place(key: &[u8]) -> Option<(ProjectionName, EntryId)> {
    let text = std::str::from_utf8(key.strip_suffix(&[0])?).ok()?;
    let (name, id) = text.split_once('\0')?;
    let whole = !name.is_empty() && !id.is_empty() && !id.contains('\0');
    whole.then(|| (ProjectionName::stored(name), EntryId::stored(id)))
}
