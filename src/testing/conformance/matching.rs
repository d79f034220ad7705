//! `no_event_matching`: a consistency boundary drawn by names and metadata instead of a stream.

use super::store::{TestStore, numbers, of_category, of_stream};
use crate::{
    model::{
        At, Condition, Event, EventName, Filter, Log, Matching, MetadataMatch, Ordering, Publish,
        Scalar, Source, StreamKey, Tags, Test, condition::Since, limits::CONDITION_EXAMINED_MAX,
    },
    storage::Refusal,
    testing::{NewEventBuilder, PublishBuilder, WriteBuilder, random},
};

fn named(names: &[&str]) -> Filter {
    Filter { names: names.iter().map(|n| EventName::stored(*n)).collect(), ..Filter::default() }
}

fn none(source: &Source, after: Option<i64>, filter: Filter) -> Test {
    Test::NoEventMatching(Matching { source: source.clone(), after, filter })
}

/// One event of this name to a stream.
async fn write(store: &TestStore, log: &Log, stream: &StreamKey, name: &str) -> Event {
    let event = NewEventBuilder::new().with_name(name).build();
    store.write(log, &PublishBuilder::of(stream, event).build()).await.remove(0)
}

/// The number of the event that stands against a write to a stream of its own, if one does.
async fn found(store: &TestStore, log: &Log, test: Test) -> Option<i64> {
    let never = Test::AnyOf(Vec::new());
    let publish = PublishBuilder::new().with_condition(test).with_condition(never).build();
    match store.publish(log, &publish).await {
        Err(Refusal::ConditionFailed { failed, .. }) if failed.len() == 1 => None,
        Err(Refusal::ConditionFailed { failed, .. }) => failed.first().and_then(|f| f.actual),
        other => unreachable!("an empty any_of never holds: {other:?}"),
    }
}

pub(super) async fn names_are_looked_for_in_the_source_named(store: TestStore) {
    let log = store.log().await;
    let one = random::stream();
    let (two, three) = (random::stream_of(&one.category), random::stream());
    for (stream, name) in [(&one, "a"), (&two, "b"), (&three, "c")] {
        write(&store, &log, stream, name).await;
    }
    for (source, name, expected) in [
        (Source::Log, "a", Some(1)),
        (Source::Log, "b", Some(2)),
        (Source::Log, "c", Some(3)),
        (Source::Log, "d", None),
        (of_category(&one), "b", Some(2)),
        (of_category(&one), "c", None),
        (of_stream(&one), "a", Some(1)),
        (of_stream(&one), "b", None),
        (of_stream(&random::stream()), "a", None),
    ] {
        let test = none(&source, None, named(&[name]));
        assert_eq!(found(&store, &log, test).await, expected, "{name} in {source:?}");
    }
    let any = none(&Source::Log, None, named(&["x", "c", "b"]));
    assert_eq!(found(&store, &log, any).await, Some(2), "the first that matches is told");
}

pub(super) async fn metadata_is_looked_for_by_type_and_text(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let event = NewEventBuilder::new().with_metadata(r#"{"id":"5","n":5}"#).build();
    store.write(&log, &PublishBuilder::of(&stream, event).build()).await;
    let filter = |members: &[(&str, Scalar)]| {
        let member = |(key, scalar): &(&str, Scalar)| MetadataMatch {
            key: (*key).to_owned(),
            any_of: vec![scalar.clone()],
        };
        Filter { metadata: members.iter().map(member).collect(), ..Filter::default() }
    };
    let (text, number) = (Scalar::Text("5".into()), Scalar::Literal("5".into()));
    for (members, expected) in [
        (vec![("id", text.clone())], Some(1)),
        (vec![("id", number.clone())], None),
        (vec![("n", number.clone())], Some(1)),
        (vec![("id", text.clone()), ("n", number)], Some(1)),
        (vec![("id", text.clone()), ("n", text.clone())], None),
        (vec![("other", text)], None),
    ] {
        let test = none(&Source::Log, None, filter(&members));
        assert_eq!(found(&store, &log, test).await, expected, "{members:?}");
    }
}

pub(super) async fn only_events_after_the_number_stand_against_it(store: TestStore) {
    let log = store.log().await;
    let stream = random::stream();
    write(&store, &log, &stream, "a").await;
    write(&store, &log, &random::stream(), "a").await;
    write(&store, &log, &stream, "a").await;
    for (after, in_log, in_stream) in [
        (None, Some(1), Some(1)),
        (Some(0), Some(1), Some(1)),
        (Some(1), Some(2), Some(3)),
        (Some(2), Some(3), Some(3)),
        (Some(3), None, None),
        (Some(99), None, None),
    ] {
        let test = |source: &Source| none(source, after, named(&["a"]));
        assert_eq!(found(&store, &log, test(&Source::Log)).await, in_log, "after {after:?}");
        let source = of_stream(&stream);
        assert_eq!(found(&store, &log, test(&source)).await, in_stream, "after {after:?}");
        let source = of_category(&stream);
        assert_eq!(found(&store, &log, test(&source)).await, in_stream, "after {after:?}");
    }
}

pub(super) async fn predecessors_in_the_batch_stand_against_it(store: TestStore) {
    for lanes in [(Ordering::Log, 1), (Ordering::Stream, 4)] {
        let log = store.log_with(lanes.0, lanes.1).await;
        let category = random::category();
        let claim = || {
            let stream = random::stream_of(&category);
            let event = NewEventBuilder::new().with_name("claimed").build();
            let source = of_category(&stream);
            PublishBuilder::of(&stream, event)
                .with_condition(none(&source, None, named(&["claimed"])))
                .build()
        };
        let outcomes = store.append(&log, &[claim(), claim(), claim()]).await;
        let won: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
        assert_eq!(won, [true, false, false], "{lanes:?}");
        assert_eq!(store.stored(&log).await.len(), 1);
    }
}

pub(super) async fn every_lane_of_the_source_is_looked_through(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 4).await;
    let category = random::category();
    for index in 0..12 {
        let name = format!("event-{index}");
        let event = write(&store, &log, &random::stream_of(&category), &name).await;
        let test = none(&Source::Category(category.clone()), None, named(&[&name]));
        assert_eq!(found(&store, &log, test).await, Some(event.sequence_number));
        let test = none(&Source::Log, None, named(&[&name]));
        assert_eq!(found(&store, &log, test).await, Some(event.sequence_number));
    }
}

