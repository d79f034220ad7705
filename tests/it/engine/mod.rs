//! What runs between the door and the stores.

mod committing;
mod stopped;
mod tailing;
