//! The language in which projections are asked for: filter, then sort, then page.
//!
//! ```json
//! {"filter": {"and": [{"eq": {"path": "/state/country", "value": "SE"}},
//!                     {"gt": {"path": "/state/total", "value": 100}}]},
//!  "sort": [{"path": "/state/total", "order": "desc"}],
//!  "page": {"limit": 20, "after": "<cursor>"}, "count": true, "select": ["/state/name"]}
//! ```
//!
//! A **path** is a JSON Pointer (RFC 6901) into the document as it is answered: `/id`, `/name`, `/version`,
//! `/sequence_number`, `/created_at`, `/updated_at`, `/source…`, `/state…`, `/metadata…`. A token that is
//! an integer finds an element of an array; a negative one counts from the end.
//!
//! **Absent equals null**; only `exists` tells them apart. A document that lacks a key fails no query.
//!
//! | filter | holds if |
//! |---|---|
//! | `eq`, `ne` `{path, value}` | the value is equal (numbers by value, types distinct, arrays and objects deep); is not |
//! | `gt ge lt le` `{path, value}` | both are numbers, or both are strings (by code point), in that order |
//! | `in` `{path, values}` | it equals one of them |
//! | `contains` `{path, value}` | it is an array with an equal element |
//! | `json_contains` `{path, value}` | all of the value is found in it: members in objects, elements in arrays |
//! | `has_key` `{path, key}` | it is an object with that key |
//! | `exists` `{path}` | the key is there, be it with null |
//! | `prefix`, `text_contains` `{path, value, ignore_case?}` | it is a string that begins so; that holds it |
//! | `matches` `{path, pattern}` | it is a string in whose first 16 KiB the pattern is found (syntax of the `regex` crate) |
//! | `similar` `{path, to, at_least}` | their [similarity] is at least so much |
//! | `and`, `or` `[…]`, `not` | all hold (none: holds); one holds (none: fails); it does not hold |
//!
//! A **sort** is `{path, order?}` or `{similarity: {path, to}, order?}`, `asc` by default. Types are in the
//! order null, boolean, number, string, array, object; strings by code point, as far as their first 255
//! bytes; arrays tie, and so do objects. What ties is in the order of `name`, then `id`, so that every order
//! is total.
//!
//! [`eval`] is the meaning. A store may find documents faster, never others.

pub mod ast;
pub mod cursor;
pub mod eval;
pub mod index;
mod leaf;
pub mod order;
pub mod parse;
pub mod path;
pub mod pick;
pub mod plan;
pub mod select;
pub mod sieve;
pub mod similarity;

pub use ast::{By, Filter, Paging, Path, Query, Sort};
pub use parse::{Fault, parse};