pub(super) async fn a_match_is_told_with_the_place_to_read_from(store: TestStore) {
    let log = store.log().await;
    store.fill(&log, &random::stream(), 3).await;
    let test = none(&Source::Log, Some(1), Filter::default());
    let publish = PublishBuilder::new().with_condition(test).build();
    match store.publish(&log, &publish).await {
        Err(Refusal::ConditionFailed { failed, position: None }) => {
            let told: Vec<_> = failed.iter().map(|f| (f.condition, f.actual, f.since)).collect();
            let since = Some(Since::SequenceNumber(1));
            assert_eq!(told, [("no_event_matching", Some(2), since)]);
        }
        other => unreachable!("an event stands against it: {other:?}"),
    }
}

pub(super) async fn it_stands_in_trees_as_well(store: TestStore) {
    let log = store.log().await;
    write(&store, &log, &random::stream(), "a").await;
    let leaf = |index: usize, name: &str| Condition {
        at: At::Body(format!("/conditions/0/any_of/{index}")),
        test: none(&Source::Log, None, named(&[name])),
    };
    let under = |leaves| PublishBuilder::new().with_condition(Test::AnyOf(leaves)).build();
    let outcome = store.publish(&log, &under(vec![leaf(0, "a"), leaf(1, "b")])).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    let outcome = store.publish(&log, &under(vec![leaf(0, "a"), leaf(1, "a")])).await;
    assert!(matches!(outcome, Err(Refusal::ConditionFailed { .. })), "{outcome:?}");
}

/// A publish of so many small events.
fn many(stream: &StreamKey, count: usize) -> Publish {
    let small = |_| NewEventBuilder::new().with_name("small").with_payload("1").with_metadata("{}");
    let events = (0..count).map(small).map(NewEventBuilder::build);
    let write = events.fold(WriteBuilder::to(stream), WriteBuilder::with_event).build();
    PublishBuilder::new().with_write(write).build()
}

pub(super) async fn too_many_events_to_examine_are_refused(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let half = CONDITION_EXAMINED_MAX / 2;
    store.write(&log, &many(&stream, half)).await;
    store.write(&log, &many(&stream, half)).await;
    let absent = |after| none(&Source::Log, after, named(&["absent"]));
    assert_eq!(found(&store, &log, absent(None)).await, None, "as many as may be examined");
    let last = write(&store, &log, &stream, "last").await;
    let broad = PublishBuilder::new().with_condition(absent(None)).build();
    let outcome = store.publish(&log, &broad).await;
    let pointer = "/conditions/0".to_owned();
    assert_eq!(outcome, Err(Refusal::ConditionTooBroad { pointer }));
    let tags = Tags { any: false, numbers: vec![7], others: Vec::new(), weak: false };
    let header = Condition {
        at: At::Header("If-Match"),
        test: Test::IfMatch(of_stream(&random::stream()), tags),
    };
    let mut headed = broad.clone();
    headed.conditions.insert(0, header);
    let outcome = store.publish(&log, &headed).await;
    let told =
        matches!(&outcome, Err(Refusal::ConditionFailed { failed, .. }) if failed.len() == 1);
    assert!(told, "a false header is told whatever the body says: {outcome:?}");
    assert_eq!(found(&store, &log, absent(Some(1))).await, None, "one fewer is to be examined");
    assert_eq!(numbers(&store.fill(&log, &stream, 1).await), [last.sequence_number + 1]);
}
