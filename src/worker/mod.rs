//! The process that runs the code of projectors, and what is said to it.
//!
//! A server starts copies of its own binary as workers. One reads requests from its standard input and answers on its
//! standard output, frame by frame, and can do nothing else ([`jail`]). It keeps nothing but what it can be sent again:
//! loaded definitions. Whatever user code does to a worker, the server kills it and starts another.

mod apply;
mod budget;
pub mod frames;
pub mod jail;
mod process;
mod script;
mod source;

pub use process::work;
