//! What both databases share: the shape of their rows.

pub(super) mod keys;
pub(super) mod projections;
pub(super) mod projectors;
pub(super) mod rows;
