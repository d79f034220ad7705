//! Cursors: bounds of a scan, the end of a source, and a history that is not the one they point at.

use super::store::{TestStore, numbers, of_category, of_stream, positions};
use crate::{
    model::{Cursor, Direction, Event, Limits, Log, Ordering, Place, Scan, Source},
    storage::scan::ScanError,
    testing::random,
};

fn bare(n: i64) -> Cursor {
    Cursor::Number(Place { n, check: None })
}

/// The cursor that we hand out for this event of a one-lane log.
fn at(event: &Event) -> Cursor {
    Cursor::Number(Place { n: event.sequence_number, check: Some(event.check()) })
}

fn at_position(event: &Event) -> Cursor {
    Cursor::Number(Place { n: event.position, check: Some(event.check()) })
}

fn after(cursor: Cursor) -> Scan {
    Scan { after: Some(cursor), ..Scan::first(100) }
}

async fn refused(store: &TestStore, log: &Log, source: &Source, ask: &Scan) -> ScanError {
    let answer = store.try_scan(log, source, ask, &Limits::default()).await;
    answer.expect_err("the scan is refused")
}

pub(super) async fn after_and_before_bound_a_scan_both_ways(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    store.fill(&log, &stream, 9).await;
    for (after, before, expected) in [
        (None, None, 1..10),
        (Some(2), None, 3..10),
        (None, Some(5), 1..5),
        (Some(2), Some(5), 3..5),
        (Some(4), Some(5), 5..5),
        (Some(7), Some(3), 5..5),
        (Some(0), Some(99), 1..10),
    ] {
        let mut expected: Vec<i64> = expected.collect();
        for direction in [Direction::Forwards, Direction::Backwards] {
            let ask = Scan {
                after: after.map(bare),
                before: before.map(bare),
                direction,
                ..Scan::first(100)
            };
            let page = store.scan(&log, &Source::Log, &ask).await;
            assert_eq!(numbers(&page.events), expected, "{ask:?}");
            assert!(page.at_end);
            let page = store.scan(&log, &of_category(&stream), &ask).await;
            assert_eq!(numbers(&page.events), expected, "{ask:?}");
            expected.reverse();
        }
    }
}

pub(super) async fn positions_bound_a_scan_of_a_stream(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    store.fill(&log, &random::stream(), 3).await;
    store.fill(&log, &stream, 5).await;
    let ask = |direction| Scan {
        after: Some(bare(0)),
        before: Some(bare(4)),
        direction,
        ..Scan::first(100)
    };
    let page = store.scan(&log, &of_stream(&stream), &ask(Direction::Forwards)).await;
    assert_eq!(positions(&page.events), [1, 2, 3]);
    let page = store.scan(&log, &of_stream(&stream), &ask(Direction::Backwards)).await;
    assert_eq!(positions(&page.events), [3, 2, 1]);
}

pub(super) async fn a_stream_is_read_after_a_sequence_number(store: TestStore) {
    for lanes in [(Ordering::Log, 1), (Ordering::Stream, 3)] {
        let log = store.log_with(lanes.0, lanes.1).await;
        let (stream, other) = (random::stream(), random::stream());
        for count in [1, 2, 3] {
            store.fill(&log, &other, count).await;
            store.fill(&log, &stream, count).await;
        }
        let source = of_stream(&stream);
        let own = store.events(&log, &source).await;
        let last = store.stored(&log).await.last().map_or(0, |event| event.sequence_number);
        for number in 0..=last + 1 {
            for direction in [Direction::Forwards, Direction::Backwards] {
                let ask =
                    Scan { after_sequence_number: Some(number), direction, ..Scan::first(100) };
                let mut expected = own.clone();
                expected.retain(|event| event.sequence_number > number);
                if direction == Direction::Backwards {
                    expected.reverse();
                }
                let page = store.scan(&log, &source, &ask).await;
                assert_eq!(page.events, expected, "{lanes:?} after {number} {direction:?}");
            }
        }
    }
}

pub(super) async fn pages_tell_where_the_source_ends(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let empty = store.scan(&log, &Source::Log, &Scan::first(5)).await;
    assert_eq!((empty.cursor, empty.high_water, empty.at_end), (None, None, true));
    let own = store.fill(&log, &stream, 3).await;
    let other = store.fill(&log, &random::stream(), 1).await;
    for (source, last, all) in [
        (Source::Log, at(&other[0]), 4),
        (of_category(&stream), at(&own[2]), 3),
        (of_stream(&stream), at_position(&own[2]), 3),
    ] {
        assert_eq!(store.high_water(&log, &source).await.as_ref(), Some(&last));
        for limit in 1..=all + 1 {
            for direction in [Direction::Forwards, Direction::Backwards] {
                let ask = Scan { direction, ..Scan::first(limit) };
                let page = store.scan(&log, &source, &ask).await;
                assert_eq!(page.high_water.as_ref(), Some(&last), "{source:?} by {limit}");
                assert_eq!(page.at_end, limit >= all, "{source:?} by {limit}");
            }
        }
    }
}

