//! Names of logs, categories, streams, events and projections.
//!
//! Invariant: a name is 1–255 bytes of Unicode without control characters, is not `.` or `..`
//! (URL libraries collapse them) and does not start with `$` (the system's). Names are compared by
//! bytes and never normalised: "é" composed and decomposed are two names.

use std::sync::Arc;

/// The longest name, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 255;

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    #[error("a name may not be empty; expected 1 to 255 bytes of UTF-8")]
    Empty,
    #[error("a name may have at most 255 bytes of UTF-8; this one has {bytes}")]
    TooLong { bytes: usize },
    #[error("a name may not hold control characters; this one holds U+{code:04X}")]
    Control { code: u32 },
    #[error("`.` and `..` are not names: URL libraries collapse them")]
    Dots,
    #[error("names that start with `$` are reserved for the system")]
    Reserved,
    #[error(
        "`search`, `count` and `preview` are not names of projections and projectors: they are in their URLs"
    )]
    Verb,
}

fn check(text: &str) -> Result<(), NameFault> {
    check_id(text)?;
    if text.starts_with('$') { Err(NameFault::Reserved) } else { Ok(()) }
}

fn check_projection(text: &str) -> Result<(), NameFault> {
    check(text)?;
    if matches!(text, "search" | "count") { Err(NameFault::Verb) } else { Ok(()) }
}

fn check_projector(text: &str) -> Result<(), NameFault> {
    check_projection(text)?;
    if text == "preview" { Err(NameFault::Verb) } else { Ok(()) }
}

fn check_id(text: &str) -> Result<(), NameFault> {
    if text.is_empty() {
        return Err(NameFault::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameFault::TooLong { bytes: text.len() });
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(NameFault::Control { code: u32::from(control) });
    }
    if text == "." || text == ".." {
        return Err(NameFault::Dots);
    }
    Ok(())
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $check:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as text that is shared and not copied.
            #[must_use]
            pub fn shared(&self) -> Arc<str> {
                self.0.clone()
            }

            /// A name that a store kept: it was parsed before it was written.
            #[must_use]
            pub fn stored(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameFault;

            fn from_str(text: &str) -> Result<Self, NameFault> {
                $check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameFault;

            fn try_from(text: String) -> Result<Self, NameFault> {
                $check(&text)?;
                Ok(Self(text.into()))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// The name of a log.
    LogName: check,
    /// The name of a category in a log.
    CategoryName: check,
    /// The name of a stream in a category.
    StreamName: check,
    /// The name of an event: what happened.
    EventName: check,
    /// The name that projections have in common.
    ProjectionName: check_projection,
    /// The name of a projector, and of the projections that it feeds.
    ProjectorName: check_projector,
    /// The name of an index of a projection.
    IndexName: check,
    /// What tells a projection from others of its name.
    EntryId: check_id,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_script_and_of_slashes_and_spaces_are_names() {
        for text in
            ["a", "joe.bloggs", "NEW ORLEANS INTL", "a/b", "Ünïcödé", "日本", "%2F", "...", "-"]
        {
            assert_eq!(text.parse::<StreamName>().map(|n| n.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_not_a_name_says_why() {
        let parse = |text: &str| text.parse::<StreamName>().err();
        assert_eq!(parse(""), Some(NameFault::Empty));
        assert_eq!(parse(&"é".repeat(128)), Some(NameFault::TooLong { bytes: 256 }));
        assert_eq!(parse("a\0b"), Some(NameFault::Control { code: 0 }));
        assert_eq!(parse("a\u{85}b"), Some(NameFault::Control { code: 0x85 }));
        assert_eq!(parse("."), Some(NameFault::Dots));
        assert_eq!(parse(".."), Some(NameFault::Dots));
        assert_eq!(parse("$all"), Some(NameFault::Reserved));
        assert_eq!("count".parse::<ProjectionName>().err(), Some(NameFault::Verb));
        assert_eq!("$1".parse::<EntryId>().map(|id| id.to_string()), Ok("$1".to_owned()));
    }
}
