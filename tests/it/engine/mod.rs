//! What runs between the door and the stores.

mod committing;
mod editing;
mod projecting;
mod stopped;
mod tailing;
