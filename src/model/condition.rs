//! Conditions on a publish, and the one function that judges them.
//!
//! Adding a condition: one variant of [`Test`], its arms in this file, its operator in
//! `http/conditions.rs` (recipe in ARCHITECTURE.md).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Filter, MetadataMatch, Scalar, Source, StreamKey};

/// Where in the request a condition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    Header(&'static str),
    /// A JSON Pointer into the body.
    Body(String),
}

/// The entity tags of an `If-Match` or `If-None-Match` (RFC 9110 §13.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags {
    /// `*`
    pub any: bool,
    /// The tags that are numbers, of those that may match.
    pub numbers: Vec<i64>,
    /// The others as they were sent, which never match.
    pub others: Vec<String>,
    /// A weak tag stood in an `If-Match`, which compares strongly.
    pub weak: bool,
}

/// Which events `no_event_matching` looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matching {
    pub source: Source,
    /// Only events with a larger sequence number.
    pub after: Option<i64>,
    /// Names and metadata only.
    pub filter: Filter,
}

/// What a condition asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    StreamIsEmpty(StreamKey),
    StreamExists(StreamKey),
    PositionIs(StreamKey, i64),
    PositionAtLeast(StreamKey, i64),
    NoEventMatching(Matching),
    IfMatch(Source, Tags),
    IfNoneMatch(Source, Tags),
    AllOf(Vec<Condition>),
    AnyOf(Vec<Condition>),
    Not(Box<Condition>),
}

/// A precondition of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub at: At,
    pub test: Test,
}

/// What is known at the moment of judging. What is absent is empty, or was not found.
#[derive(Debug, Default)]
pub struct Facts {
    /// The last position of each stream asked for.
    pub positions: HashMap<StreamKey, i64>,
    /// The last sequence number of each log or category asked for.
    pub numbers: HashMap<Source, i64>,
    /// The sequence number of the first event that a `no_event_matching` found, by its pointer.
    pub found: HashMap<String, i64>,
}

/// One condition that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCondition {
    pub condition: &'static str,
    pub at: At,
    /// What the condition is about; `None` for a tree without leaves.
    pub source: Option<Source>,
    pub expected: Value,
    /// The last position (a stream's) or sequence number; `None` = empty. Of `no_event_matching`
    /// the sequence number of the first event that matches.
    pub actual: Option<i64>,
    /// The place after which the events stand that the client did not expect.
    pub since: Option<Since>,
    pub weak: bool,
}

/// A place in the source of a failed condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    Start,
    Position(i64),
    SequenceNumber(i64),
}

