//! What runs between the door and the stores.

mod committing;
mod tailing;
