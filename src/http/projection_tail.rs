//! The tail of a projection: its entries as they change, over server-sent events.
//!
//! Frames are those of other tails; the id of each is the number of a change. An entry that changed several times
//! since the last look is given once, as it is. With a query, what is told depends on whether the entry was among
//! those that match: the tail knows that of what has not changed since its place.
//!
//! Of what a projector feeds, ids name the revision as well. When another one answers, all entries are told as dropped
//! and those of the other as saved: that is what a reader of the projection sees.

use std::{collections::HashSet, fmt, str::FromStr, sync::Arc, time::Duration};

use axum::{body::Bytes, extract::State, http::HeaderMap, response::Response};
use futures_util::stream;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use utoipa::ToSchema;

use super::{
    error::{Fault, Kind, Problem},
    extract::{InProjection, MediaType, negotiate},
    gate::{Authorized, Follow, TICKET},
    openapi::{ProjectionPath, ProjectionTailQuery, ReadFailures},
    projection_json::write_entry,
    projection_query::parse,
    query::Query as Parameters,
    state::App,
    tail::{PING, Stage, bye, failed, frame, last_event_id, start, streamed},
};
use crate::{
    engine::changes::Following,
    model::{
        Direction, EntryId, INTEGER_MAX, Json, Log, ProjectionName,
        limits::{QUERY_SECONDS_MAX, TAIL_ENTRIES_MAX},
    },
    query::{Query, select::selected, sieve::Sieve},
    storage::{
        find::FindError,
        projections::{Kept, NameEnd, ProjectionView, Stretch},
        turn::Turn,
    },
};

/// Changes that are read at once: so much a slow client may hold. One is given, however large.
const STEP_CHANGES: usize = 64;
const STEP_BYTES: usize = 256 << 10;
/// Entries that are looked at at once for what matches.
const OPENED_AT_ONCE: usize = 1_000;

/// What became of an entry.
#[derive(Debug, ToSchema)]
#[schema(as = EntryChange)]
#[expect(dead_code, reason = "describes frames, which `told` writes")]
pub(super) struct ChangeOutput {
    /// `saved`, `deleted`, `entered`, `changed`, `left` or `dropped`.
    #[schema(example = "saved")]
    r#type: String,
    /// The entry; none if all are gone.
    #[schema(required, example = "joe.bloggs")]
    id: Option<String>,
    /// The entry's version, by which a later change of it is known.
    #[schema(required, maximum = 9_007_199_254_740_991_i64, example = 2)]
    version: Option<i64>,
    /// The entry as it is now, or null.
    #[schema(required, value_type = Option<Object>)]
    entry: Option<Json>,
}

/// Tail a projection
///
/// Its entries after a change, and then each as soon as it is changed (`text/event-stream`): one that changes several
/// times between two looks is given once, as it is then. `data` is
/// `{"type", "id", "version", "entry"}`: `saved` or `deleted`; with a `query`, whose filter says what is followed,
/// `entered`, `changed` or `left`; `dropped` if all entries are gone, also if those of another revision of its projector
/// follow. `entry` is null where there is none.
#[utoipa::path(get, path = "/logs/{log}/projections/{projection}/tail", tag = "tail", security(("key" = ["read"]), ("ticket" = [])),
    params(ProjectionPath, ProjectionTailQuery),
    responses((status = 200, description = "A frame for each entry that changed.", body = ChangeOutput,
               content_type = "text/event-stream"), ReadFailures))]
pub(super) async fn tail_projection(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Follow, InProjection>,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::EventStream])?;
    parameters.one(TICKET);
    let text = parameters.one("query");
    let after = parameters.after_change();
    parameters.finish()?;
    let after = last_event_id(&headers)?.or(after);
    let query = text.map(|text| filter_alone(&text)).transpose()?;
    let following = app.changes.follow(&at.log, &at.name);
    let (projection, revision) = (at.name.known().to_owned(), at.fed.map(|fed| fed.revision));
    // A place in another revision is none in this one.
    let is_other = after.is_some_and(|after| after.revision != revision && after.change > 0);
    let after = after.map(|after| if is_other { 0 } else { after.change });
    let mut frames = Frames {
        after: after.unwrap_or(0),
        members: HashSet::new(),
        away: after.is_some_and(|after| after > 0),
        high_water: 0,
        stage: Stage::Start,
        quiet_since: Instant::now(),
        switches: app.runners.switches(),
        switched: is_other,
        log: at.log,
        projection,
        revision,
        name: at.name,
        app: app.clone(),
        following,
        query,
    };
    frames.open(after).await?;
    streamed(
        &app,
        by,
        stream::unfold(frames, |mut frames| async move {
            let frame = frames.next().await?;
            Some((frame, frames))
        }),
    )
}

/// A query that has a filter, and perhaps a selection.
fn filter_alone(text: &str) -> Result<Query, Problem> {
    let query = parse(text, Some("query"))?;
    if let Json::Object(members) = Json::stored(text)
        && let Some(other) =
            members.keys().find(|key| !["filter", "select"].contains(&key.as_str()))
    {
        let detail = format!("#/{other}: no such member; expected `filter`, `select`");
        return Err(Problem::invalid(vec![Fault::parameter("query", detail)]));
    }
    Ok(query)
}

