//! Conditions on positions of streams, and trees of conditions.

use serde_json::json;

use super::store::{TestStore, of_stream, positions};
use crate::{
    model::{
        At, Condition, Event, FailedCondition, Log, Publish, StreamKey, Test, condition::Since,
    },
    storage::{Outcome, Refusal},
    testing::{PublishBuilder, WriteBuilder, random},
};

/// One event to the stream under this condition.
async fn under(store: &TestStore, log: &Log, stream: &StreamKey, test: Test) -> Outcome {
    let publish = PublishBuilder::random(stream, 1).with_condition(test).build();
    let before = store.stored(log).await;
    let outcome = store.publish(log, &publish).await;
    if outcome.is_err() {
        assert_eq!(store.stored(log).await, before, "a failed condition writes nothing");
    }
    outcome
}

/// Whether one event could be written to the stream under this condition.
async fn holds(store: &TestStore, log: &Log, stream: &StreamKey, test: Test) -> bool {
    under(store, log, stream, test).await.is_ok()
}

/// The refusal by one failed condition, the first of the request.
fn refused(failed: FailedCondition, position: Option<i64>) -> Outcome {
    Err(Refusal::ConditionFailed { failed: vec![failed], position })
}

fn failed(
    stream: &StreamKey,
    condition: &'static str,
    expected: serde_json::Value,
    actual: Option<i64>,
    since: Option<Since>,
) -> FailedCondition {
    let (at, source) = (At::Body("/conditions/0".to_owned()), Some(of_stream(stream)));
    FailedCondition { condition, at, source, expected, actual, since, weak: false }
}

pub(super) async fn an_empty_stream_is_empty(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    assert!(holds(&store, &log, &stream, Test::StreamIsEmpty(stream.clone())).await);
    assert_eq!(positions(&store.events(&log, &of_stream(&stream)).await), [0]);
}

pub(super) async fn a_stream_is_empty_though_its_category_has_others(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    store.fill(&log, &random::stream_of(&stream.category), 1).await;
    assert!(holds(&store, &log, &stream, Test::StreamIsEmpty(stream.clone())).await);
}

pub(super) async fn a_stream_is_empty_though_its_log_has_others(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let namesake = StreamKey { category: random::category(), stream: stream.stream.clone() };
    store.fill(&log, &namesake, 1).await;
    assert!(holds(&store, &log, &stream, Test::StreamIsEmpty(stream.clone())).await);
}

pub(super) async fn a_stream_with_events_is_not_empty(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    store.fill(&log, &stream, 3).await;
    let outcome = under(&store, &log, &stream, Test::StreamIsEmpty(stream.clone())).await;
    let since = Some(Since::Start);
    let failed = failed(&stream, "stream_is_empty", json!(true), Some(2), since);
    assert_eq!(outcome, refused(failed, Some(2)));
}

pub(super) async fn stream_exists_asks_for_an_event(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let outcome = under(&store, &log, &stream, Test::StreamExists(stream.clone())).await;
    assert_eq!(outcome, refused(failed(&stream, "stream_exists", json!(true), None, None), None));
    store.fill(&log, &stream, 1).await;
    assert!(holds(&store, &log, &stream, Test::StreamExists(stream.clone())).await);
}

pub(super) async fn the_position_expected_lets_the_next_be_written(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    store.fill(&log, &stream, 2).await;
    assert!(holds(&store, &log, &stream, Test::PositionIs(stream.clone(), 1)).await);
    assert_eq!(positions(&store.events(&log, &of_stream(&stream)).await), [0, 1, 2]);
}

pub(super) async fn a_position_below_the_expected_fails(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    store.fill(&log, &stream, 2).await;
    let outcome = under(&store, &log, &stream, Test::PositionIs(stream.clone(), 5)).await;
    let failed = failed(&stream, "position_is", json!(5), Some(1), None);
    assert_eq!(outcome, refused(failed, Some(1)));
}

