//! Publishing the same again: found by the events' ids, answered with what is stored, for ever.

use super::store::{TestStore, events_of, numbers, time};
use crate::{
    model::{Ack, IdOrigin, Log, NewEvent, Ordering, Publish, RawJson, StreamKey, Test},
    storage::{Outcome, Refusal},
    testing::{NewEventBuilder, PublishBuilder, WriteBuilder, random},
};

fn news(count: usize) -> Vec<NewEvent> {
    (0..count).map(|_| NewEventBuilder::new().build()).collect()
}

fn publish(stream: &StreamKey, events: &[NewEvent]) -> Publish {
    let write = events.iter().cloned().fold(WriteBuilder::to(stream), WriteBuilder::with_event);
    PublishBuilder::new().with_write(write.build()).build()
}

/// Publishes what must not be written, and gives the answer.
async fn again(store: &TestStore, log: &Log, publish: &Publish) -> Outcome {
    let before = store.stored(log).await;
    let outcome = store.publish(log, publish).await;
    assert_eq!(store.stored(log).await, before, "nothing is written: {outcome:?}");
    outcome
}

fn conflict(event: &NewEvent) -> Outcome {
    Err(Refusal::IdConflict(event.id))
}

pub(super) async fn the_same_again_gets_the_original_answer(store: TestStore) {
    for lanes in [(Ordering::Log, 1), (Ordering::Stream, 4)] {
        let log = store.log_with(lanes.0, lanes.1).await;
        let (one, two) = (random::stream(), random::stream());
        let publish = PublishBuilder::new()
            .with_write(WriteBuilder::to(&one).with_random_events(2).build())
            .with_write(WriteBuilder::to(&two).with_random_events(1).build())
            .build();
        let original = store.publish(&log, &publish).await.expect("it is new");
        store.fill(&log, &one, 2).await;
        store.clock.advance(1_000_000);
        let replayed = again(&store, &log, &publish).await;
        assert_eq!(replayed, Ok(Ack { replayed: true, ..original }));
        store.clock.advance(-1_000_000);
    }
}

pub(super) async fn the_same_twice_in_one_batch_is_written_once(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let publish = publish(&stream, &news(2));
    let mut outcomes = store.append(&log, &[publish.clone(), publish]).await;
    let second = outcomes.remove(1).expect("the second is a replay");
    let first = outcomes.remove(0).expect("the first is new");
    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!(first.writes, second.writes);
    assert_eq!(store.stored(&log).await, events_of(&first));
}

pub(super) async fn replay_is_looked_up_before_conditions(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let publish = PublishBuilder::random(&stream, 1)
        .with_condition(Test::StreamIsEmpty(stream.clone()))
        .build();
    let original = store.publish(&log, &publish).await.expect("the stream is empty");
    let replayed = again(&store, &log, &publish).await;
    assert_eq!(replayed, Ok(Ack { replayed: true, ..original }));
}

