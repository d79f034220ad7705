//! The rows of the table: what is measured, what it should be at least, and what is aimed at.

/// A row.
pub(crate) struct Row {
    pub name: &'static str,
    pub work: Work,
    pub bounds: Vec<Bound>,
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Publishes, beside the same batches through one connection with group commit.
    Publish { store: Store, clients: u32, batch: u32, lanes: u32 },
    /// 64 clients on Postgres with these flags, beside the same without them.
    Compare { flags: &'static [&'static str] },
    /// A stream of 1,000 events, beside its rows.
    Read { clients: u32 },
    /// A category or a whole log, beside its rows.
    Export { log: bool },
    /// Deliveries at a rate, beside the acknowledgements of the same publishes.
    Tail { tails: u32, rate: u32 },
    /// Tails that wait for one event.
    Idle { tails: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Postgres,
    Sqlite,
}

/// What a figure of a row should be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub figure: Figure,
    pub at_least: f64,
    pub aim: f64,
}

/// A figure of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Everlog's rate by the limit's.
    Ratio,
    /// Half of the deliveries come so long after half of the acknowledgements, in milliseconds.
    Behind,
    /// The same as a factor.
    Factor,
    /// Half of the deliveries, or the last one, come after so many milliseconds.
    Millis,
    /// Cores that the server uses.
    Cores,
    /// Memory of the server for each tail, in KiB.
    Kib,
}

impl Figure {
    pub(crate) fn more_is_better(self) -> bool {
        self == Self::Ratio
    }

    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("{value:.2}"),
            Self::Behind => format!("{value:+.2} ms"),
            Self::Factor => format!("{value:.2}×"),
            Self::Millis => format!("{value:.1} ms"),
            Self::Cores => format!("{value:.2} cores"),
            Self::Kib => format!("{value:.1} KiB"),
        }
    }
}

fn bound(figure: Figure, at_least: f64, aim: f64) -> Bound {
    Bound { figure, at_least, aim }
}

fn row(name: &'static str, work: Work, at_least: f64, aim: f64) -> Row {
    Row { name, work, bounds: vec![bound(Figure::Ratio, at_least, aim)] }
}

fn publish(clients: u32, batch: u32) -> Work {
    Work::Publish { store: Store::Postgres, clients, batch, lanes: 1 }
}

fn publish_lanes(clients: u32, batch: u32) -> Work {
    Work::Publish { store: Store::Postgres, clients, batch, lanes: 4 }
}

fn publish_sqlite(clients: u32, batch: u32) -> Work {
    Work::Publish { store: Store::Sqlite, clients, batch, lanes: 1 }
}

/// All rows, in the order of the table.
pub(crate) fn rows() -> Vec<Row> {
    let tails = |name, tails, rate, bounds: [Option<Bound>; 2]| {
        let bounds = bounds.into_iter().flatten().collect();
        Row { name, work: Work::Tail { tails, rate }, bounds }
    };
    vec![
        row("publish Postgres 1×1", publish(1, 1), 0.65, 0.85),
        row("publish Postgres 8×1", publish(8, 1), 0.7, 0.9),
        row("publish Postgres 64×1", publish(64, 1), 0.48, 0.8),
        row("publish Postgres 256×1", publish(256, 1), 0.5, 0.8),
        row("publish Postgres 1×100", publish(1, 100), 0.8, 1.0),
        row("publish Postgres 8×100", publish(8, 100), 0.9, 1.0),
        row("publish Postgres 8×1000", publish(8, 1_000), 0.95, 1.0),
        // More than one connection can do: the limit is the same one connection.
        row("publish Postgres 1×100, 4 lanes", publish_lanes(1, 100), 0.8, 1.3),
        row("publish Postgres 8×100, 4 lanes", publish_lanes(8, 100), 0.9, 1.3),
        row("publish Postgres 8×1000, 4 lanes", publish_lanes(8, 1_000), 0.95, 1.3),
        row("publish SQLite 64×1", publish_sqlite(64, 1), 0.5, 0.8),
        row("publish SQLite 8×100", publish_sqlite(8, 100), 0.5, 0.9),
        row("If-Match on each, requests/s", Work::Compare { flags: &["--if-match"] }, 0.85, 0.95),
        row(
            "half are replays, requests/s",
            Work::Compare { flags: &["--replays", "50"] },
            0.85,
            0.95,
        ),
        row("read a stream of 1,000, 1 client", Work::Read { clients: 1 }, 0.5, 0.85),
        row("read a stream of 1,000, 8 clients", Work::Read { clients: 8 }, 0.65, 0.9),
        row("export a category", Work::Export { log: false }, 0.77, 0.95),
        row("export a log", Work::Export { log: true }, 0.78, 0.95),
        tails("1 tail at 200/s", 1, 200, [Some(bound(Figure::Behind, 0.2, 0.1)), None]),
        tails(
            "100 tails at 200/s",
            100,
            200,
            [bound(Figure::Factor, 2.0, 1.3), bound(Figure::Cores, 0.4, 0.2)].map(Some),
        ),
        tails(
            "1,000 tails at 50/s",
            1_000,
            50,
            [bound(Figure::Millis, 12.0, 6.0), bound(Figure::Cores, 0.65, 0.4)].map(Some),
        ),
        Row {
            name: "10,000 idle tails, then one event",
            work: Work::Idle { tails: 10_000 },
            bounds: vec![bound(Figure::Kib, 24.0, 12.0), bound(Figure::Millis, 500.0, 150.0)],
        },
    ]
}
