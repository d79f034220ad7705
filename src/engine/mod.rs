//! What runs: asynchronous work above the port and below any transport.

/// A span within that of a request that is traced, for a collector; none within another.
macro_rules! traced {
    ($($span:tt)*) => {
        // That of a request says which kind it is.
        if tracing::Span::current().has_field("otel.kind") {
            tracing::trace_span!(target: "everlog::trace", $($span)*)
        } else {
            tracing::Span::none()
        }
    };
}
pub(crate) use traced;

pub mod allowance;
pub mod changes;
pub mod clock;
mod commit;
pub mod define;
pub mod edit;
pub mod fed;
pub mod hub;
pub mod ids;
pub mod indexing;
pub mod issuers;
pub mod keyring;
pub mod logs;
pub mod metrics;
pub mod preview;
mod program;
pub mod publish;
pub mod reduce;
pub mod runner;
pub mod runners;
pub mod tail;
pub mod tasks;
pub mod workers;
