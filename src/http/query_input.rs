//! What a query looks like in the OpenAPI document; `query::parse` reads it.

use serde::Deserialize;
use utoipa::ToSchema;

/// A query: filter, then sort, then page.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Query, examples(json!({
    "filter": {"and": [{"eq": {"path": "/state/country", "value": "SE"}},
                       {"gt": {"path": "/state/total", "value": 100}}]},
    "sort": [{"path": "/state/total", "order": "desc"}], "page": {"limit": 20}, "count": true
})))]
#[expect(dead_code, reason = "describes what query::parse reads")]
pub(super) struct QueryInput {
    /// What must hold of an entry; without it all are found.
    #[schema(nullable = false)]
    filter: Option<FilterInput>,
    /// The order, by the first field, then the next; ties are in the order of name and id.
    #[schema(nullable = false, max_items = 8)]
    sort: Option<Vec<SortInput>>,
    /// Which part of what is found.
    #[schema(nullable = false)]
    page: Option<PageInput>,
    /// Whether all that match are counted.
    #[schema(nullable = false)]
    count: Option<bool>,
    /// Paths into source, state and metadata: only what they lead to is answered of state and metadata.
    #[schema(nullable = false, max_items = 64)]
    select: Option<Vec<String>>,
    /// Whether the answer tells how it was come by.
    #[schema(nullable = false)]
    explain: Option<bool>,
}

/// A query of which only the number is asked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CountQuery, examples(json!({"filter": {"eq": {"path": "/state/country", "value": "SE"}}})))]
#[expect(dead_code, reason = "describes what query::parse reads")]
pub(super) struct CountInput {
    /// What must hold of an entry; without it all are counted.
    #[schema(nullable = false)]
    filter: Option<FilterInput>,
}

/// A filter: exactly one operator is set. Beside a set operator an empty list, null or false counts as
/// absent. What is absent in an entry equals null.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Filter, no_recursion)]
#[expect(dead_code, reason = "describes what query::parse reads")]
pub(super) struct FilterInput {
    /// The value is equal: numbers by value, types distinct, arrays and objects deep.
    #[schema(nullable = false)]
    eq: Option<OperandInput>,
    /// The value is not equal.
    #[schema(nullable = false)]
    ne: Option<OperandInput>,
    /// It is greater: numbers by value, strings by code point; other types have no order.
    #[schema(nullable = false)]
    gt: Option<OperandInput>,
    /// It is greater or equal.
    #[schema(nullable = false)]
    ge: Option<OperandInput>,
    /// It is less.
    #[schema(nullable = false)]
    lt: Option<OperandInput>,
    /// It is less or equal.
    #[schema(nullable = false)]
    le: Option<OperandInput>,
    /// It equals one of the values.
    #[schema(nullable = false)]
    r#in: Option<ValuesInput>,
    /// It is an array with an equal element.
    #[schema(nullable = false)]
    contains: Option<OperandInput>,
    /// All of the value is found in it: members in objects, elements in arrays.
    #[schema(nullable = false)]
    json_contains: Option<OperandInput>,
    /// It is an object with the key.
    #[schema(nullable = false)]
    has_key: Option<KeyInput>,
    /// It is there, be it null.
    #[schema(nullable = false)]
    exists: Option<PathInput>,
    /// It is a string that begins so.
    #[schema(nullable = false)]
    prefix: Option<TextInput>,
    /// It is a string that holds the text.
    #[schema(nullable = false)]
    text_contains: Option<TextInput>,
    /// It is a string in whose first 16 KiB the pattern is found (syntax of the Rust `regex` crate). Four in a query.
    #[schema(nullable = false)]
    matches: Option<PatternInput>,
    /// It is a string that is so alike, by the three-letter pieces of its words.
    #[schema(nullable = false)]
    similar: Option<SimilarInput>,
    /// Each of these holds. None: holds.
    #[schema(nullable = false, no_recursion, max_items = 64)]
    and: Option<Vec<FilterInput>>,
    /// One of these holds. None: fails.
    #[schema(nullable = false, no_recursion, max_items = 64)]
    or: Option<Vec<FilterInput>>,
    /// This one does not hold.
    #[schema(nullable = false, no_recursion)]
    not: Option<Box<FilterInput>>,
}