pub(super) async fn a_position_above_the_expected_fails(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    store.fill(&log, &stream, 3).await;
    let outcome = under(&store, &log, &stream, Test::PositionIs(stream.clone(), 0)).await;
    let since = Some(Since::Position(0));
    let failed = failed(&stream, "position_is", json!(0), Some(2), since);
    assert_eq!(outcome, refused(failed, Some(2)));
}

pub(super) async fn an_empty_stream_has_no_position(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let outcome = under(&store, &log, &stream, Test::PositionIs(stream.clone(), 0)).await;
    assert_eq!(outcome, refused(failed(&stream, "position_is", json!(0), None, None), None));
}

pub(super) async fn position_at_least_holds_from_there_on(store: TestStore) {
    let (log, stream, other) = (store.log().await, random::stream(), random::stream());
    let at_least = |position| Test::PositionAtLeast(stream.clone(), position);
    assert!(!holds(&store, &log, &other, at_least(0)).await);
    store.fill(&log, &stream, 3).await;
    let mut held = Vec::new();
    for position in 0..5 {
        held.push(holds(&store, &log, &other, at_least(position)).await);
    }
    assert_eq!(held, [true, true, true, false, false]);
}

/// A publish to two streams of one category, with a condition on each.
fn to_both(streams: &[StreamKey; 2], test: fn(&StreamKey) -> Test) -> Publish {
    let [one, two] = streams;
    PublishBuilder::new()
        .with_write(WriteBuilder::to(one).with_random_events(2).build())
        .with_write(WriteBuilder::to(two).with_random_events(2).build())
        .with_condition(test(one))
        .with_condition(test(two))
        .build()
}

fn two_streams() -> [StreamKey; 2] {
    let category = random::category();
    [random::stream_of(&category), random::stream_of(&category)]
}

fn is_empty(stream: &StreamKey) -> Test {
    Test::StreamIsEmpty(stream.clone())
}

fn is_at_0(stream: &StreamKey) -> Test {
    Test::PositionIs(stream.clone(), 0)
}

pub(super) async fn all_streams_empty_as_expected_are_written(store: TestStore) {
    let (log, streams) = (store.log().await, two_streams());
    let written = store.write(&log, &to_both(&streams, is_empty)).await;
    assert_eq!(positions(&written), [0, 1, 0, 1]);
    assert_eq!(store.stored(&log).await, written);
}

pub(super) async fn all_streams_at_the_expected_position_are_written(store: TestStore) {
    let (log, streams) = (store.log().await, two_streams());
    store.fill(&log, &streams[0], 1).await;
    store.fill(&log, &streams[1], 1).await;
    let written = store.write(&log, &to_both(&streams, is_at_0)).await;
    assert_eq!(positions(&written), [1, 2, 1, 2]);
}

pub(super) async fn one_stream_not_empty_fails_all(store: TestStore) {
    let (log, streams) = (store.log().await, two_streams());
    let before = store.fill(&log, &streams[1], 1).await;
    let outcome = store.publish(&log, &to_both(&streams, is_empty)).await;
    assert!(matches!(outcome, Err(Refusal::ConditionFailed { .. })), "{outcome:?}");
    assert_eq!(store.stored(&log).await, before);
}

pub(super) async fn one_stream_at_another_position_fails_all(store: TestStore) {
    let (log, streams) = (store.log().await, two_streams());
    store.fill(&log, &streams[0], 1).await;
    store.fill(&log, &streams[1], 2).await;
    let before: Vec<Event> = store.stored(&log).await;
    let outcome = store.publish(&log, &to_both(&streams, is_at_0)).await;
    assert!(matches!(outcome, Err(Refusal::ConditionFailed { .. })), "{outcome:?}");
    assert_eq!(store.stored(&log).await, before);
}

