//! For tests of Everlog and of stores that others write: builders, random values, a clock that can
//! be set, and the conformance suite that every store must pass.
//!
//! Invariant: nothing outside tests uses this room.

pub mod builders;
pub mod clock;
pub mod conformance;
pub mod random;

pub use builders::{NewEventBuilder, PublishBuilder, WriteBuilder};
pub use clock::StaticClock;
