//! Query parameters: each is taken by name, and what nobody took is refused.

use std::time::Duration;

use axum::{extract::FromRequestParts, http::request::Parts};
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::{
    error::{Fault, Problem},
    extract::not_encoded,
    projection_tail::Changed,
};
use crate::model::{
    Cursor, Direction, Filter, INTEGER_MAX, Limits, MetadataMatch, Scalar, Scan, TimeRange,
    Timestamp,
    limits::{
        FILTER_VALUES_MAX, LISTING_DEFAULT, LISTING_MAX, PAGE_EVENTS_DEFAULT, WAIT_SECONDS_MAX,
    },
};
use crate::{
    engine::{reduce::Until, tail::From},
    storage::Listing,
};

/// The parameters of a query that nobody has taken yet, and what is wrong with those taken.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    /// The parameters that choose events, for the links to other pages.
    pub filter_pairs: Vec<(String, String)>,
    known: Vec<String>,
    malformed: Option<Fault>,
    faults: Vec<Fault>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let text = parts.uri.query().unwrap_or_default();
        let decode = |part: &str| {
            let spaced = part.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8().map(std::borrow::Cow::into_owned)
        };
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let Some(wrong) = not_encoded(pair) {
                return Err(Problem::malformed(Fault::parameter(key, wrong)));
            }
            match (decode(key), decode(value)) {
                (Ok(key), Ok(value)) => pairs.push((key, value)),
                _ => {
                    let fault = Fault::parameter(key, "is not UTF-8 once it is percent-decoded");
                    return Err(Problem::malformed(fault));
                }
            }
        }
        Ok(Self {
            pairs,
            filter_pairs: Vec::new(),
            known: Vec::new(),
            malformed: None,
            faults: Vec::new(),
        })
    }
}

impl Query {
    fn all(&mut self, name: &str) -> Vec<String> {
        self.known.push(name.to_owned());
        self.pairs.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// A parameter that may stand once.
    pub(super) fn one(&mut self, name: &str) -> Option<String> {
        let mut values = self.all(name);
        if values.len() > 1 {
            self.refuse(name, "may stand only once");
        }
        values.pop()
    }

    fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        self.faults.push(Fault::parameter(name, detail));
    }

    /// The id of an event.
    pub(super) fn event_id(&mut self) -> Option<Uuid> {
        let text = self.one("event_id")?;
        let id = Uuid::try_parse(&text).ok();
        if id.is_none() {
            self.refuse("event_id", "expected a UUID");
        }
        id
    }

