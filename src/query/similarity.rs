//! How alike two texts are: by the three-letter pieces of their words.
//!
//! Words are runs of alphanumeric characters in lower case, with two spaces before and one after. The score
//! is the number of pieces that both have, by the number that either has; 0 if neither has one. It is that
//! of PostgreSQL's `pg_trgm`, but for its dependence on a locale, and for long texts: they count as far as their first
//! 255 bytes.

use std::collections::BTreeSet;

use crate::model::limits::SORT_TEXT_BYTES;

/// The pieces of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trigrams(BTreeSet<[char; 3]>);

impl Trigrams {
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut pieces = BTreeSet::new();
        let end =
            (0..=text.len().min(SORT_TEXT_BYTES)).rev().find(|end| text.is_char_boundary(*end));
        let text = &text[..end.unwrap_or(0)];
        for word in text.split(|c: char| !c.is_alphanumeric()) {
            if word.is_empty() {
                continue;
            }
            let mut piece = [' '; 3];
            for c in word.to_lowercase().chars().chain([' ']) {
                piece = [piece[1], piece[2], c];
                pieces.insert(piece);
            }
        }
        Self(pieces)
    }

    /// The pieces, as text.
    pub fn keys(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|piece| piece.iter().collect())
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From 0 to 1.
    #[must_use]
    pub fn score(&self, text: &str) -> f64 {
        let other = Self::of(text);
        let shared = self.0.intersection(&other.0).count();
        let either = self.0.len() + other.0.len() - shared;
        let count = |count: usize| u32::try_from(count).map_or(f64::MAX, f64::from);
        if either == 0 { 0.0 } else { count(shared) / count(either) }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "scores are exact")]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_reference() {
        for (text, score) in [
            ("abcd efgh", 0.0),
            ("axyz bcdefghijklm", 0.1),
            ("xyzabxyz", 0.5),
            ("abx", 0.0),
            ("xyz", 1.0),
            ("XYZ, xyz!", 1.0),
            ("", 0.0),
        ] {
            assert_eq!(Trigrams::of("xyz").score(text), score, "{text}");
        }
        assert_eq!(Trigrams::of("").score(""), 0.0);
        let long = "é".repeat(200);
        assert_eq!(Trigrams::of(&long), Trigrams::of(&"é".repeat(127)));
        assert_eq!(Trigrams::of("Größe").score("GRÖSSE"), Trigrams::of("grösse").score("größe"));
    }
}
