//! Scopes: in which logs and categories what may be done.

use std::{collections::BTreeSet, str::FromStr};

use serde::{Deserialize, Serialize};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Read and follow events, projections and projectors.
    Read,
    /// Publish events.
    Append,
    /// Save and drop projections; define and run projectors, which read all of their sources.
    Project,
    /// Read metrics, and what verbose health tells.
    Monitor,
    /// Create and change logs; make and revoke keys, also such as may more.
    Admin,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Read, Self::Append, Self::Project, Self::Monitor, Self::Admin];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Append => "append",
            Self::Project => "project",
            Self::Monitor => "monitor",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|action| action.as_str() == text);
        let names = || Self::ALL.map(Self::as_str).join(", ");
        found.ok_or_else(|| format!("expected one of {}", names()))
    }
}

/// Names by a pattern: `*` stands for any run of characters, everything else for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(String);

/// All names, as a pattern; and what an operation on all of them is judged by.
pub const ALL: &str = "*";

impl Glob {
    /// The longest pattern, in bytes: that of a name.
    const BYTES_MAX: usize = 255;

    /// Whether it matches a name. Given another pattern it says whether it matches all that that one does: a `*` there is
    /// only ever matched by a `*` here.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let (Some(first), last) = (parts.next(), parts.next_back()) else { return false };
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = last else { return rest.is_empty() };
        for part in parts {
            // The first place leaves the most for the others.
            let Some((_, after)) = rest.split_once(part) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Glob {
    fn default() -> Self {
        Self(ALL.to_owned())
    }
}

impl FromStr for Glob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if (1..=Self::BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            let most = Self::BYTES_MAX;
            Err(format!("expected a pattern of 1 to {most} bytes, in which * is any run"))
        }
    }
}

impl TryFrom<String> for Glob {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.0
    }
}

/// Actions in the logs and categories of two patterns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    #[serde(default)]
    pub log: Glob,
    #[serde(default)]
    pub category: Glob,
    pub actions: BTreeSet<Action>,
}

/// Scopes of one principal.
pub const SCOPES_MAX: usize = 100;

impl Scope {
    /// Every action everywhere.
    #[must_use]
    pub fn everything() -> Self {
        Self { log: Glob::default(), category: Glob::default(), actions: Action::ALL.into() }
    }

    /// To read, everywhere.
    #[must_use]
    pub fn reading() -> Self {
        Self { actions: [Action::Read].into(), ..Self::everything() }
    }

    fn gives(&self, action: Action, log: &str) -> bool {
        self.actions.contains(&action) && self.log.covers(log)
    }
}

/// Who asks, and what they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The id of a key, or the subject that an issuer names.
    pub name: String,
    pub scopes: Vec<Scope>,
    /// What the scopes give at most.
    pub bounds: Option<Vec<Scope>>,
}

impl Principal {
    /// Whether it may do this in a category of a log. What is about all categories, or all logs, is asked by [`ALL`].
    #[must_use]
    pub fn may(&self, action: Action, log: &str, category: &str) -> bool {
        self.has(|scope| scope.gives(action, log) && scope.category.covers(category))
    }

    /// Whether it may do this in any category of a log: what is asked for in particular is judged later.
    #[must_use]
    pub fn may_somewhere(&self, action: Action, log: &str) -> bool {
        self.has(|scope| scope.gives(action, log))
    }

    /// Whether it may do this in all categories of some log: which one is judged later.
    #[must_use]
    pub fn may_in_some_log(&self, action: Action) -> bool {
        self.has(|scope| scope.actions.contains(&action) && scope.category.covers(ALL))
    }

    fn has(&self, gives: impl Fn(&Scope) -> bool) -> bool {
        let within = |bounds: &Vec<Scope>| bounds.iter().any(&gives);
        self.scopes.iter().any(&gives) && self.bounds.as_ref().is_none_or(within)
    }

    /// Whether it is an administrator of all logs of these scopes, and so of the keys that have them.
    #[must_use]
    pub fn administers(&self, scopes: &[Scope]) -> bool {
        let wide = |scope: &Scope| self.may(Action::Admin, scope.log.as_str(), ALL);
        scopes.iter().all(wide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(text: &str) -> Glob {
        text.parse().unwrap()
    }

    #[test]
    fn a_star_is_any_run_of_characters() {
        let covers = [
            ("*", "anything"),
            ("a*", "a"),
            ("a*", "abc"),
            ("*a", "ba"),
            ("a*b*c", "axxbyyc"),
            ("a*b*c", "abc"),
            ("a*ba*b", "abab"),
            ("a*a", "aa"),
            ("**", ""),
            ("ü*", "über"),
        ];
        for (pattern, name) in covers {
            assert!(glob(pattern).covers(name), "{pattern} {name}");
        }
        let misses = [
            ("a", "ab"),
            ("a", "A"),
            ("a*", "ba"),
            ("*a", "ab"),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("a*bc*c", "abc"),
            ("a?", "ab"),
        ];
        for (pattern, name) in misses {
            assert!(!glob(pattern).covers(name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_covers_another_only_if_it_matches_all_that_that_one_does() {
        let covers = [("*", "*"), ("a*", "a*"), ("a*", "ab*"), ("*", "a*b"), ("*c*", "a*c*")];
        for (wide, narrow) in covers {
            assert!(glob(wide).covers(narrow), "{wide} {narrow}");
        }
        let misses = [("a*", "*"), ("ab*", "a*"), ("a", "*"), ("a*b", "a*"), ("*a", "a*")];
        for (wide, narrow) in misses {
            assert!(!glob(wide).covers(narrow), "{wide} {narrow}");
        }
    }

    #[test]
    fn what_no_scope_gives_is_denied() {
        let scope =
            Scope { log: glob("shop-*"), category: glob("orders"), actions: [Action::Read].into() };
        let who = Principal { name: "k".to_owned(), scopes: vec![scope], bounds: None };
        assert!(who.may(Action::Read, "shop-1", "orders"));
        assert!(who.may_somewhere(Action::Read, "shop-1"));
        for (action, log, category) in [
            (Action::Append, "shop-1", "orders"),
            (Action::Read, "shop", "orders"),
            (Action::Read, "shop-1", "stock"),
            (Action::Read, "shop-1", ALL),
            (Action::Read, ALL, "orders"),
        ] {
            assert!(!who.may(action, log, category), "{action:?} {log} {category}");
        }
        assert!(!Principal { scopes: Vec::new(), ..who }.may(Action::Read, "shop-1", "orders"));
    }

    #[test]
    fn bounds_are_not_passed() {
        let read = |log: &str| Scope {
            log: glob(log),
            actions: [Action::Read].into(),
            ..Scope::everything()
        };
        let (scopes, bounds) = (vec![Scope::everything()], Some(vec![read("a*")]));
        let who = Principal { name: "k".to_owned(), scopes, bounds };
        assert!(who.may(Action::Read, "ab", "c"));
        assert!(!who.may(Action::Read, "b", "c") && !who.may(Action::Append, "ab", "c"));
        assert!(!who.administers(&[read("ab")]));
    }

    #[test]
    fn no_action_gives_another() {
        for given in Action::ALL {
            let scope = Scope { actions: [given].into(), ..Scope::everything() };
            let who = Principal { name: "k".to_owned(), scopes: vec![scope], bounds: None };
            for asked in Action::ALL {
                assert_eq!(who.may(asked, "a", "b"), asked == given, "{given:?} {asked:?}");
            }
        }
    }
}
