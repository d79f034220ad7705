//! Reads a query, and says of all that is wrong with it where it stands and what was expected.

use super::{
    ast::{By, Filter, Paging, Path, Query, Sort},
    path::read_path,
    similarity::Trigrams,
};
use crate::model::{
    INTEGER_MAX, Json,
    json::escape_pointer,
    limits::{
        PAGE_OFFSET_MAX, PAGE_PROJECTIONS_DEFAULT, PAGE_PROJECTIONS_MAX, QUERY_CLAUSES_MAX,
        QUERY_DEPTH_MAX, QUERY_SELECT_MAX, QUERY_SORT_MAX,
    },
};

/// So many faults are told of one query.
const FAULTS_MAX: usize = 32;

/// What is wrong, and the JSON Pointer of where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub pointer: String,
    pub detail: String,
}

/// The operators, and the members of each. A test holds the documentation to it.
pub const OPERATORS: [(&str, &[&str]); 18] = [
    ("eq", &["path", "value"]),
    ("ne", &["path", "value"]),
    ("gt", &["path", "value"]),
    ("ge", &["path", "value"]),
    ("lt", &["path", "value"]),
    ("le", &["path", "value"]),
    ("in", &["path", "values"]),
    ("contains", &["path", "value"]),
    ("json_contains", &["path", "value"]),
    ("has_key", &["path", "key"]),
    ("exists", &["path"]),
    ("prefix", &["path", "value", "ignore_case"]),
    ("text_contains", &["path", "value", "ignore_case"]),
    ("matches", &["path", "pattern"]),
    ("similar", &["path", "to", "at_least"]),
    ("and", &[]),
    ("or", &[]),
    ("not", &[]),
];

/// Reads a query.
pub fn parse(query: &Json) -> Result<Query, Vec<Fault>> {
    let mut reader = Reader::default();
    let query = reader.query(query);
    if reader.faults.is_empty() { Ok(query) } else { Err(reader.faults) }
}

/// Reads a filter that stands alone.
pub fn parse_filter(filter: &Json) -> Result<Filter, Vec<Fault>> {
    let mut reader = Reader::default();
    let filter = reader.filter(filter, &At::root(), 1);
    if reader.faults.is_empty() { Ok(filter) } else { Err(reader.faults) }
}

/// A place in the query.
#[derive(Clone)]
pub(super) struct At(String);

impl At {
    pub(super) fn root() -> Self {
        Self(String::new())
    }

    pub(super) fn member(&self, name: &str) -> Self {
        let mut pointer = format!("{}/", self.0);
        escape_pointer(name, &mut pointer);
        Self(pointer)
    }

    fn element(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }
}

/// An object's members at a place.
pub(super) struct Members<'a> {
    pub(super) object: &'a Json,
    pub(super) at: At,
}

impl<'a> Members<'a> {
    /// A member that is there and not null: null counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<(&'a Json, At)> {
        let value = self.object.get(name).filter(|value| !value.is_null())?;
        Some((value, self.at.member(name)))
    }
}

/// Reads what is written in the words of the language.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) faults: Vec<Fault>,
    clauses: usize,
    pub(super) patterns: usize,
    /// Values that `json_contains` looks for.
    pub(super) parts: usize,
}