/// A change of a projection, and of which revision of its projector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changed {
    revision: Option<i64>,
    change: i64,
}

impl Changed {
    /// Before the first.
    pub(super) const START: Self = Self { revision: None, change: 0 };
}

impl FromStr for Changed {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|number| *number <= INTEGER_MAX);
            number.filter(|_| digits).ok_or(())
        };
        match text.split_once('.') {
            None => Ok(Self { revision: None, change: number(text)? }),
            Some((revision, change)) => {
                Ok(Self { revision: Some(number(revision)?), change: number(change)? })
            }
        }
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            Some(revision) => write!(f, "{revision}.{}", self.change),
            None => self.change.fmt(f),
        }
    }
}

/// The frames of one tail.
struct Frames {
    app: App,
    log: Arc<Log>,
    projection: String,
    /// The revision that feeds it, and the name of its documents.
    revision: Option<i64>,
    name: ProjectionName,
    switches: watch::Receiver<u64>,
    /// Whether what its client has is of another revision.
    switched: bool,
    following: Following,
    query: Option<Query>,
    /// The last change that was told, or examined.
    after: i64,
    /// The entries that match, as far as they are known.
    members: HashSet<EntryId>,
    /// Whether its client may have entries that are not known of: until it has caught up, if it comes back.
    away: bool,
    high_water: i64,
    stage: Stage,
    quiet_since: Instant,
}

impl Frames {
    /// Finds its place, and what matches there.
    async fn open(&mut self, after: Option<i64>) -> Result<(), Problem> {
        let (mut view, permit) = self.following.begin().await?;
        let opened = opened(&self.app, view.as_mut(), &self.name, self.query.as_ref(), after).await;
        view.close().await;
        drop(permit);
        let (end, members) = opened?;
        self.after = after.unwrap_or(end.change);
        self.high_water = end.change;
        self.members = members;
        Ok(())
    }

    /// The next frames; nothing after the last.
    async fn next(&mut self) -> Option<Bytes> {
        let frames = match self.stage {
            Stage::Over => return None,
            Stage::Start => {
                self.stage = Stage::CatchingUp;
                let data = json!({
                    "after": self.id(self.after), "high_water": self.id(self.high_water),
                });
                start(&data)
            }
            Stage::CatchingUp | Stage::Live => self.advance().await,
        };
        self.quiet_since = Instant::now();
        Some(frames)
    }

    /// Goes on until there is something to send.
    async fn advance(&mut self) -> Bytes {
        loop {
            if self.app.tasks.stopping() {
                self.stage = Stage::Over;
                return bye("shutting-down");
            }
            let place = self.id(self.after);
            if self.quiet_since.elapsed() >= PING {
                return frame(
                    "ping",
                    Some(&place),
                    &json!({ "after": place, "lag": 0 }).to_string(),
                );
            }
            match self.step().await {
                Ok(Some(frames)) if frames.is_empty() => {}
                Ok(Some(frames)) => return frames.into(),
                Ok(None) if self.stage == Stage::CatchingUp => {
                    (self.stage, self.away) = (Stage::Live, false);
                    return frame(
                        "caught-up",
                        Some(&place),
                        &json!({ "after": place }).to_string(),
                    );
                }
                Ok(None) => self.wait().await,
                Err(problem) => {
                    self.stage = Stage::Over;
                    return failed(&problem);
                }
            }
        }
    }

    async fn wait(&mut self) {
        let ping = sleep_until(self.quiet_since + PING);
        let tasks = self.app.tasks.clone();
        tokio::select! {
            () = self.following.woken() => {}
            // Whoever tells them ends with the service.
            _ = self.switches.changed() => {}
            () = ping => {}
            () = tasks.stopped() => {}
        }
    }

    fn id(&self, change: i64) -> String {
        Changed { revision: self.revision, change }.to_string()
    }

    /// Follows the revision that answers now.
    fn follow_switch(&mut self) {
        let fed = self.app.runners.fed(&self.log.name, &self.projection);
        let revision = fed.as_ref().map(|fed| fed.revision);
        if revision == self.revision {
            return;
        }
        self.name = fed
            .map_or_else(|| ProjectionName::stored(self.projection.as_str()), |fed| fed.documents);
        self.following = self.app.changes.follow(&self.log, &self.name);
        (self.revision, self.after, self.switched) = (revision, 0, true);
    }

    /// What changed since; nothing if nothing did.
    async fn step(&mut self) -> Result<Option<String>, Problem> {
        self.follow_switch();
        if std::mem::take(&mut self.switched) {
            self.members.clear();
            self.away = false;
            return Ok(Some(self.dropped()));
        }
        let (mut view, permit) = self.following.look().await?;
        let read = changes(view.as_mut(), &self.name, self.after).await;
        view.close().await;
        drop(permit);
        let (end, changed) = read?;
        let mut out = String::new();
        if end.dropped > self.after {
            self.members.clear();
            (self.after, self.away) = (end.dropped, false);
            out.push_str(&self.dropped());
        } else if changed.is_empty() {
            return Ok(None);
        }
        let mut turn = Turn::default();
        for kept in changed {
            self.tell(&mut out, kept)?;
            turn.end().await;
        }
        Ok(Some(out))
    }