impl Condition {
    /// Every condition of the tree, itself first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        match &self.test {
            Test::AllOf(children) | Test::AnyOf(children) => {
                children.iter().for_each(|child| child.walk(visit));
            }
            Test::Not(child) => child.walk(visit),
            _ => {}
        }
    }

    /// The source that a leaf looks at.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        match &self.test {
            Test::StreamIsEmpty(stream)
            | Test::StreamExists(stream)
            | Test::PositionIs(stream, _)
            | Test::PositionAtLeast(stream, _) => Some(Source::Stream(stream.clone())),
            Test::NoEventMatching(matching) => Some(matching.source.clone()),
            Test::IfMatch(source, _) | Test::IfNoneMatch(source, _) => Some(source.clone()),
            Test::AllOf(_) | Test::AnyOf(_) | Test::Not(_) => None,
        }
    }

    /// All that fails, in written order; nothing if the condition holds.
    #[must_use]
    pub fn judge(&self, facts: &Facts) -> Vec<FailedCondition> {
        match &self.test {
            Test::AllOf(children) => children.iter().flat_map(|c| c.judge(facts)).collect(),
            Test::AnyOf(children) => {
                let failed: Vec<_> = children.iter().map(|c| c.judge(facts)).collect();
                if failed.iter().any(Vec::is_empty) {
                    Vec::new()
                } else if failed.is_empty() {
                    vec![self.failed(facts)]
                } else {
                    failed.into_iter().flatten().collect()
                }
            }
            Test::Not(child) if child.judge(facts).is_empty() => vec![self.failed(facts)],
            Test::Not(_) => Vec::new(),
            _ if self.holds(facts) => Vec::new(),
            _ => vec![self.failed(facts)],
        }
    }

    fn holds(&self, facts: &Facts) -> bool {
        let actual = self.actual(facts);
        match &self.test {
            Test::StreamIsEmpty(_) | Test::NoEventMatching(_) => actual.is_none(),
            Test::StreamExists(_) => actual.is_some(),
            Test::PositionIs(_, expected) => actual == Some(*expected),
            Test::PositionAtLeast(_, expected) => actual.is_some_and(|a| a >= *expected),
            Test::IfMatch(source, tags) => tags.match_number(source, actual),
            Test::IfNoneMatch(source, tags) => !tags.match_number(source, actual),
            Test::AllOf(_) | Test::AnyOf(_) | Test::Not(_) => self.judge(facts).is_empty(),
        }
    }

    fn actual(&self, facts: &Facts) -> Option<i64> {
        if let (Test::NoEventMatching(_), At::Body(pointer)) = (&self.test, &self.at) {
            return facts.found.get(pointer).copied();
        }
        match self.source()? {
            Source::Stream(stream) => facts.positions.get(&stream).copied(),
            source => facts.numbers.get(&source).copied(),
        }
    }

    fn failed(&self, facts: &Facts) -> FailedCondition {
        let leaf = match &self.test {
            Test::Not(child) => child,
            _ => self,
        };
        FailedCondition {
            condition: self.operator(),
            at: self.at.clone(),
            source: leaf.source(),
            expected: self.operand(),
            actual: leaf.actual(facts),
            since: self.since(facts),
            weak: matches!(&self.test, Test::IfMatch(_, tags) if tags.weak),
        }
    }

    /// The place whose later events are what the client did not expect.
    fn since(&self, facts: &Facts) -> Option<Since> {
        let actual = self.actual(facts)?;
        let known = match &self.test {
            Test::PositionIs(_, expected) => *expected,
            Test::IfMatch(_, tags) => *tags.numbers.iter().max()?,
            Test::StreamIsEmpty(_) | Test::IfNoneMatch(_, Tags { any: true, .. }) => {
                return Some(Since::Start);
            }
            Test::NoEventMatching(matching) => {
                return Some(matching.after.map_or(Since::Start, Since::SequenceNumber));
            }
            _ => return None,
        };
        let stream = matches!(self.source(), Some(Source::Stream(_)));
        let place = if stream { Since::Position } else { Since::SequenceNumber };
        (known < actual).then(|| place(known))
    }

    /// The operator's name in a request.
    #[must_use]
    pub fn operator(&self) -> &'static str {
        match self.test {
            Test::StreamIsEmpty(_) => "stream_is_empty",
            Test::StreamExists(_) => "stream_exists",
            Test::PositionIs(..) => "position_is",
            Test::PositionAtLeast(..) => "position_at_least",
            Test::NoEventMatching(_) => "no_event_matching",
            Test::IfMatch(..) => "if_match",
            Test::IfNoneMatch(..) => "if_none_match",
            Test::AllOf(_) => "all_of",
            Test::AnyOf(_) => "any_of",
            Test::Not(_) => "not",
        }
    }

    /// The operator's operand, as a request would state it.
    fn operand(&self) -> Value {
        let tags = |tags: &Tags| match (tags.numbers.as_slice(), tags.others.as_slice()) {
            _ if tags.any => json!("*"),
            ([number], []) => json!(number),
            ([], [other]) => json!(other),
            (numbers, others) => {
                let numbers = numbers.iter().map(|number| json!(number));
                numbers.chain(others.iter().map(|other| json!(other))).collect()
            }
        };
        let child = |child: &Self| json!({ child.operator(): child.operand() });
        match &self.test {
            Test::StreamIsEmpty(_) | Test::StreamExists(_) => json!(true),
            Test::PositionIs(_, position) | Test::PositionAtLeast(_, position) => json!(position),
            Test::NoEventMatching(matching) => matching.operand(),
            Test::IfMatch(_, wanted) | Test::IfNoneMatch(_, wanted) => tags(wanted),
            Test::AllOf(children) | Test::AnyOf(children) => children.iter().map(child).collect(),
            Test::Not(inner) => child(inner),
        }
    }
}

impl Tags {
    /// Whether the current tag of the source is among them. An empty log's or category's is `"0"`.
    fn match_number(&self, source: &Source, actual: Option<i64>) -> bool {
        if self.any {
            return actual.is_some();
        }
        let tag = if matches!(source, Source::Stream(_)) { actual } else { actual.or(Some(0)) };
        tag.is_some_and(|tag| self.numbers.contains(&tag))
    }
}

impl Matching {
    fn operand(&self) -> Value {
        let scalar = |m: &MetadataMatch| match m.any_of.first() {
            Some(Scalar::Literal(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
            Some(Scalar::Text(text) | Scalar::Any(text)) => json!(text),
            None => Value::Null,
        };
        let source = match &self.source {
            Source::Log => json!({ "log": true }),
            Source::Category(category) => json!({ "category": category.as_str() }),
            Source::Stream(StreamKey { category, stream }) => {
                json!({ "category": category.as_str(), "stream": stream.as_str() })
            }
        };
        let mut operand = json!({ "source": source });
        if !self.filter.names.is_empty() {
            operand["names"] = self.filter.names.iter().map(|name| json!(name.as_str())).collect();
        }
        for member in &self.filter.metadata {
            operand["metadata"][&member.key] = scalar(member);
        }
        if let Some(after) = self.after {
            operand["after"] = json!(after);
        }
        operand
    }
}
