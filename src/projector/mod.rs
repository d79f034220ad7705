//! What projectors are, without running them: what a definition says, and what a batch of events makes of documents.

pub mod batch;
pub mod definition;
pub mod native;

pub use batch::{Batch, Document, Documents};
pub use definition::{Fault, Rules};
pub use native::{Native, Outcome, Projector, Settings};
