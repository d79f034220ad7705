//! Paths: JSON Pointers (RFC 6901) into a document as it is answered.

use std::fmt;

use super::{
    ast::{Path, Root},
    parse::list,
};
use crate::model::{json::escape_pointer, limits::QUERY_TEXT_BYTES_MAX};

/// Reads a path.
pub fn read_path(text: &str) -> Result<Path, String> {
    let expected = || {
        let roots = Root::ALL.map(|(name, _)| format!("/{name}"));
        format!("a path begins with one of {}", list(&roots.each_ref().map(String::as_str)))
    };
    if text.len() > QUERY_TEXT_BYTES_MAX {
        return Err(format!("a path has at most {QUERY_TEXT_BYTES_MAX} bytes"));
    }
    let Some(rest) = text.strip_prefix('/') else { return Err(expected()) };
    let mut tokens = rest.split('/').map(unescape);
    let first = tokens.next().unwrap_or_else(|| Ok(String::new()))?;
    let Some((_, root)) = Root::ALL.iter().find(|(name, _)| *name == first) else {
        return Err(expected());
    };
    let tokens: Vec<String> = tokens.collect::<Result<_, _>>()?;
    if !root.is_deep() && !tokens.is_empty() {
        return Err(format!("nothing stands below /{first}"));
    }
    Ok(Path { root: *root, tokens })
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = Root::ALL.iter().find(|(_, root)| *root == self.root);
        let mut pointer = format!("/{}", root.map_or("", |(name, _)| name));
        for token in &self.tokens {
            pointer.push('/');
            escape_pointer(token, &mut pointer);
        }
        f.write_str(&pointer)
    }
}

/// A reference token as it was before it was escaped (RFC 6901 §4).
fn unescape(token: &str) -> Result<String, String> {
    let mut parts = token.split('~');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escape, rest) = part.split_at_checked(1).unwrap_or(("", ""));
        text.push(match escape {
            "0" => '~',
            "1" => '/',
            _ => {
                return Err(
                    "in a JSON Pointer `~` is written `~0`, and `/` in a key `~1`".to_owned()
                );
            }
        });
        text.push_str(rest);
    }
    Ok(text)
}