impl Reader {
    /// Notes what is wrong.
    pub(super) fn fault(&mut self, at: &At, detail: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { pointer: at.0.clone(), detail: detail.into() });
        }
    }

    pub(super) fn members<'a>(
        &mut self,
        value: &'a Json,
        at: &At,
        known: &[&str],
    ) -> Option<Members<'a>> {
        let Json::Object(members) = value else {
            self.fault(at, format!("expected an object with {}", list(known)));
            return None;
        };
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            let known = list(known);
            self.fault(&at.member(name), format!("no such member; expected {known}"));
        }
        Some(Members { object: value, at: at.clone() })
    }

    fn query(&mut self, query: &Json) -> Query {
        let at = At::root();
        let known = ["filter", "sort", "page", "count", "select", "explain"];
        let mut read = Query {
            filter: Filter::all(),
            sort: Vec::new(),
            paging: Paging::First { limit: PAGE_PROJECTIONS_DEFAULT },
            count: false,
            select: Vec::new(),
            explain: false,
            identity: String::new(),
        };
        let Some(members) = self.members(query, &at, &known) else { return read };
        if let Some((filter, at)) = members.get("filter") {
            read.filter = self.filter(filter, &at, 1);
            read.identity.push_str(&filter.to_string());
        }
        if let Some((sort, at)) = members.get("sort") {
            read.sort = self.sort(sort, &at);
            read.identity.push_str(&format!("\n{sort}"));
        }
        if let Some((page, at)) = members.get("page") {
            read.paging = self.paging(page, &at);
        }
        read.count = self.flag(&members, "count");
        read.explain = self.flag(&members, "explain");
        if let Some((select, at)) = members.get("select") {
            let paths = self.elements(select, &at, QUERY_SELECT_MAX, "paths");
            read.select = paths.filter_map(|(path, at)| self.path(Some(path), &at)).collect();
        }
        read
    }

    pub(super) fn flag(&mut self, members: &Members<'_>, name: &str) -> bool {
        match members.get(name) {
            None => false,
            Some((Json::Bool(flag), _)) => *flag,
            Some((_, at)) => {
                self.fault(&at, "expected true or false");
                false
            }
        }
    }

    pub(super) fn elements<'a>(
        &mut self,
        list: &'a Json,
        at: &At,
        most: usize,
        what: &str,
    ) -> impl Iterator<Item = (&'a Json, At)> + use<'a> {
        let elements = match list {
            Json::Array(elements) if elements.len() <= most => elements.as_slice(),
            Json::Array(elements) => {
                self.fault(at, format!("at most {most} {what}; these are {}", elements.len()));
                &[]
            }
            _ => {
                self.fault(at, format!("expected a list of {what}"));
                &[]
            }
        };
        let at = at.clone();
        elements.iter().enumerate().map(move |(index, element)| (element, at.element(index)))
    }

    /// A path; what is wrong with one is noted.
    pub(super) fn path(&mut self, path: Option<&Json>, at: &At) -> Option<Path> {
        let Some(Json::String(text)) = path else {
            self.fault(at, "expected a path: a JSON Pointer such as \"/state/name\"");
            return None;
        };
        match read_path(text) {
            Ok(path) => Some(path),
            Err(detail) => {
                self.fault(at, detail);
                None
            }
        }
    }

    fn filter(&mut self, filter: &Json, at: &At, depth: usize) -> Filter {
        self.clauses += 1;
        if self.clauses == QUERY_CLAUSES_MAX + 1 {
            self.fault(at, format!("a query has at most {QUERY_CLAUSES_MAX} filters"));
        }
        if depth > QUERY_DEPTH_MAX {
            self.fault(at, format!("filters are nested at most {QUERY_DEPTH_MAX} deep"));
        }
        if self.clauses > QUERY_CLAUSES_MAX || depth > QUERY_DEPTH_MAX {
            return Filter::all();
        }
        let known: Vec<&str> = OPERATORS.iter().map(|(operator, _)| *operator).collect();
        let Some(members) = self.members(filter, at, &known) else { return Filter::all() };
        // Beside an operator that is set, generated clients send others empty.
        let empty = |value: &Json| match value {
            Json::Array(elements) => elements.is_empty(),
            Json::Bool(flag) => !flag,
            _ => false,
        };
        let given: Vec<_> =
            known.iter().filter_map(|name| Some((*name, members.get(name)?))).collect();
        let set: Vec<_> = given.iter().filter(|(_, (value, _))| !empty(value)).collect();
        let one = match (set.as_slice(), given.as_slice()) {
            ([one], _) => *one,
            ([], [one]) => one,
            ([], _) => {
                // Of one that is unknown it was said already.
                if !matches!(filter, Json::Object(members) if members.len() > given.len()) {
                    self.fault(at, format!("expected one operator of {}", list(&known)));
                }
                return Filter::all();
            }
            (several, _) => {
                let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
                let detail = format!("expected one operator, not {}", list(&names));
                self.fault(at, format!("{detail}; combine them with `and` or `or`"));
                return Filter::all();
            }
        };
        let (operator, (operand, at)) = one;
        match *operator {
            "and" | "or" => {
                let filters: Vec<Filter> = self
                    .elements(operand, at, QUERY_CLAUSES_MAX, "filters")
                    .map(|(filter, at)| self.filter(filter, &at, depth + 1))
                    .collect();
                if *operator == "and" { Filter::And(filters) } else { Filter::Or(filters) }
            }
            "not" => Filter::Not(Box::new(self.filter(operand, at, depth + 1))),
            leaf => self.leaf(leaf, operand, at).unwrap_or_else(Filter::all),
        }
    }

    fn sort(&mut self, sort: &Json, at: &At) -> Vec<Sort> {
        let fields = self.elements(sort, at, QUERY_SORT_MAX, "fields");
        fields.filter_map(|(field, at)| self.field(field, &at)).collect()
    }

    pub(super) fn field(&mut self, field: &Json, at: &At) -> Option<Sort> {
        let members = self.members(field, at, &["path", "similarity", "order"])?;
        let descending = match members.get("order") {
            None => false,
            Some((Json::String(order), _)) if order == "asc" => false,
            Some((Json::String(order), _)) if order == "desc" => true,
            Some((_, at)) => {
                self.fault(&at, "expected \"asc\" or \"desc\"");
                false
            }
        };
        let by = match (members.get("path"), members.get("similarity")) {
            (Some((path, at)), None) => By::Path(self.path(Some(path), &at)?),
            (None, Some((similarity, at))) => {
                let members = self.members(similarity, &at, &["path", "to"])?;
                let path = self.path(members.object.get("path"), &at.member("path"));
                let to = Trigrams::of(&self.text(&members, "to")?);
                By::Similarity { path: path?, to }
            }
            _ => {
                self.fault(at, "expected either `path` or `similarity`");
                return None;
            }
        };
        Some(Sort { by, descending })
    }

    fn paging(&mut self, page: &Json, at: &At) -> Paging {
        let first = Paging::First { limit: PAGE_PROJECTIONS_DEFAULT };
        let known = ["limit", "after", "before", "number", "size"];
        let Some(members) = self.members(page, at, &known) else { return first };
        let limit = self.count(&members, "limit");
        let (number, size) = (self.count(&members, "number"), self.count(&members, "size"));
        let cursors = (members.get("after"), members.get("before"));
        let numbered = number.is_some() || size.is_some();
        let least = |count: Option<usize>| count.unwrap_or(PAGE_PROJECTIONS_DEFAULT);
        let limit_or = least(limit).min(PAGE_PROJECTIONS_MAX);
        match cursors {
            (None, None) if numbered && limit.is_none() => {
                let (number, size) = (number.unwrap_or(1), least(size).min(PAGE_PROJECTIONS_MAX));
                if number.saturating_mul(size) > PAGE_OFFSET_MAX {
                    let detail = format!(
                        "pages by number end at {PAGE_OFFSET_MAX} projections; go on with `after`"
                    );
                    self.fault(&at.member("number"), detail);
                }
                Paging::Numbered { number, size }
            }
            _ if numbered => {
                self.fault(
                    at,
                    "expected `limit` with `after` or `before`, or `number` with `size`",
                );
                first
            }
            (None, None) => Paging::First { limit: limit_or },
            (Some((Json::String(cursor), _)), None) => {
                Paging::After { limit: limit_or, cursor: cursor.clone() }
            }
            (None, Some((Json::String(cursor), _))) => {
                Paging::Before { limit: limit_or, cursor: cursor.clone() }
            }
            (Some(_), Some(_)) => {
                self.fault(at, "expected `after` or `before`, not both");
                first
            }
            (Some((_, at)), None) | (None, Some((_, at))) => {
                self.fault(&at, "expected a cursor: `next` or `previous` of a page");
                first
            }
        }
    }

    /// A number from 1 on.
    fn count(&mut self, members: &Members<'_>, name: &str) -> Option<usize> {
        let (value, at) = members.get(name)?;
        match value {
            Json::Integer(count) if (1..=INTEGER_MAX).contains(count) => {
                usize::try_from(*count).ok()
            }
            _ => {
                self.fault(&at, format!("expected an integer from 1 on, at most {INTEGER_MAX}"));
                None
            }
        }
    }
}

pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query, Vec<Fault>> {
        parse(&Json::stored(text))
    }

    /// The one thing that is wrong with a query: where, and what is said.
    fn fault(text: &str) -> (String, String) {
        let mut faults = query(text).expect_err("it is refused");
        assert_eq!(faults.len(), 1, "{faults:?}");
        let fault = faults.remove(0);
        (fault.pointer, fault.detail)
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let read = query("{}").expect("it is a query");
        assert!(matches!(read.filter, Filter::And(filters) if filters.is_empty()));
        assert_eq!(read.paging, Paging::First { limit: 20 });
        let page = |text: &str| query(&format!("{{\"page\":{text}}}")).expect("it is one").paging;
        assert_eq!(page(r#"{"limit":5000}"#), Paging::First { limit: 1_000 });
        assert_eq!(page(r#"{"size":5}"#), Paging::Numbered { number: 1, size: 5 });
        assert_eq!(page(r#"{"number":3}"#), Paging::Numbered { number: 3, size: 20 });
        let cursor = "c".to_owned();
        assert_eq!(page(r#"{"after":"c"}"#), Paging::After { limit: 20, cursor: cursor.clone() });
        assert_eq!(page(r#"{"before":"c","limit":1}"#), Paging::Before { limit: 1, cursor });
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let leaf = |text: &str| format!("{{\"filter\":{{\"and\":[{text}]}}}}");
        for (text, pointer, said) in [
            (r#"{"filters":{}}"#.to_owned(), "/filters", "no such member"),
            (r#"{"filter":[]}"#.to_owned(), "/filter", "expected an object"),
            (r#"{"filter":{}}"#.to_owned(), "/filter", "expected one operator"),
            (leaf(r#"{"equals":{}}"#), "/filter/and/0/equals", "no such member"),
            (
                leaf(r#"{"eq":{"path":"/id"},"exists":{"path":"/id"}}"#),
                "/filter/and/0",
                "not `eq`, `exists`",
            ),
            (leaf(r#"{"eq":{"value":1}}"#), "/filter/and/0/eq/path", "expected a path"),
            (leaf(r#"{"eq":{"path":"state"}}"#), "/filter/and/0/eq/path", "begins with one of"),
            (leaf(r#"{"eq":{"path":"/status"}}"#), "/filter/and/0/eq/path", "`/state`"),
            (leaf(r#"{"eq":{"path":"/id/a"}}"#), "/filter/and/0/eq/path", "nothing stands below"),
            (leaf(r#"{"eq":{"path":"/state/~2"}}"#), "/filter/and/0/eq/path", "`~0`"),
            (leaf(r#"{"eq":{"path":"/id","val":1}}"#), "/filter/and/0/eq/val", "no such member"),
            (leaf(r#"{"gt":{"path":"/state/a"}}"#), "/filter/and/0/gt/value", "no order"),
            (leaf(r#"{"lt":{"path":"/id","value":[]}}"#), "/filter/and/0/lt/value", "no order"),
            (leaf(r#"{"in":{"path":"/id","values":1}}"#), "/filter/and/0/in/values", "a list"),
            (leaf(r#"{"prefix":{"path":"/id"}}"#), "/filter/and/0/prefix/value", "a string"),
            (
                leaf(r#"{"matches":{"path":"/id","pattern":"("}}"#),
                "/filter/and/0/matches/pattern",
                "unclosed group",
            ),
            (
                leaf(r#"{"matches":{"path":"/id","pattern":"(a{1000}){1000}"}}"#),
                "/filter/and/0/matches/pattern",
                "size limit",
            ),
            (
                leaf(r#"{"similar":{"path":"/id","to":"a","at_least":2}}"#),
                "/filter/and/0/similar/at_least",
                "from 0 to 1",
            ),
            (
                leaf(r#"{"gt":{"path":"/created_at","value":"yesterday"}}"#),
                "/filter/and/0/gt/value",
                "RFC 3339",
            ),
            (r#"{"sort":[{"path":"/id","order":"up"}]}"#.to_owned(), "/sort/0/order", "\"asc\""),
            (r#"{"sort":[{}]}"#.to_owned(), "/sort/0", "either"),
            (r#"{"page":{"limit":0}}"#.to_owned(), "/page/limit", "from 1 on"),
            (r#"{"page":{"limit":9007199254740992}}"#.to_owned(), "/page/limit", "at most"),
            (r#"{"page":{"number":0}}"#.to_owned(), "/page/number", "from 1 on"),
            (r#"{"page":{"limit":1,"number":1}}"#.to_owned(), "/page", "expected `limit` with"),
            (r#"{"page":{"after":"a","before":"b"}}"#.to_owned(), "/page", "not both"),
            (r#"{"page":{"after":5}}"#.to_owned(), "/page/after", "a cursor"),
            (r#"{"page":{"number":5001,"size":20}}"#.to_owned(), "/page/number", "100000"),
            (r#"{"count":1}"#.to_owned(), "/count", "true or false"),
            (r#"{"select":["name"]}"#.to_owned(), "/select/0", "begins with one of"),
        ] {
            let (at, detail) = fault(&text);
            assert_eq!(at, pointer, "{text}: {detail}");
            assert!(detail.contains(said), "{text}: {detail}");
        }
    }

    #[test]
    fn empty_operators_count_only_alone() {
        let filter = |text: &str| parse_filter(&Json::stored(text));
        assert!(matches!(filter(r#"{"and":[]}"#), Ok(Filter::And(_))));
        assert!(matches!(filter(r#"{"or":[]}"#), Ok(Filter::Or(_))));
        let generated = r#"{"and":[],"or":null,"not":null,"exists":{"path":"/id"}}"#;
        assert!(matches!(filter(generated), Ok(Filter::Exists { .. })));
        assert!(filter(r#"{"and":[],"or":[]}"#).is_err());
    }

    #[test]
    fn filters_are_bounded_in_number_and_depth() {
        let exists = r#"{"exists":{"path":"/id"}}"#;
        let wide = |count: usize| format!("{{\"and\":[{}]}}", vec![exists; count].join(","));
        assert!(parse_filter(&Json::stored(&wide(63))).is_ok());
        let faults = parse_filter(&Json::stored(&wide(64))).expect_err("it is refused");
        assert!(faults[0].detail.contains("64 filters"), "{faults:?}");
        let deep =
            |depth: usize| format!("{}{exists}{}", "{\"not\":".repeat(depth), "}".repeat(depth));
        assert!(parse_filter(&Json::stored(&deep(7))).is_ok());
        let faults = parse_filter(&Json::stored(&deep(8))).expect_err("it is refused");
        assert!(faults[0].detail.contains("8 deep"), "{faults:?}");
    }
}
