//! The three stores: the conformance suite on each, and what only one of them has.

mod agreement;
mod outages;
mod plants;
mod postgres_server;
mod sqlite_file;
mod upgrades;

/// The suite, a line for each store.
mod memory {
    everlog::conformance_suite!(crate::support::memory::open);
}
mod postgres {
    everlog::conformance_suite!(crate::support::postgres::open);
}
mod sqlite {
    everlog::conformance_suite!(crate::support::sqlite::open);
}

/// The suite once more on each, as the service has them: through the committers.
mod committed {
    mod memory {
        everlog::conformance_suite!(crate::support::committed::memory::open);
    }
    mod postgres {
        everlog::conformance_suite!(crate::support::committed::postgres::open);
    }
    mod sqlite {
        everlog::conformance_suite!(crate::support::committed::sqlite::open);
    }
}