pub(super) async fn json_is_the_same_whatever_the_order_of_its_members(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let event = NewEventBuilder::new()
        .with_payload(r#"{"a":[1,{"x":1e2,"y":"é"}],"b":null}"#)
        .with_metadata(r#"{"p":true,"q":1.10}"#)
        .build();
    let original = store.publish(&log, &publish(&stream, std::slice::from_ref(&event))).await;
    let spelled = NewEvent {
        payload: RawJson::checked(r#"{ "b" : null, "a" : [1, {"y":"\u00e9", "x":1e2}] }"#),
        metadata: RawJson::checked(r#"{"q":1.10,"p":true}"#),
        ..event.clone()
    };
    let original = original.expect("it is new");
    let replayed = again(&store, &log, &publish(&stream, &[spelled])).await;
    assert_eq!(replayed, Ok(Ack { replayed: true, ..original }));
    for payload in [
        r#"{"a":[1,{"x":100,"y":"é"}],"b":null}"#,
        r#"{"a":[{"x":1e2,"y":"é"},1],"b":null}"#,
        r#"{"a":[1,{"x":1e2,"y":"é"}]}"#,
    ] {
        let other = NewEvent { payload: RawJson::checked(payload), ..event.clone() };
        assert_eq!(again(&store, &log, &publish(&stream, &[other])).await, conflict(&event));
    }
}

pub(super) async fn other_content_under_an_id_is_a_conflict(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let events = news(1);
    let event = &events[0];
    store.write(&log, &publish(&stream, &events)).await;
    for other in [
        NewEvent { name: random::event_name(), ..event.clone() },
        NewEvent { payload: random::object(), ..event.clone() },
        NewEvent { metadata: random::object(), ..event.clone() },
        NewEvent { metadata: RawJson::null(), ..event.clone() },
    ] {
        assert_eq!(again(&store, &log, &publish(&stream, &[other])).await, conflict(event));
    }
}

pub(super) async fn another_stream_is_a_conflict(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let events = news(1);
    store.write(&log, &publish(&stream, &events)).await;
    let sibling = random::stream_of(&stream.category);
    let namesake = StreamKey { category: random::category(), ..stream.clone() };
    for other in [sibling, namesake] {
        let outcome = again(&store, &log, &publish(&other, &events)).await;
        assert_eq!(outcome, conflict(&events[0]));
    }
}

pub(super) async fn an_id_is_found_in_whatever_lane_it_is(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 8).await;
    let events = news(1);
    store.write(&log, &publish(&random::stream(), &events)).await;
    for _ in 0..12 {
        let outcome = again(&store, &log, &publish(&random::stream(), &events)).await;
        assert_eq!(outcome, conflict(&events[0]));
    }
}

pub(super) async fn a_partial_overlap_is_a_conflict(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let events = news(3);
    store.write(&log, &publish(&stream, &events[..2])).await;
    let outcome = again(&store, &log, &publish(&stream, &events)).await;
    assert_eq!(outcome, conflict(&events[0]), "stored first, new last");
    let outcome = again(&store, &log, &publish(&stream, &events[1..])).await;
    assert_eq!(outcome, conflict(&events[1]));
    let fresh_first = [&events[2..], &events[..1]].concat();
    let outcome = again(&store, &log, &publish(&stream, &fresh_first)).await;
    assert_eq!(outcome, conflict(&events[0]), "new first, stored last");
    assert_eq!(numbers(&store.write(&log, &publish(&stream, &events[2..])).await), [3]);
}

pub(super) async fn ids_that_are_not_consecutive_are_a_conflict(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let events = news(3);
    store.write(&log, &publish(&stream, &events)).await;
    for order in [[0, 2], [1, 0], [2, 1]] {
        let picked: Vec<NewEvent> = order.iter().map(|index| events[*index].clone()).collect();
        let outcome = again(&store, &log, &publish(&stream, &picked)).await;
        assert_eq!(outcome, conflict(&picked[0]), "{order:?}");
    }
    let part = again(&store, &log, &publish(&stream, &events[1..])).await;
    let ack = part.expect("consecutive ids are the same again");
    assert!(ack.replayed);
    assert_eq!(numbers(&events_of(&ack)), [2, 3]);
}

pub(super) async fn times_are_compared_only_if_they_are_stated(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let stated = time("2020-01-01T00:00:00Z");
    let event = NewEvent { occurred_at: Some(stated), ..NewEventBuilder::new().build() };
    store.write(&log, &publish(&stream, std::slice::from_ref(&event))).await;
    let observed = store.stored(&log).await[0].observed_at;
    let other = time("2020-01-01T00:00:00.000001Z");
    for (occurred_at, observed_at, same) in [
        (Some(stated), None, true),
        (None, None, true),
        (None, Some(observed), true),
        (Some(other), None, false),
        (Some(stated), Some(other), false),
    ] {
        let retry = NewEvent { occurred_at, observed_at, ..event.clone() };
        let outcome = again(&store, &log, &publish(&stream, &[retry])).await;
        assert_eq!(outcome.is_ok(), same, "{occurred_at:?} {observed_at:?}");
    }
}

/// A publish under an `Idempotency-Key` that gives these ids; the last id is of no event.
fn keyed(stream: &StreamKey, ids: &[uuid::Uuid], like: &[NewEvent]) -> Publish {
    let new = |(id, event): (&uuid::Uuid, &NewEvent)| NewEvent {
        id: *id,
        id_origin: IdOrigin::Keyed,
        ..event.clone()
    };
    let events: Vec<NewEvent> = ids.iter().zip(like).map(new).collect();
    Publish { next_keyed_id: ids.get(events.len()).copied(), ..publish(stream, &events) }
}

pub(super) async fn a_key_answers_the_same_request_alone(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let ids: Vec<_> = (0..5).map(|_| random::id()).collect();
    let like = news(4);
    let original = store.publish(&log, &keyed(&stream, &ids, &like[..2])).await;
    let original = original.expect("the key is new");
    let replayed = again(&store, &log, &keyed(&stream, &ids, &like[..2])).await;
    assert_eq!(replayed, Ok(Ack { replayed: true, ..original }));
    for (what, other) in [
        ("longer", keyed(&stream, &ids, &like[..3])),
        ("shorter", keyed(&stream, &ids, &like[..1])),
        ("other content", keyed(&stream, &ids, &like[2..])),
        ("another stream", keyed(&random::stream(), &ids, &like[..2])),
    ] {
        assert_eq!(again(&store, &log, &other).await, Err(Refusal::KeyReused), "{what}");
    }
}

pub(super) async fn an_id_is_known_only_in_its_log(store: TestStore) {
    let (one, two) = (store.log().await, store.log().await);
    let publish = PublishBuilder::random(&random::stream(), 2).build();
    let written = store.write(&one, &publish).await;
    assert_eq!(store.write(&two, &publish).await, written);
}
