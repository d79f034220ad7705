//! Ids of events: minted, or derived from an `Idempotency-Key`. And what keys are made of.

use rand::distr::{Alphanumeric, SampleString};
use uuid::Uuid;

use crate::model::LogName;

/// The namespace of ids that are derived from keys. It may never change: it makes retries find
/// what was stored.
const KEY_NAMESPACE: Uuid = Uuid::from_u128(0x6576_6c6f_672e_6b65_8979_2e69_6473_2e31);

/// A new id: a UUIDv7 (RFC 9562 §5.7), which sorts by time.
#[expect(clippy::disallowed_methods, reason = "this is the one place that mints ids")]
#[must_use]
pub fn mint() -> Uuid {
    Uuid::now_v7()
}

/// So many random letters and digits that nobody can guess (ChaCha12, seeded by the system).
#[must_use]
pub fn letters(count: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), count)
}

/// The id of the i-th event of a request with this key (UUIDv5, RFC 9562 §5.5).
#[must_use]
pub fn keyed(log: &LogName, key: &str, index: usize) -> Uuid {
    let name = [log.as_str(), key, &index.to_string()].join("\0");
    Uuid::new_v5(&KEY_NAMESPACE, name.as_bytes())
}

/// The id of a line of a file that is imported (UUIDv5). Lines may be identical, numbers are not.
#[must_use]
pub fn imported(file_sha256: &[u8], line: u64) -> Uuid {
    let name = [file_sha256, &line.to_be_bytes()].concat();
    Uuid::new_v5(&KEY_NAMESPACE, &name)
}
