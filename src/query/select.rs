//! What is answered of a document when only some of it was asked for.

use super::ast::{Path, Root};
use crate::model::{Json, Projection};

/// A document with what the paths lead to, and null where they do not. Its name, its id, its source and its
/// numbers stay.
#[must_use]
pub fn selected(document: Projection, paths: &[Path]) -> Projection {
    if paths.is_empty() {
        return document;
    }
    let below = |root: Root| -> Vec<&[String]> {
        let of_root = paths.iter().filter(|path| path.root == root);
        of_root.map(|path| path.tokens.as_slice()).collect()
    };
    let state = part(&document.state, &below(Root::State));
    let metadata = part(&document.metadata, &below(Root::Metadata));
    Projection { state, metadata, ..document }
}

/// The members and elements that the paths lead through; null if there are none.
fn part(value: &Json, paths: &[&[String]]) -> Json {
    if paths.iter().any(|path| path.is_empty()) {
        return value.clone();
    }
    // What stands below each first token, by the value that the token finds.
    let rest = |found: &Json| -> Vec<&[String]> {
        let through = paths.iter().filter_map(|path| path.split_first());
        let same = through
            .filter(|(first, _)| value.get(first).is_some_and(|other| std::ptr::eq(other, found)));
        same.map(|(_, rest)| rest).collect()
    };
    let kept = |found: &Json| Some(rest(found)).filter(|rest| !rest.is_empty());
    match value {
        Json::Object(members) => {
            let members = members
                .iter()
                .filter_map(|(key, member)| Some((key.clone(), part(member, &kept(member)?))));
            Json::Object(members.collect())
        }
        Json::Array(elements) => {
            let elements =
                elements.iter().filter_map(|element| Some(part(element, &kept(element)?)));
            Json::Array(elements.collect())
        }
        _ => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::path::read_path;

    #[test]
    fn what_paths_lead_to_is_kept() {
        let document = Json::stored(r#"{"a":{"b":1,"c":2},"list":[{"x":1,"y":2},3,4],"n":null}"#);
        for (paths, kept) in [
            (vec!["/state/a/b"], r#"{"a":{"b":1}}"#),
            (vec!["/state/a/b", "/state/a"], r#"{"a":{"b":1,"c":2}}"#),
            (vec!["/state/list/0/y", "/state/list/-1"], r#"{"list":[{"y":2},4]}"#),
            (vec!["/state/n", "/state/absent"], r#"{"n":null}"#),
            (vec!["/state/absent"], "{}"),
            (vec!["/state"], r#"{"a":{"b":1,"c":2},"list":[{"x":1,"y":2},3,4],"n":null}"#),
        ] {
            let read = paths.iter().map(|path| read_path(path).expect("a path"));
            let read: Vec<Path> = read.collect();
            let paths: Vec<&[String]> = read.iter().map(|path| path.tokens.as_slice()).collect();
            assert_eq!(part(&document, &paths).to_string(), kept, "{read:?}");
        }
        assert_eq!(part(&Json::Integer(1), &[]), Json::Null);
    }
}
