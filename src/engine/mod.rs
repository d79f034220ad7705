//! What runs: asynchronous work above the port and below any transport.

pub mod clock;
pub mod ids;
pub mod publish;
pub mod tail;
pub mod tasks;
