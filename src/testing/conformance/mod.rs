//! The conformance suite: what every store must do, as cases that any store can be put through.
//!
//! A case is `async fn case(store: TestStore)`. To put a store through all of them, write a
//! function that opens a fresh one and one line in an integration test:
//!
//! ```ignore
//! everlog::conformance_suite!(crate::support::my_store::open); // async fn open() -> TestStore
//! ```
//!
//! Invariant: no case asks what a store supports, and none is skipped. Each case stands in
//! [`list`](crate::conformance_cases); one that does not is dead code, which the build refuses.

mod agreement;
mod conditions;
mod content;
mod cursoring;
mod cursors;
mod extending;
mod filters;
mod following;
mod indexing;
mod keys;
mod lanes;
mod list;
mod listings;
mod logs;
mod matching;
mod names;
mod operators;
mod paging;
mod projecting;
mod queries;
mod races;
mod replay;
mod saving;
mod scans;
mod store;
mod tags;
mod unique;
mod writes;

pub use self::{
    agreement::agree,
    store::{Backdoor, TestStore, fresh},
};

/// A case of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// `module::case`
    pub name: &'static str,
    /// Which cases of the Python library `logicblocks.event.store` it ports: 1 to 62 of its suite for adapters of
    /// events, and 101 to 126 for the 26 of its suite for projections.
    pub seed: &'static [u8],
}

/// Gives every listed case a public door, by module, and a place in [`CASES`].
macro_rules! doors {
    ([] $($module:ident { $($case:ident $([$($seed:literal),*])? ;)* })*) => {
        /// The cases, by module.
        pub mod cases {
            $(pub mod $module {
                use crate::testing::conformance::TestStore;

                $(pub async fn $case(store: TestStore) {
                    Box::pin(super::super::$module::$case(store)).await;
                })*
            })*
        }

        /// All cases.
        pub const CASES: &[Case] = &[$($(Case {
            name: concat!(stringify!($module), "::", stringify!($case)),
            seed: &[$($($seed),*)?],
        },)*)*];
    };
}

crate::conformance_cases! { [doors] [] }

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::CASES;

    #[test]
    fn every_case_of_the_seed_is_ported() {
        let ported: BTreeSet<u8> = CASES.iter().flat_map(|case| case.seed).copied().collect();
        assert_eq!(ported, (1..=62).chain(101..=126).collect());
    }
}
