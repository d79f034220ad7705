//! Keys, `evl_<id>_<secret>`, and tickets, `evt_<id>_<secret>`: the secret is shown once and kept as its digest.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::scope::Scope;
use crate::model::Timestamp;

/// What a text opens. Each begins in its own way, so that scanners of secrets know one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Key,
    Ticket,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Key => "evl_",
            Self::Ticket => "evt_",
        }
    }
}

/// The letters of an id, and of a secret: 62 to the 43rd is more than 2 to the 256th.
const ID_LETTERS: usize = 12;
const SECRET_LETTERS: usize = 43;

/// The SHA-256 of a secret. Secrets are random and long: nothing slower is needed.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// That of no secret.
    pub const NONE: Self = Self([0; 32]);

    /// As it is kept: in hexadecimal.
    #[must_use]
    pub fn kept(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// From what was kept; nothing matches what cannot be read.
    #[must_use]
    pub fn of_kept(text: &str) -> Self {
        let byte = |i: usize| text.get(2 * i..2 * i + 2).map(|pair| u8::from_str_radix(pair, 16));
        let mut digest = Self::NONE;
        for (i, place) in digest.0.iter_mut().enumerate() {
            match byte(i) {
                Some(Ok(byte)) => *place = byte,
                _ => return Self::NONE,
            }
        }
        digest
    }

    /// Whether they are the same, in a time that does not depend on where they differ.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.is(other)
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// A key, or a ticket, as its holder has it. Never written out but to whoever made it.
#[derive(Clone)]
pub struct KeyText {
    kind: Kind,
    id: String,
    secret: String,
}

impl KeyText {
    /// Of random letters and digits, so many as are asked for.
    pub fn mint(kind: Kind, random: impl Fn(usize) -> String) -> Self {
        Self { kind, id: random(ID_LETTERS), secret: random(SECRET_LETTERS) }
    }

    /// From the whole of it.
    pub fn read(kind: Kind, text: &str) -> Result<Self, KeyFault> {
        let parts = text.strip_prefix(kind.prefix()).and_then(|rest| rest.split_once('_'));
        let (id, secret) = parts.ok_or(KeyFault)?;
        let right = |part: &str, letters: usize| {
            part.len() == letters && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if right(id, ID_LETTERS) && right(secret, SECRET_LETTERS) {
            Ok(Self { kind, id: id.to_owned(), secret: secret.to_owned() })
        } else {
            Err(KeyFault)
        }
    }

    /// What it is known by; no secret.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.secret.as_bytes()).into())
    }

    /// The whole of it.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{}{}_{}", self.kind.prefix(), self.id, self.secret)
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyText({}, …)", self.id)
    }
}

/// Why a text is no key. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected evl_ID_SECRET, with {ID_LETTERS} and {SECRET_LETTERS} letters and digits")]
pub struct KeyFault;

impl FromStr for KeyText {
    type Err = KeyFault;

    fn from_str(text: &str) -> Result<Self, KeyFault> {
        Self::read(Kind::Key, text)
    }
}

/// A key as it is kept.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: String,
    pub digest: Digest,
    pub description: String,
    pub scopes: Vec<Scope>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// Whether a key is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Good,
    Expired,
    Revoked,
}

impl ApiKey {
    /// How it stands at a time.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        if self.revoked_at.is_some() {
            Standing::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            Standing::Expired
        } else {
            Standing::Good
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        format!("evl_{}_{}", "a".repeat(12), "b".repeat(43))
    }

    #[test]
    fn a_key_is_read_as_it_was_made() {
        let key = KeyText::mint(Kind::Key, |letters| "x".repeat(letters));
        let read: KeyText = key.reveal().parse().unwrap();
        assert_eq!((read.id(), read.reveal()), (key.id(), key.reveal()));
        assert!(read.digest().is(&key.digest()));
        assert!(Digest::of_kept(&key.digest().kept()).is(&key.digest()));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let (whole, short) = (text(), text()[..58].to_owned());
        assert!(whole.parse::<KeyText>().is_ok());
        for other in ["", "evl_", "evl__", &short, &whole[1..], &(whole.clone() + "c")] {
            assert_eq!(other.parse::<KeyText>().unwrap_err(), KeyFault, "{other}");
        }
        assert!(KeyText::read(Kind::Ticket, &whole).is_err());
        assert!(whole.replace("bbb", "b b").parse::<KeyText>().is_err());
    }

    #[test]
    fn a_secret_is_not_written_out() {
        let key: KeyText = text().parse().unwrap();
        let written = format!("{key:?} {:?}", key.digest());
        assert!(!written.contains("bbbb"), "{written}");
    }

    #[test]
    fn nothing_matches_a_digest_that_cannot_be_read() {
        for kept in ["", "00", "zz", &"é".repeat(32)] {
            assert!(!Digest::of_kept(kept).is(&text().parse::<KeyText>().unwrap().digest()));
        }
    }
}
