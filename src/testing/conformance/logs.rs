//! Logs: made once, changed in what may change, apart from each other.

use tokio::task::JoinSet;

use super::store::{TestStore, fresh, numbers, of_stream};
use crate::{
    model::{Lanes, Log, LogName, LogSettings, Ordering, Source},
    storage::PutLogError,
    testing::{PublishBuilder, random},
};

const ONE_LANE: Lanes = Lanes { ordering: Ordering::Log, count: 1 };

fn settings(name: &LogName, lanes: Option<Lanes>, require: Option<bool>) -> LogSettings {
    LogSettings { name: name.clone(), lanes, require_condition: require }
}

async fn put(store: &TestStore, ask: &LogSettings) -> Result<(Log, bool), PutLogError> {
    let new = fresh(ask.name.clone(), ask.lanes.unwrap_or(ONE_LANE));
    let require_condition = ask.require_condition.unwrap_or(false);
    store.storage.logs.put_log(ask, Log { require_condition, ..new }).await
}

pub(super) async fn a_log_is_found_as_it_was_put(store: TestStore) {
    let name = random::log();
    let found = store.storage.logs.log(&name).await.expect("a log is looked for");
    assert_eq!(found, None);
    let lanes = Lanes { ordering: Ordering::Stream, count: 8 };
    let (log, is_new) =
        put(&store, &settings(&name, Some(lanes), Some(true))).await.expect("it is new");
    assert!(is_new);
    assert_eq!((&log.name, log.lanes, log.require_condition), (&name, lanes, true));
    let found = store.storage.logs.log(&name).await.expect("a log is looked for");
    assert_eq!(found, Some(log));
}

pub(super) async fn a_log_put_twice_is_one_log(store: TestStore) {
    let name = random::log();
    let lanes = Lanes { ordering: Ordering::Category, count: 4 };
    let (log, is_new) = put(&store, &settings(&name, Some(lanes), None)).await.expect("it is new");
    assert!(is_new);
    store.fill(&log, &random::stream(), 1).await;
    for lanes in [Some(lanes), None] {
        let again = put(&store, &settings(&name, lanes, None)).await.expect("it is the same");
        assert_eq!(again, (log.clone(), false));
    }
    assert_eq!(store.stored(&log).await.len(), 1);
}

pub(super) async fn the_lanes_of_a_log_cannot_change(store: TestStore) {
    let name = random::log();
    let lanes = Lanes { ordering: Ordering::Category, count: 4 };
    let (log, _) = put(&store, &settings(&name, Some(lanes), None)).await.expect("it is new");
    for other in
        [ONE_LANE, Lanes { count: 5, ..lanes }, Lanes { ordering: Ordering::Stream, ..lanes }]
    {
        match put(&store, &settings(&name, Some(other), Some(true))).await {
            Err(PutLogError::OtherLanes(existing)) => assert_eq!(*existing, log),
            other => unreachable!("the lanes are others: {other:?}"),
        }
    }
    let found = store.storage.logs.log(&name).await.expect("a log is looked for");
    assert_eq!(found, Some(log), "a refused change changes nothing");
}

pub(super) async fn whether_a_condition_is_required_can_change(store: TestStore) {
    let name = random::log();
    let (log, _) = put(&store, &settings(&name, None, None)).await.expect("it is new");
    for (require, expected) in
        [(None, false), (Some(true), true), (None, true), (Some(true), true), (Some(false), false)]
    {
        let expected = Log { require_condition: expected, ..log.clone() };
        let again = put(&store, &settings(&name, None, require)).await.expect("it may change");
        assert_eq!(again, (expected.clone(), false), "{require:?}");
        let found = store.storage.logs.log(&name).await.expect("a log is looked for");
        assert_eq!(found, Some(expected));
    }
}

pub(super) async fn logs_created_at_once_are_created_once_each(store: TestStore) {
    let names: Vec<LogName> = (0..4).map(|_| random::log()).collect();
    let mut tasks = JoinSet::new();
    for name in names.iter().cycle().take(16) {
        let (store, ask) = (store.clone(), settings(name, None, None));
        tasks.spawn(async move { put(&store, &ask).await.expect("all of them succeed") });
    }
    let puts = tasks.join_all().await;
    for name in &names {
        let own: Vec<&(Log, bool)> = puts.iter().filter(|(log, _)| log.name == *name).collect();
        assert_eq!(own.iter().filter(|(_, is_new)| *is_new).count(), 1);
        assert!(own.iter().all(|(log, _)| *log == own[0].0), "{own:?}");
    }
    let mut ids: Vec<i64> = puts.iter().map(|(log, _)| log.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), names.len(), "each log has a number of its own");
}

pub(super) async fn logs_keep_apart_what_has_the_same_names(store: TestStore) {
    let (one, two) = (store.log().await, store.log().await);
    let stream = random::stream();
    let publish = PublishBuilder::random(&stream, 2).build();
    let in_one = store.write(&one, &publish).await;
    let in_two = store.write(&two, &publish).await;
    assert_eq!((numbers(&in_one), numbers(&in_two)), (vec![1, 2], vec![1, 2]));
    let more = store.fill(&two, &stream, 1).await;
    assert_eq!(store.events(&one, &Source::Log).await, in_one);
    assert_eq!(store.events(&one, &of_stream(&stream)).await, in_one);
    assert_eq!(store.events(&two, &Source::Log).await, [in_two, more].concat());
}