pub(super) async fn a_page_at_the_end_is_empty_and_knows_the_end(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let last = store.fill(&log, &stream, 3).await.remove(2);
    // A bare number is answered with the check of its event, where there is one.
    for (cursor, answer) in [
        (at(&last), at(&last)),
        (bare(3), at(&last)),
        (bare(4), bare(4)),
        (bare(1_000_000), bare(1_000_000)),
    ] {
        let page = store.scan(&log, &Source::Log, &after(cursor)).await;
        let told = (page.events, page.cursor, page.high_water, page.at_end);
        assert_eq!(told, (vec![], Some(answer), Some(at(&last)), true));
    }
}

pub(super) async fn a_cursor_of_another_history_is_refused(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let events = store.fill(&log, &stream, 3).await;
    let (first, last) = (&events[0], &events[2]);
    let wrong = |n: i64, event: &Event| Cursor::Number(Place { n, check: Some(event.check() ^ 1) });
    for (source, end, of_another, lost) in [
        (Source::Log, at(last), wrong(1, first), wrong(4, last)),
        (of_category(&stream), at(last), wrong(1, first), wrong(4, last)),
        (of_stream(&stream), at_position(last), wrong(0, first), wrong(3, last)),
    ] {
        for cursor in [of_another, lost] {
            let before = Scan { before: Some(cursor.clone()), ..Scan::first(100) };
            for ask in [after(cursor), before] {
                match refused(&store, &log, &source, &ask).await {
                    ScanError::Diverged { high_water } => {
                        assert_eq!(high_water.as_ref(), Some(&end), "{ask:?}");
                    }
                    other => unreachable!("the cursor has diverged: {other:?}"),
                }
            }
        }
    }
}

pub(super) async fn a_cursor_of_the_log_is_a_place_in_its_categories(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let mut own = store.fill(&log, &stream, 2).await;
    let other = store.fill(&log, &random::stream(), 1).await;
    own.extend(store.fill(&log, &stream, 2).await);
    let page = store.scan(&log, &of_category(&stream), &after(at(&other[0]))).await;
    assert_eq!(page.events, own[2..]);
}

pub(super) async fn several_lanes_need_a_cursor_that_we_handed_out(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 3).await;
    let stream = random::stream();
    store.fill(&log, &stream, 2).await;
    for source in [Source::Log, of_category(&stream)] {
        let before = Scan { before: Some(bare(1)), ..Scan::first(100) };
        let by_number = Scan { after_sequence_number: Some(1), ..Scan::first(100) };
        for ask in [after(bare(1)), before, by_number] {
            let error = refused(&store, &log, &source, &ask).await;
            assert!(matches!(error, ScanError::CursorRequired), "{error:?}");
        }
    }
    let vector = |lanes| Cursor::Vector(vec![Place { n: 0, check: None }; lanes]);
    for (source, lanes) in
        [(of_stream(&stream), 1), (of_stream(&stream), 3), (Source::Log, 2), (Source::Log, 4)]
    {
        let error = refused(&store, &log, &source, &after(vector(lanes))).await;
        assert!(matches!(error, ScanError::CursorOfAnother), "{source:?}: {error:?}");
    }
    let page = store.scan(&log, &Source::Log, &after(vector(3))).await;
    assert_eq!(page.events, store.stored(&log).await);
}

pub(super) async fn a_vector_of_another_history_is_refused(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 3).await;
    for _ in 0..9 {
        store.fill(&log, &random::stream(), 1).await;
    }
    let end = store.scan(&log, &Source::Log, &Scan::first(100)).await.cursor;
    let Some(Cursor::Vector(places)) = end.clone() else {
        unreachable!("a log of three lanes has vectors: {end:?}")
    };
    assert_eq!(store.high_water(&log, &Source::Log).await, end);
    for lane in 0..places.len() {
        let mut other = places.clone();
        other[lane].n += 1;
        other[lane].check = Some(7);
        match refused(&store, &log, &Source::Log, &after(Cursor::Vector(other))).await {
            ScanError::Diverged { high_water } => assert_eq!(high_water, end, "lane {lane}"),
            other => unreachable!("the cursor has diverged: {other:?}"),
        }
    }
}

pub(super) async fn one_stream_has_numbers_for_cursors_at_any_ordering(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 8).await;
    let stream = random::stream();
    let events = store.fill(&log, &stream, 4).await;
    let page = store.scan(&log, &of_stream(&stream), &Scan::first(2)).await;
    assert_eq!(page.cursor, Some(at_position(&events[1])));
    let page = store.scan(&log, &of_stream(&stream), &after(bare(1))).await;
    assert_eq!(page.events, events[2..]);
    assert_eq!(page.high_water, Some(at_position(&events[3])));
}

pub(super) async fn the_end_of_a_category_is_its_own_after_a_cursor_of_the_log(store: TestStore) {
    for (ordering, count) in [(Ordering::Log, 1), (Ordering::Stream, 3)] {
        let log = store.log_with(ordering, count).await;
        let (category, other) = (random::category(), random::category());
        for category in [&category, &other] {
            for _ in 0..9 {
                store.fill(&log, &random::stream_of(category), 1).await;
            }
        }
        let end = store.high_water(&log, &Source::Log).await.expect("the log has events");
        let last = store.fill(&log, &random::stream_of(&category), 1).await;
        let source = Source::Category(category);
        let page = store.scan(&log, &source, &after(end)).await;
        assert_eq!(page.events, last);
        assert_eq!(page.high_water, store.high_water(&log, &source).await);
    }
}
