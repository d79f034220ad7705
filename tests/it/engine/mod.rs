//! What runs between the door and the stores.

mod committing;
mod deciding;
mod editing;
mod native;
mod overtaken;
pub(crate) mod projecting;
mod rebuilding;
mod reducing;
mod stopped;
mod tailing;