    /// That all entries are gone.
    fn dropped(&self) -> String {
        let data = r#"{"type":"dropped","id":null,"version":null,"entry":null}"#;
        format!("id: {}\ndata: {data}\n\n", self.id(self.after))
    }

    /// Tells of one change, if it is to be told.
    fn tell(&mut self, out: &mut String, kept: Kept) -> Result<(), Problem> {
        self.after = kept.change;
        let Kept { projection: entry, change, deleted } = kept;
        let kind = match &self.query {
            None if deleted => "deleted",
            None => "saved",
            Some(query) => {
                let matches = !deleted && query.filter.holds(&entry);
                let was = if matches {
                    !self.members.insert(entry.id.clone())
                } else {
                    self.members.remove(&entry.id)
                };
                if self.members.len() > TAIL_ENTRIES_MAX {
                    return Err(too_many());
                }
                match (was, matches) {
                    (true, true) => "changed",
                    (false, true) => "entered",
                    (true, false) => "left",
                    // It may have matched at the client's place.
                    (false, false) if self.away => "left",
                    (false, false) => return Ok(()),
                }
            }
        };
        let (id, version) = (Json::String(entry.id.to_string()), entry.version);
        let change = self.id(change);
        out.push_str(&format!(
            "id: {change}\ndata: {{\"type\":\"{kind}\",\"id\":{id},\"version\":{version},\"entry\":"
        ));
        if deleted {
            out.push_str("null");
        } else {
            let select = self.query.as_ref().map_or(&[][..], |query| &query.select);
            write_entry(out, &selected(entry, select), None);
        }
        out.push_str("}\n\n");
        Ok(())
    }
}

fn too_many() -> Problem {
    let detail = format!(
        "More than {TAIL_ENTRIES_MAX} entries match; a tail cannot follow so many by a query."
    );
    Problem::too_broad("tail_entries", TAIL_ENTRIES_MAX, detail)
}

/// Where a projection ends, and what of it matches that did not change after a place.
async fn opened(
    app: &App,
    view: &mut dyn ProjectionView,
    name: &ProjectionName,
    query: Option<&Query>,
    after: Option<i64>,
) -> Result<(NameEnd, HashSet<EntryId>), Problem> {
    let end = view.end(name).await?;
    let place = after.unwrap_or(end.change);
    if place > end.change {
        let detail = "The change that the cursor points at is not stored any more.";
        let mut problem = Problem::new(Kind::HistoryDiverged, detail);
        problem.body.high_water = Some(end.change.to_string());
        return Err(problem);
    }
    let mut members = HashSet::new();
    // Who begins at the beginning has nothing yet.
    let Some(query) = query.filter(|_| place > 0) else { return Ok((end, members)) };
    let mut budget = Budget { left: app.limits.query_examined, most: app.limits.query_examined };
    let mut stretch = Stretch {
        name: Some(name.clone()),
        from: None,
        direction: Direction::Forwards,
        limit: OPENED_AT_ONCE,
        bytes: STEP_BYTES,
        sieve: Sieve::of(&query.filter),
    };
    let mut turn = Turn::default();
    loop {
        let part = view.stretch(&stretch).await?;
        budget.spend(part.examined)?;
        for document in part.documents {
            if query.filter.holds(&document) {
                members.insert(document.id);
            }
            turn.end().await;
            if turn.lasts() > Duration::from_secs(QUERY_SECONDS_MAX) {
                return Err(FindError::TooLong(QUERY_SECONDS_MAX).into());
            }
        }
        if members.len() > TAIL_ENTRIES_MAX {
            return Err(too_many());
        }
        stretch.from = part.last;
        if part.at_end {
            break;
        }
    }
    // What changed since is told again; whether it matched before is not known.
    let mut since = place;
    loop {
        let changed = view.changed(name, since, OPENED_AT_ONCE, STEP_BYTES).await?;
        budget.spend(changed.len())?;
        let Some(last) = changed.last() else { return Ok((end, members)) };
        since = last.change;
        for kept in &changed {
            members.remove(&kept.projection.id);
        }
    }
}

/// How many entries may still be examined.
struct Budget {
    left: usize,
    most: usize,
}

impl Budget {
    fn spend(&mut self, examined: usize) -> Result<(), Problem> {
        self.left = self.left.checked_sub(examined).ok_or(FindError::TooBroad(self.most))?;
        Ok(())
    }
}

async fn changes(
    view: &mut dyn ProjectionView,
    name: &ProjectionName,
    after: i64,
) -> Result<(NameEnd, Vec<Kept>), Problem> {
    let end = view.end(name).await?;
    Ok((end, view.changed(name, after.max(end.dropped), STEP_CHANGES, STEP_BYTES).await?))
}
