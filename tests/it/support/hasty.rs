//! A server with a planted bug: it acknowledges before it commits. For the control of the kills.

use std::{io::Write, path::Path, sync::Arc};

use async_trait::async_trait;
use everlog::{
    app::{Access, Service},
    engine::clock::SystemClock,
    model::{Direction, Event, Lane, Limits, Log, Publish, Source, StreamKey},
    storage::{
        AppendError, End, Events, Health, Known, Listing, Logs, Outcome, Span, Storage,
        StorageError, View, memory::MemoryStore, sqlite::SqliteStore,
    },
};
use tokio::{net::TcpListener, sync::mpsc};
use uuid::Uuid;

/// Names the database of a hasty server; without it the test below is not one.
pub(crate) const DATABASE: &str = "HASTY_DATABASE";

/// Answers from memory, and writes to the file when it comes to it.
struct Hasty {
    mirror: Arc<MemoryStore>,
    file: Arc<SqliteStore>,
    later: mpsc::UnboundedSender<(Log, Vec<Publish>)>,
}

#[async_trait]
impl Events for Hasty {
    async fn view(&self, log: &Log) -> Result<Box<dyn View>, StorageError> {
        self.file.view(log).await
    }

    async fn append(&self, log: &Log, batch: &[Publish]) -> Result<Vec<Outcome>, AppendError> {
        let outcomes = self.mirror.append(log, batch).await?;
        let _ = self.later.send((log.clone(), batch.to_vec()));
        Ok(outcomes)
    }

    async fn ends(&self, lanes: &[(i64, Lane)]) -> Result<Vec<End>, StorageError> {
        self.file.ends(lanes).await
    }

    async fn look(
        &self,
        log: &Log,
        streams: &[StreamKey],
        ids: &[Uuid],
    ) -> Result<Known, StorageError> {
        self.mirror.look(log, streams, ids).await
    }

    async fn extend(
        &self,
        log: &Log,
        lane: Lane,
        end: End,
        events: &[Event],
    ) -> Result<bool, StorageError> {
        let _ = (log, lane, end, events);
        Ok(false)
    }
}

impl Hasty {
    /// The mirror begins as what the file holds.
    async fn open(path: &Path) -> Self {
        let clock = Arc::new(SystemClock);
        let file = Arc::new(SqliteStore::open(path, clock.clone()).await.expect("the file opens"));
        let mirror = Arc::new(MemoryStore::new(clock));
        crate::support::default_log(file.as_ref()).await;
        let all = Listing { prefix: String::new(), after: None, limit: 10 };
        for log in file.logs(&all).await.expect("the logs are read") {
            let settings = everlog::model::LogSettings {
                name: log.name.clone(),
                lanes: Some(log.lanes),
                require_condition: None,
            };
            mirror.put_log(&settings, log.clone()).await.expect("the mirror has the log");
            let everything = Span {
                source: Source::Log,
                lane: 0,
                after: 0,
                before: i64::MAX,
                direction: Direction::Forwards,
                limit: usize::MAX,
                bytes: usize::MAX,
            };
            let mut view = file.view(&log).await.expect("a view");
            let events = view.rows(&everything).await.expect("the events are read");
            view.close().await;
            let shelf = mirror.shelf(&log).expect("the log is there");
            shelf.lock().expect("nobody panicked").extend(events).expect("they follow");
        }
        let (later, mut batches) = mpsc::unbounded_channel::<(Log, Vec<Publish>)>();
        let writer = file.clone();
        #[expect(clippy::disallowed_methods, reason = "the plant runs behind the service's back")]
        tokio::spawn(async move {
            while let Some((log, batch)) = batches.recv().await {
                let _ = writer.append(&log, &batch).await;
            }
        });
        Self { mirror, file, later }
    }
}

/// Not a test of its own: `binary::kills` starts this test binary with [`DATABASE`] set.
#[tokio::test(flavor = "multi_thread")]
async fn acts_as_a_hasty_server() {
    let Some(path) = super::environment(DATABASE) else { return };
    let hasty = Hasty::open(Path::new(&path)).await;
    let logs: Arc<dyn Logs> = hasty.file.clone();
    let health: Arc<dyn Health> = hasty.file.clone();
    // The default log must be in the mirror too, under the number that it has in the file.
    let (projections, projectors) = (hasty.file.clone(), hasty.file.clone());
    let keys = hasty.file.clone();
    let storage = Storage { logs, events: Arc::new(hasty), projections, projectors, keys, health };
    let service = Service::new(
        storage,
        Arc::new(SystemClock),
        Limits::default(),
        Access::Loopback,
        super::workers::some(),
    )
    .await;
    let service = service.expect("a service");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    writeln!(std::io::stderr(), "hasty listens on http://{address}").expect("it is heard");
    service.run(listener, std::future::pending()).await.expect("it serves");
}
