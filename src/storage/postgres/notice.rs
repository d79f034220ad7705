//! Warnings that Postgres sends beside an answer.
//!
//! A commit whose wait for a synchronous standby was cancelled is answered as done, with a warning: it
//! stands on this server, and perhaps on no other. sqlx tells warnings to `tracing` alone, in the poll
//! that reads the answer; so the work listens to its own events there, and passes all of them on.

use std::{cell::Cell, sync::LazyLock};

use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    instrument::WithSubscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

/// Where sqlx tells what a server sends without being asked.
const TARGET: &str = "sqlx::postgres::notice";

tokio::task_local! {
    static WARNED: Cell<bool>;
}

static LISTENING: LazyLock<Dispatch> = LazyLock::new(|| {
    let rest = tracing::dispatcher::get_default(Clone::clone);
    Dispatch::new(Listener { rest })
});

/// Does some work, and tells whether the server warned meanwhile.
pub(super) async fn heard<T>(work: impl Future<Output = T>) -> (T, bool) {
    let listening = async {
        let done = work.with_subscriber(LISTENING.clone()).await;
        (done, WARNED.with(Cell::get))
    };
    WARNED.scope(Cell::new(false), listening).await
}

/// Notes warnings; all else is for whoever listened before.
struct Listener {
    rest: Dispatch,
}

fn is_warning(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TARGET && *metadata.level() == Level::WARN
}

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_warning(metadata) {
            Interest::sometimes()
        } else {
            self.rest.register_callsite(metadata)
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_warning(metadata) || self.rest.enabled(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        if is_warning(event.metadata()) {
            // Outside of such work nobody waits for it.
            let _ = WARNED.try_with(|warned| warned.set(true));
        }
        if self.rest.enabled(event.metadata()) {
            self.rest.event(event);
        }
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.rest.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.rest.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.rest.record_follows_from(span, follows);
    }

    fn enter(&self, span: &Id) {
        self.rest.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.rest.exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.rest.clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        self.rest.try_close(span)
    }
}
