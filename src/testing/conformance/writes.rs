//! What a publish stores: values, positions, numbers, times; all of it or nothing.

use super::store::{TestStore, events_of, numbers, of_stream, positions, time};
use crate::{
    model::{Clock, Event, NewEvent, RawJson, Source, StreamKey, Test, Timestamp},
    storage::Refusal,
    testing::{NewEventBuilder, PublishBuilder, WriteBuilder, random},
};

/// The event that a store makes of a new one.
fn stored(new: &NewEvent, stream: &StreamKey, place: (i64, i64), now: Timestamp) -> Event {
    let observed_at = new.observed_at.unwrap_or(now);
    Event {
        id: new.id,
        name: new.name.clone(),
        payload: new.payload.clone(),
        metadata: new.metadata.clone(),
        occurred_at: new.occurred_at.unwrap_or(observed_at),
        observed_at,
        recorded_at: now,
        stream: stream.clone(),
        position: place.0,
        sequence_number: place.1,
    }
}

pub(super) async fn one_event_comes_back_as_written(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let new = NewEventBuilder::new()
        .with_occurred_at(time("2001-02-03T04:05:06.789012Z"))
        .with_observed_at(time("2002-02-03T04:05:06.000001Z"))
        .build();
    let expected = vec![stored(&new, &stream, (0, 1), store.clock.now())];
    let publish = PublishBuilder::of(&stream, new).build();
    assert_eq!(store.write(&log, &publish).await, expected);
    assert_eq!(store.events(&log, &of_stream(&stream)).await, expected);
    assert_eq!(store.stored(&log).await, expected);
}

pub(super) async fn several_events_take_the_next_positions(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let news = [NewEventBuilder::new().build(), NewEventBuilder::new().build()];
    let write = news.iter().cloned().fold(WriteBuilder::to(&stream), WriteBuilder::with_event);
    let publish = PublishBuilder::new().with_write(write.build()).build();
    let now = store.clock.now();
    let expected: Vec<Event> = news
        .iter()
        .zip([(0, 1), (1, 2)])
        .map(|(n, place)| stored(n, &stream, place, now))
        .collect();
    assert_eq!(store.write(&log, &publish).await, expected);
    assert_eq!(store.events(&log, &of_stream(&stream)).await, expected);
}

pub(super) async fn a_later_publish_goes_on_where_the_stream_ended(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let mut written = store.fill(&log, &stream, 1).await;
    written.extend(store.fill(&log, &stream, 2).await);
    assert_eq!(positions(&written), [0, 1, 2]);
    assert_eq!(numbers(&written), [1, 2, 3]);
    assert_eq!(store.events(&log, &of_stream(&stream)).await, written);
}

/// Writes one event with this metadata and gives back what is read.
async fn metadata_read_back(store: &TestStore, metadata: &RawJson) -> Vec<RawJson> {
    let (log, stream) = (store.log().await, random::stream());
    let new = NewEventBuilder::new().with_metadata(metadata.as_str()).build();
    store.write(&log, &PublishBuilder::of(&stream, new).build()).await;
    let events = store.events(&log, &of_stream(&stream)).await;
    events.into_iter().map(|event| event.metadata).collect()
}

pub(super) async fn metadata_left_out_is_null(store: TestStore) {
    assert_eq!(metadata_read_back(&store, &RawJson::null()).await, [RawJson::null()]);
}

pub(super) async fn empty_metadata_stays_an_empty_object(store: TestStore) {
    let empty = RawJson::checked("{}");
    assert_eq!(metadata_read_back(&store, &empty).await, [empty]);
}

pub(super) async fn streams_of_one_publish_have_their_own_positions(store: TestStore) {
    let (log, category) = (store.log().await, random::category());
    let (one, two) = (random::stream_of(&category), random::stream_of(&category));
    store.fill(&log, &two, 1).await;
    let publish = PublishBuilder::new()
        .with_write(WriteBuilder::to(&one).with_random_events(2).build())
        .with_write(WriteBuilder::to(&two).with_random_events(2).build())
        .build();
    let ack = store.publish(&log, &publish).await.expect("nothing stands against it");
    let told: Vec<(&StreamKey, Vec<i64>)> =
        ack.writes.iter().map(|write| (&write.stream, positions(&write.events))).collect();
    assert_eq!(told, [(&one, vec![0, 1]), (&two, vec![1, 2])]);
    let one_read = store.events(&log, &of_stream(&one)).await;
    let two_read = store.events(&log, &of_stream(&two)).await;
    assert_eq!(one_read, ack.writes[0].events);
    assert_eq!(two_read[1..], ack.writes[1].events);
}

