//! Who may do what: actions, the scopes in which they are given, and keys.
//!
//! Pure: who asks, and whether a key is known, is found out in `engine/keyring.rs`; what an operation needs stands with
//! its handler in `http`.
//!
//! Invariant: what no scope gives is denied, and no action gives another.

mod key;
mod scope;
mod signature;
mod ticket;
mod token;

pub use self::{
    key::{ApiKey, Digest, KeyFault, KeyText, Kind, Standing},
    scope::{ALL, Action, Glob, Principal, SCOPES_MAX, Scope},
    ticket::{FIRST_USE_SECONDS, RESUMES_SECONDS, Ticket},
    token::{Issuer, TokenFault, TokenKeys, Verified, claimed_issuer, verify},
};