/// A path and what it is compared with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Operand)]
#[expect(dead_code, reason = "describes what query::parse reads")]
pub(super) struct OperandInput {
    /// A JSON Pointer into the entry; a negative index counts from the end.
    #[schema(example = "/state/country")]
    path: String,
    /// Any JSON; absent is null.
    #[schema(required = false)]
    value: serde_json::Value,
}

/// A path and the values of which it may have one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Operands)]
#[expect(dead_code, reason = "describes what query::parse reads")]
pub(super) struct ValuesInput {
    /// A JSON Pointer into the entry; a negative index counts from the end.
    #[schema(example = "/state/status")]
    path: String,
    /// The values; none: nothing matches.
    #[schema(max_items = 1000)]
    values: Vec<serde_json::Value>,
}

/// A path and a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyOperand)]
#[expect(dead_code, reason = "describes what query::parse reads")]
pub(super) struct KeyInput {
    /// A JSON Pointer into the entry; a negative index counts from the end.
    #[schema(example = "/state")]
    path: String,
    /// The key.
    #[schema(max_length = 1024, example = "name")]
    key: String,
}

/// A path.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PathOperand)]
#[expect(dead_code, reason = "describes what query::parse reads")]
pub(super) struct PathInput {
    /// A JSON Pointer into the entry; a negative index counts from the end.
    #[schema(example = "/state/name")]
    path: String,
}

/// A path and a text.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TextOperand)]
#[expect(dead_code, reason = "describes what query::parse reads")]
pub(super) struct TextInput {
    /// A JSON Pointer into the entry; a negative index counts from the end.
    #[schema(example = "/state/name")]
    path: String,
    /// The text.
    #[schema(max_length = 1024, example = "Jo")]
    value: String,
    /// Whether upper and lower case are one.
    #[schema(nullable = false)]
    ignore_case: Option<bool>,
}

/// A path and a pattern.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatternOperand)]
#[expect(dead_code, reason = "describes what query::parse reads")]
pub(super) struct PatternInput {
    /// A JSON Pointer into the entry; a negative index counts from the end.
    #[schema(example = "/state/name")]
    path: String,
    /// The pattern; it need not match from the beginning or to the end.
    #[schema(max_length = 1024, example = "^[A-Z]")]
    pattern: String,
}

/// A path and what it is to be like.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SimilarOperand)]
#[expect(dead_code, reason = "describes what query::parse reads")]
pub(super) struct SimilarInput {
    /// A JSON Pointer into the entry; a negative index counts from the end.
    #[schema(example = "/state/name")]
    path: String,
    /// The text.
    #[schema(max_length = 1024, example = "charlston")]
    to: String,
    /// From 0, nothing in common, to 1, the same.
    #[schema(minimum = 0, maximum = 1, example = 0.3)]
    at_least: f64,
}

/// A field of an order: a path, or a similarity.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Sort)]
#[expect(dead_code, reason = "describes what query::parse reads")]
pub(super) struct SortInput {
    /// A JSON Pointer into the entry. Types are in the order null, boolean, number, string, array, object.
    #[schema(nullable = false, example = "/state/total")]
    path: Option<String>,
    /// How alike an entry is to a text.
    #[schema(nullable = false)]
    similarity: Option<SimilarityInput>,
    /// `asc` (default) or `desc`.
    #[schema(nullable = false, pattern = "^(asc|desc)$", example = "desc")]
    order: Option<String>,
}

/// What entries are to be like.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Similarity)]
#[expect(dead_code, reason = "describes what query::parse reads")]
pub(super) struct SimilarityInput {
    /// A JSON Pointer into the entry; a negative index counts from the end.
    #[schema(example = "/state/name")]
    path: String,
    /// The text.
    #[schema(max_length = 1024, example = "charlston")]
    to: String,
}

/// A part of what is found: by a cursor, or by number and size.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PageRequest)]
#[expect(dead_code, reason = "describes what query::parse reads")]
pub(super) struct PageInput {
    /// At most so many; 20 by default, lowered to 1,000.
    #[schema(nullable = false, minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    limit: Option<i64>,
    /// What comes after a page: its `next`.
    #[schema(nullable = false)]
    after: Option<String>,
    /// What comes before a page: its `previous`.
    #[schema(nullable = false)]
    before: Option<String>,
    /// The number of a page, from 1 on. Pages by number end at 100,000 entries.
    #[schema(nullable = false, minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    number: Option<i64>,
    /// The entries of a numbered page; 20 by default, lowered to 1,000.
    #[schema(nullable = false, minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    size: Option<i64>,
}