pub(super) async fn a_failed_condition_writes_nothing_to_any_stream(store: TestStore) {
    let (log, category) = (store.log().await, random::category());
    let (one, two) = (random::stream_of(&category), random::stream_of(&category));
    let before = store.fill(&log, &two, 1).await;
    let publish = PublishBuilder::new()
        .with_write(WriteBuilder::to(&one).build())
        .with_write(WriteBuilder::to(&two).build())
        .with_condition(Test::StreamIsEmpty(one.clone()))
        .with_condition(Test::StreamIsEmpty(two.clone()))
        .build();
    let outcome = store.publish(&log, &publish).await;
    assert!(matches!(outcome, Err(Refusal::ConditionFailed { .. })), "{outcome:?}");
    assert_eq!(store.stored(&log).await, before);
    assert_eq!(store.events(&log, &of_stream(&one)).await, []);
    assert_eq!(numbers(&store.fill(&log, &one, 1).await), [2], "no number was used");
}

pub(super) async fn streams_of_many_categories_are_written_in_request_order(store: TestStore) {
    let log = store.log().await;
    let streams: Vec<StreamKey> = (0..4).map(|_| random::stream()).collect();
    let writes = streams.iter().map(|key| WriteBuilder::to(key).with_random_events(2).build());
    let publish = writes.fold(PublishBuilder::new(), PublishBuilder::with_write).build();
    let written = store.write(&log, &publish).await;
    assert_eq!(numbers(&written), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(positions(&written), [0, 1, 0, 1, 0, 1, 0, 1]);
    assert_eq!(store.events(&log, &Source::Log).await, written);
    let order: Vec<StreamKey> = written.iter().step_by(2).map(|e| e.stream.clone()).collect();
    assert_eq!(order, streams);
}

pub(super) async fn a_refused_publish_spares_its_neighbours_and_takes_no_number(store: TestStore) {
    let log = store.log().await;
    let streams: Vec<StreamKey> = (0..3).map(|_| random::stream()).collect();
    let batch = [
        PublishBuilder::random(&streams[0], 1).build(),
        PublishBuilder::random(&streams[1], 3)
            .with_condition(Test::StreamExists(streams[1].clone()))
            .build(),
        PublishBuilder::random(&streams[2], 1).build(),
    ];
    let outcomes = store.append(&log, &batch).await;
    assert!(matches!(outcomes[1], Err(Refusal::ConditionFailed { .. })), "{outcomes:?}");
    let written: Vec<Event> = outcomes.iter().flatten().flat_map(events_of).collect();
    assert_eq!(numbers(&written), [1, 2]);
    assert_eq!(store.stored(&log).await, written);
    assert_eq!(numbers(&store.fill(&log, &streams[1], 1).await), [3]);
}

pub(super) async fn publishes_of_a_batch_see_their_predecessors(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let at = |position| {
        PublishBuilder::random(&stream, 1)
            .with_condition(Test::PositionIs(stream.clone(), position))
            .build()
    };
    let first = PublishBuilder::random(&stream, 1)
        .with_condition(Test::StreamIsEmpty(stream.clone()))
        .build();
    let outcomes = store.append(&log, &[first, at(0), at(0), at(1)]).await;
    let won: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(won, [true, true, false, true]);
    assert_eq!(positions(&store.events(&log, &of_stream(&stream)).await), [0, 1, 2]);
}

pub(super) async fn an_empty_batch_writes_nothing(store: TestStore) {
    let log = store.log().await;
    assert_eq!(store.append(&log, &[]).await, []);
    assert_eq!(store.stored(&log).await, []);
}

pub(super) async fn a_thousand_streams_fit_one_publish(store: TestStore) {
    let (log, category) = (store.log().await, random::category());
    let writes = (0..1_000).map(|_| WriteBuilder::to(&random::stream_of(&category)).build());
    let publish = writes.fold(PublishBuilder::new(), PublishBuilder::with_write).build();
    let written = store.write(&log, &publish).await;
    assert_eq!(numbers(&written), (1..=1_000).collect::<Vec<i64>>());
    assert_eq!(store.stored(&log).await, written);
}

pub(super) async fn times_that_are_not_stated_are_the_clocks(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let observed = time("1999-12-31T23:59:59.999999Z");
    let now = store.clock.advance(5);
    let news = [
        NewEventBuilder::new().build(),
        NewEventBuilder::new().with_observed_at(observed).build(),
        NewEventBuilder::new().with_occurred_at(observed).build(),
    ];
    let write = news.iter().cloned().fold(WriteBuilder::to(&stream), WriteBuilder::with_event);
    store.write(&log, &PublishBuilder::new().with_write(write.build()).build()).await;
    let read = store.events(&log, &of_stream(&stream)).await;
    let times: Vec<_> =
        read.iter().map(|e| (e.occurred_at, e.observed_at, e.recorded_at)).collect();
    assert_eq!(times, [(now, now, now), (observed, observed, now), (observed, now, now)]);
}

pub(super) async fn a_clock_that_goes_back_does_not_take_recorded_at_along(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let first = store.clock.now();
    store.fill(&log, &stream, 1).await;
    store.clock.advance(-3_600_000_000);
    store.fill(&log, &random::stream(), 1).await;
    store.clock.set(first);
    let later = store.clock.advance(1);
    store.fill(&log, &stream, 1).await;
    let read = store.events(&log, &Source::Log).await;
    let recorded: Vec<Timestamp> = read.iter().map(|event| event.recorded_at).collect();
    assert_eq!(recorded, [first, first, later]);
}
