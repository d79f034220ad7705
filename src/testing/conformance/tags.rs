//! `If-Match` and `If-None-Match`: entity tags of a stream, a category, the log.

use super::store::{TestStore, of_category, of_stream};
use crate::{
    model::{Log, Ordering, Source, Tags, Test},
    storage::Refusal,
    testing::{PublishBuilder, random},
};

fn tags(numbers: &[i64]) -> Tags {
    Tags { any: false, numbers: numbers.to_vec(), others: Vec::new(), weak: false }
}

fn star() -> Tags {
    Tags { any: true, numbers: Vec::new(), others: Vec::new(), weak: false }
}

/// Whether a write to a stream of its own would pass, which is then not made.
async fn holds(store: &TestStore, log: &Log, test: Test) -> bool {
    let never = Test::AnyOf(Vec::new());
    let publish = PublishBuilder::new().with_condition(test).with_condition(never).build();
    match store.publish(log, &publish).await {
        Err(Refusal::ConditionFailed { failed, .. }) => failed.len() == 1,
        other => unreachable!("an empty any_of never holds: {other:?}"),
    }
}

/// Which of these tags match a source, and that `If-None-Match` says the opposite of each.
async fn matching(store: &TestStore, log: &Log, source: &Source, asked: &[Tags]) -> Vec<bool> {
    let mut matched = Vec::new();
    for tags in asked {
        let is_match = holds(store, log, Test::IfMatch(source.clone(), tags.clone())).await;
        let is_none = holds(store, log, Test::IfNoneMatch(source.clone(), tags.clone())).await;
        assert_ne!(is_match, is_none, "{tags:?}");
        matched.push(is_match);
    }
    matched
}

pub(super) async fn the_tag_of_a_stream_is_its_position(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let source = of_stream(&stream);
    let asked = [star(), tags(&[]), tags(&[0]), tags(&[1]), tags(&[7, 1])];
    let none = [false, false, false, false, false];
    assert_eq!(matching(&store, &log, &source, &asked).await, none);
    store.fill(&log, &random::stream(), 4).await;
    assert_eq!(matching(&store, &log, &source, &asked).await, none);
    store.fill(&log, &stream, 2).await;
    assert_eq!(matching(&store, &log, &source, &asked).await, [true, false, false, true, true]);
}

pub(super) async fn the_tag_of_a_log_is_its_last_number(store: TestStore) {
    let log = store.log().await;
    let asked = [star(), tags(&[0]), tags(&[3]), tags(&[2, 3, 4]), tags(&[4])];
    let empty = matching(&store, &log, &Source::Log, &asked).await;
    assert_eq!(empty, [false, true, false, false, false], "an empty log's tag is 0");
    store.fill(&log, &random::stream(), 2).await;
    store.fill(&log, &random::stream(), 1).await;
    let full = matching(&store, &log, &Source::Log, &asked).await;
    assert_eq!(full, [true, false, true, true, false]);
}

pub(super) async fn the_tag_of_a_category_is_the_number_of_its_last_event(store: TestStore) {
    let log = store.log_with(Ordering::Category, 4).await;
    let stream = random::stream();
    let source = of_category(&stream);
    let empty = matching(&store, &log, &source, &[star(), tags(&[0])]).await;
    assert_eq!(empty, [false, true], "an empty category's tag is 0");
    let last = store.fill(&log, &stream, 2).await.remove(1).sequence_number;
    store.fill(&log, &random::stream(), 3).await;
    let asked = [star(), tags(&[0]), tags(&[last]), tags(&[last + 4])];
    assert_eq!(matching(&store, &log, &source, &asked).await, [true, false, true, false]);
}

pub(super) async fn a_tag_sees_the_predecessors_in_the_batch(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let under = |test| PublishBuilder::random(&stream, 1).with_condition(test).build();
    let batch = [
        under(Test::IfMatch(Source::Log, tags(&[0]))),
        under(Test::IfMatch(Source::Log, tags(&[1]))),
        under(Test::IfMatch(Source::Log, tags(&[1]))),
        under(Test::IfNoneMatch(of_category(&stream), star())),
        under(Test::IfMatch(of_category(&stream), tags(&[2]))),
        under(Test::IfMatch(of_stream(&stream), tags(&[2]))),
    ];
    let outcomes = store.append(&log, &batch).await;
    let written: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(written, [true, true, false, false, true, true]);
}

pub(super) async fn a_weak_tag_is_told_when_it_fails(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    store.fill(&log, &stream, 1).await;
    let weak = Tags { any: false, numbers: Vec::new(), others: Vec::new(), weak: true };
    let publish = PublishBuilder::random(&stream, 1)
        .with_condition(Test::IfMatch(of_stream(&stream), weak))
        .build();
    match store.publish(&log, &publish).await {
        Err(Refusal::ConditionFailed { failed, position: Some(0) }) => {
            assert_eq!(failed.iter().map(|f| f.weak).collect::<Vec<_>>(), [true]);
        }
        other => unreachable!("a weak tag never matches strongly: {other:?}"),
    }
}
