//! The process that runs the code of projectors: what it gives, and what it does not let happen.

mod definitions;
mod handlers;
mod hostile;
mod jail;
mod silence;