    /// A whole number, unreadable if it is none.
    fn number(&mut self, name: &str) -> Option<i64> {
        let text = self.one(name)?;
        let digits = text.strip_prefix('-').unwrap_or(&text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            self.malformed.get_or_insert(Fault::parameter(name, "expected a whole number"));
            return None;
        }
        Some(text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX }))
    }

    /// At least 1; above the maximum it is lowered.
    fn limit(&mut self, default: usize, max: usize) -> usize {
        match self.number("limit") {
            None => default,
            Some(limit) if !(1..=INTEGER_MAX).contains(&limit) => {
                self.refuse(
                    "limit",
                    format!("expected 1 to 9007199254740991; at most {max} are given at once"),
                );
                default
            }
            Some(limit) => usize::try_from(limit).map_or(max, |limit| limit.min(max)),
        }
    }

    fn cursor(&mut self, name: &str) -> Option<Cursor> {
        use crate::model::CursorFault;
        match self.one(name)?.parse() {
            Ok(cursor) => Some(cursor),
            Err(fault @ CursorFault::Range) => {
                self.refuse(name, fault.to_string());
                None
            }
            Err(fault @ CursorFault::Shape) => {
                self.malformed.get_or_insert(Fault::parameter(name, fault.to_string()));
                None
            }
        }
    }

    /// `true`, `false`, or the name alone, as in `?verbose`.
    pub(super) fn bare_flag(&mut self, name: &str) -> bool {
        let text = self.one(name);
        text.as_deref() == Some("") || self.truth(name, text.as_deref())
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        let text = self.one(name);
        self.truth(name, text.as_deref())
    }

    fn truth(&mut self, name: &str, text: Option<&str>) -> bool {
        match text {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.refuse(name, "expected true or false");
                false
            }
        }
    }

    fn time(&mut self, name: &str) -> Option<Timestamp> {
        let text = self.one(name)?;
        match text.parse() {
            Ok(time) => {
                self.filter_pairs.push((name.to_owned(), text));
                Some(time)
            }
            Err(fault) => {
                let fault: crate::model::time::TimeFault = fault;
                // In a URL an unencoded `+` is a space.
                let hint = if text.contains(' ') { "; a + must be sent as %2B" } else { "" };
                self.refuse(name, format!("{fault}{hint}"));
                None
            }
        }
    }

    fn times(&mut self, name: &str) -> TimeRange {
        let (from, until) = (format!("{name}_from"), format!("{name}_until"));
        TimeRange { from: self.time(&from), until: self.time(&until) }
    }

    /// The parameters that choose events.
    pub(super) fn filter(&mut self) -> Filter {
        let mut names = Vec::new();
        for text in self.all("name") {
            match text.parse() {
                Ok(name) => names.push(name),
                Err(fault) => {
                    let fault: crate::model::NameFault = fault;
                    self.refuse("name", fault.to_string());
                }
            }
            self.filter_pairs.push(("name".to_owned(), text));
        }
        let mut metadata: Vec<MetadataMatch> = Vec::new();
        self.known.push("metadata.<key>".to_owned());
        let taken = self.pairs.extract_if(.., |(key, _)| key.starts_with("metadata."));
        for (parameter, value) in taken.collect::<Vec<_>>() {
            let key = parameter.strip_prefix("metadata.").unwrap_or_default();
            let scalar = Scalar::Any(value.clone());
            match metadata.iter_mut().find(|wanted| wanted.key == key) {
                Some(wanted) => wanted.any_of.push(scalar),
                None => metadata.push(MetadataMatch { key: key.to_owned(), any_of: vec![scalar] }),
            }
            self.filter_pairs.push((parameter, value));
        }
        let values = metadata.iter().map(|wanted| wanted.any_of.len()).sum::<usize>();
        if names.len() > FILTER_VALUES_MAX || values > FILTER_VALUES_MAX {
            let what = format!("at most {FILTER_VALUES_MAX} names and metadata values are taken");
            self.refuse("name", what);
        }
        let (occurred, observed) = (self.times("occurred"), self.times("observed"));
        Filter { names, metadata, occurred, observed, recorded: self.times("recorded") }
    }

    /// The parameters of a scan that every way of reading has.
    pub(super) fn bounds(&mut self, limits: &Limits) -> Scan {
        let after = self.cursor("after");
        let before = self.cursor("before");
        let after_sequence_number = self.number("after_sequence_number");
        if after_sequence_number.is_some_and(|n| !(0..=INTEGER_MAX).contains(&n)) {
            self.refuse("after_sequence_number", "expected 0 to 9007199254740991");
        }
        if after.is_some() && after_sequence_number.is_some() {
            self.refuse("after_sequence_number", "goes without `after`");
        }
        let filter = self.filter();
        Scan { after, before, after_sequence_number, filter, ..Scan::first(limits.page_events) }
    }

    /// Where a tail begins, and what it passes on.
    pub(super) fn tail(&mut self, limits: &Limits) -> (From, Filter) {
        if self.pairs.iter().any(|(key, value)| key == "after" && value == "now") {
            self.pairs.retain(|(key, value)| key != "after" || value != "now");
            let Scan { after, after_sequence_number, filter, .. } = self.bounds(limits);
            if after.is_some() || after_sequence_number.is_some() {
                self.refuse("after", "now goes without another place to begin at");
            }
            return (From::Now, filter);
        }
        let Scan { after, before, after_sequence_number, filter, .. } = self.bounds(limits);
        if before.is_some() {
            self.refuse("before", "a tail has no end");
        }
        let from = match (after, after_sequence_number) {
            (Some(cursor), _) => From::After(cursor),
            (None, Some(number)) => From::AfterNumber(number),
            (None, None) => From::Start,
        };
        (from, filter)
    }

    /// As of when a stream is reduced.
    pub(super) fn until(&mut self) -> Until {
        let position = self.number("until_position");
        if position.is_some_and(|position| !(0..=INTEGER_MAX).contains(&position)) {
            self.refuse("until_position", "expected 0 to 9007199254740991");
        }
        let mut until = |name: &str| {
            let until = self.time(&format!("{name}_until"));
            TimeRange { from: None, until }
        };
        let (occurred, observed, recorded) =
            (until("occurred"), until("observed"), until("recorded"));
        Until { position, filter: Filter { occurred, observed, recorded, ..Filter::default() } }
    }

    /// The event that a projection is to hold, and how long to wait for that.
    pub(super) fn reached(&mut self) -> Option<(i64, Duration)> {
        let number = self.number("min_sequence_number");
        if number.is_some_and(|number| !(0..=INTEGER_MAX).contains(&number)) {
            self.refuse("min_sequence_number", "expected 0 to 9007199254740991");
        }
        let wait = self.wait();
        if wait.is_some() && number.is_none() {
            self.refuse("wait", "goes with `min_sequence_number`");
        }
        number.map(|number| (number, wait.unwrap_or_default()))
    }

    /// Where a tail of a projection begins: after a change; none: now.
    pub(super) fn after_change(&mut self) -> Option<Changed> {
        let Some(text) = self.one("after") else { return Some(Changed::START) };
        if text == "now" {
            return None;
        }
        let after = text.parse().ok();
        if after.is_none() {
            self.malformed.get_or_insert(Fault::parameter(
                "after",
                "expected the id of a frame, a change from 0 to 9007199254740991, or `now`",
            ));
        }
        after
    }

    /// How long to wait.
    fn wait(&mut self) -> Option<Duration> {
        let seconds = self.number("wait")?;
        let wait = u64::try_from(seconds).ok().filter(|seconds| *seconds <= WAIT_SECONDS_MAX);
        if wait.is_none() {
            self.refuse("wait", format!("expected 0 to {WAIT_SECONDS_MAX} seconds"));
        }
        wait.map(Duration::from_secs)
    }

    /// The parameters of a page, and how long to wait for one.
    pub(super) fn scan(&mut self, limits: &Limits) -> (Scan, Option<Duration>) {
        let bounds = self.bounds(limits);
        let direction = match self.one("direction").as_deref() {
            None | Some("forwards") => Direction::Forwards,
            Some("backwards") => Direction::Backwards,
            Some(_) => {
                self.refuse("direction", "expected forwards or backwards");
                Direction::Forwards
            }
        };
        let limit = self.limit(PAGE_EVENTS_DEFAULT.min(limits.page_events), limits.page_events);
        let wait = self.wait();
        if wait.is_some() && direction == Direction::Backwards {
            self.refuse("wait", "goes with direction=forwards only");
        }
        (Scan { direction, limit, ..bounds }, wait)
    }

    /// The parameters of a listing.
    pub(super) fn listing(&mut self) -> Listing {
        let mut text = |name: &str| {
            let text = self.one(name);
            if text.as_ref().is_some_and(|text| text.chars().any(char::is_control)) {
                self.refuse(name, "may not hold control characters: no name does");
                return None;
            }
            text
        };
        let (prefix, after) = (text("prefix").unwrap_or_default(), text("cursor"));
        if !prefix.is_empty() {
            self.filter_pairs.push(("prefix".to_owned(), prefix.clone()));
        }
        Listing { prefix, after, limit: self.limit(LISTING_DEFAULT, LISTING_MAX) }
    }

    /// Refuses what was wrong, and what nobody took.
    pub(super) fn finish(&mut self) -> Result<(), Problem> {
        if let Some(fault) = self.malformed.take() {
            return Err(Problem::malformed(fault));
        }
        self.known.sort();
        let expected = match self.known.join(", ") {
            none if none.is_empty() => "this resource takes no parameters".to_owned(),
            names => format!("expected some of {names}"),
        };
        let unknown = self
            .pairs
            .drain(..)
            .map(|(key, _)| Fault::parameter(&key, format!("is not a parameter here; {expected}")));
        self.faults.extend(unknown);
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid(std::mem::take(&mut self.faults)))
        }
    }
}