pub(super) async fn all_that_fails_is_told_in_written_order(store: TestStore) {
    let (log, stream, other) = (store.log().await, random::stream(), random::stream());
    store.fill(&log, &other, 1).await;
    let publish = PublishBuilder::random(&stream, 1)
        .with_condition(Test::PositionIs(stream.clone(), 4))
        .with_condition(Test::StreamIsEmpty(stream.clone()))
        .with_condition(Test::StreamIsEmpty(other.clone()))
        .build();
    let first = failed(&stream, "position_is", json!(4), None, None);
    let mut third = failed(&other, "stream_is_empty", json!(true), Some(0), Some(Since::Start));
    third.at = At::Body("/conditions/2".to_owned());
    let refusal = Refusal::ConditionFailed { failed: vec![first, third], position: None };
    assert_eq!(store.publish(&log, &publish).await, Err(refusal));
}

pub(super) async fn a_condition_may_be_on_a_stream_not_written_to(store: TestStore) {
    let (log, stream, other) = (store.log().await, random::stream(), random::stream());
    let exists = Test::StreamExists(other.clone());
    assert!(!holds(&store, &log, &stream, exists.clone()).await);
    store.fill(&log, &other, 1).await;
    assert!(holds(&store, &log, &stream, exists).await);
    assert!(holds(&store, &log, &stream, Test::PositionIs(other.clone(), 0)).await);
    assert!(!holds(&store, &log, &stream, Test::StreamIsEmpty(other)).await);
}

/// Children of a tree.
fn nest(tests: Vec<Test>) -> Vec<Condition> {
    let at = |index: usize| At::Body(format!("/conditions/0/{index}"));
    tests.into_iter().enumerate().map(|(index, test)| Condition { at: at(index), test }).collect()
}

fn not(test: Test) -> Test {
    Test::Not(Box::new(Condition { at: At::Body("/conditions/0/not".to_owned()), test }))
}

pub(super) async fn trees_of_conditions_hold_as_their_words_say(store: TestStore) {
    let (log, target, full) = (store.log().await, random::stream(), random::stream());
    store.fill(&log, &full, 1).await;
    let yes = || Test::StreamExists(full.clone());
    let no = || Test::StreamIsEmpty(full.clone());
    let (all, any) = (|t| Test::AllOf(nest(t)), |t| Test::AnyOf(nest(t)));
    for (test, expected) in [
        (all(vec![]), true),
        (all(vec![yes(), yes(), yes()]), true),
        (all(vec![no(), yes()]), false),
        (all(vec![yes(), no()]), false),
        (all(vec![no(), no()]), false),
        (any(vec![]), false),
        (any(vec![no(), yes()]), true),
        (any(vec![yes(), no()]), true),
        (any(vec![yes(), yes()]), true),
        (any(vec![no(), no()]), false),
        (not(yes()), false),
        (not(no()), true),
        (not(not(yes())), true),
        (not(all(vec![])), false),
        (not(any(vec![])), true),
        (all(vec![any(vec![no(), not(no())]), not(all(vec![yes(), no()]))]), true),
        (any(vec![all(vec![yes(), no()]), not(any(vec![no(), yes()]))]), false),
    ] {
        assert_eq!(holds(&store, &log, &target, test.clone()).await, expected, "{test:?}");
    }
}

pub(super) async fn a_failed_tree_tells_its_failed_leaves(store: TestStore) {
    let (log, stream, full) = (store.log().await, random::stream(), random::stream());
    store.fill(&log, &full, 1).await;
    let leaf = |index: usize, failed: FailedCondition| FailedCondition {
        at: At::Body(format!("/conditions/0/{index}")),
        ..failed
    };
    let any = Test::AnyOf(nest(vec![
        Test::StreamIsEmpty(full.clone()),
        Test::PositionIs(full.clone(), 3),
    ]));
    let first = failed(&full, "stream_is_empty", json!(true), Some(0), Some(Since::Start));
    let second = failed(&full, "position_is", json!(3), Some(0), None);
    let both = vec![leaf(0, first), leaf(1, second)];
    let refusal = Refusal::ConditionFailed { failed: both, position: None };
    assert_eq!(under(&store, &log, &stream, any).await, Err(refusal));

    let outcome = under(&store, &log, &stream, not(Test::StreamExists(full.clone()))).await;
    let expected = json!({ "stream_exists": true });
    assert_eq!(outcome, refused(failed(&full, "not", expected, Some(0), None), None));
}
