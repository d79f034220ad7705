//! What both databases share: the shape of their rows.

pub(super) mod rows;
