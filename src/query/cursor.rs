//! Cursors of pages: the key of a document in an order, which outlives the document.
//!
//! A cursor tells the query that it was made for from any other, and a changed one from its original.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// What a cursor is of: two queries that differ in any of it have no cursor in common.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The log's incarnation.
    pub log: &'a [u8],
    /// The name of the projections; none for all of the log.
    pub name: Option<&'a str>,
    /// [`super::Query::identity`]
    pub query: &'a str,
}

const SEAL_BYTES: usize = 8;

impl Scope<'_> {
    /// The cursor of a key.
    #[must_use]
    pub fn cursor(&self, key: &[u8]) -> String {
        let mut bytes = self.seal(key).to_vec();
        bytes.extend_from_slice(key);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The key of a cursor, if it is one of this query.
    #[must_use]
    pub fn key(&self, cursor: &str) -> Option<Vec<u8>> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (seal, key) = bytes.split_at_checked(SEAL_BYTES)?;
        (self.seal(key) == seal).then(|| key.to_vec())
    }

    fn seal(&self, key: &[u8]) -> [u8; SEAL_BYTES] {
        let mut digest = Sha256::new();
        let name = self.name.unwrap_or_default();
        for part in [b"everlog cursor 1", self.log, name.as_bytes(), self.query.as_bytes(), key] {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            digest.update(length.to_be_bytes());
            digest.update(part);
        }
        let mut seal = [0; SEAL_BYTES];
        seal.iter_mut().zip(digest.finalize()).for_each(|(seal, byte)| *seal = byte);
        seal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_of_its_query_alone() {
        let scope = Scope { log: b"log", name: Some("totals"), query: "{}" };
        let cursor = scope.cursor(b"key");
        assert_eq!(scope.key(&cursor), Some(b"key".to_vec()));
        assert_eq!(Scope { log: b"gol", ..scope }.key(&cursor), None);
        assert_eq!(Scope { name: None, ..scope }.key(&cursor), None);
        assert_eq!(Scope { query: "{ }", ..scope }.key(&cursor), None);
        for place in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(scope.key(&String::from_utf8_lossy(&changed)), None);
        }
        assert_eq!(scope.key(""), None);
        assert_eq!(scope.key("ä"), None);
    }
}
