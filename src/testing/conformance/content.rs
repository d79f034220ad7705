//! Payloads, metadata and times come back exactly as they were written.

use super::store::{TestStore, of_stream, time};
use crate::{
    model::{Event, NewEvent, RawJson, Source, Timestamp},
    testing::{NewEventBuilder, PublishBuilder, WriteBuilder, random},
};

/// JSON texts that a parser and a printer between would change.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "null",
        "true",
        "0",
        "-0",
        "-0.0",
        "1e2",
        "1E+2",
        "1.10",
        "1.0e-7",
        "0.1e1",
        "12345678901234567890123",
        "9007199254740993",
        "-9223372036854775809",
        "3.141592653589793238462643383279502884",
        "1e400",
        "\"\"",
        r#""\u0000""#,
        r#""a\u0000b""#,
        r#""\u00e9é\/\b\f\n\r\t\"\\""#,
        r#""\ud83d\ude00😀""#,
        "\"\u{7f}\u{2028}\"",
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "[1 , 2,3 ]",
        r#"{"b":1,"a":2}"#,
        "{\"a\"\t:\t1}",
        r#"{"":{"":[]}}"#,
        r#"{"a":1e2,"b":1.10,"c":[1.0,1]}"#,
        r#"{"\u0061":1}"#,
        r#"{"constructor":1,"__proto__":2}"#,
        r#"["'","%","$1","?","--"]"#,
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    texts.push(format!("{}{}", "[".repeat(64), "]".repeat(64)));
    texts.push(format!("{}1{}", "{\"k\":".repeat(64), "}".repeat(64)));
    texts
}

pub(super) async fn json_comes_back_byte_for_byte(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let texts = texts();
    let mut news: Vec<NewEvent> = Vec::new();
    for (payload, metadata) in texts.iter().zip(texts.iter().rev()) {
        news.push(NewEventBuilder::new().with_payload(payload).with_metadata(metadata).build());
    }
    let write = news.iter().cloned().fold(WriteBuilder::to(&stream), WriteBuilder::with_event);
    store.write(&log, &PublishBuilder::new().with_write(write.build()).build()).await;
    let read = store.events(&log, &of_stream(&stream)).await;
    let payloads: Vec<&str> = read.iter().map(|event| event.payload.as_str()).collect();
    let metadata: Vec<&str> = read.iter().map(|event| event.metadata.as_str()).collect();
    assert_eq!(payloads, texts);
    assert_eq!(metadata, texts.iter().rev().collect::<Vec<_>>());
    assert_eq!(store.stored(&log).await, read);
}

pub(super) async fn a_mebibyte_comes_back_byte_for_byte(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let text = "0123456789abcdé\u{1f600}".repeat((1 << 20) / 20);
    let big = RawJson::checked(&format!("\"{}\"", &text));
    assert!(big.as_str().len() > 1_000_000, "{}", big.as_str().len());
    let event = NewEvent { payload: big.clone(), ..NewEventBuilder::new().build() };
    let ack = store.write(&log, &PublishBuilder::of(&stream, event).build()).await;
    let read = store.events(&log, &Source::Log).await;
    assert!(read == ack, "the event comes back as it was acknowledged");
    assert!(read.iter().all(|event| event.payload == big), "the payload comes back");
}

pub(super) async fn times_keep_their_microseconds_in_every_year(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let times: Vec<Timestamp> = [
        "0000-01-01T00:00:00Z",
        "0000-01-01T00:00:00.000001Z",
        "0000-12-31T23:59:59.999999Z",
        "0001-01-01T00:00:00Z",
        "1582-10-10T12:00:00.5Z",
        "1899-12-31T23:59:59.999999Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00Z",
        "1999-12-31T23:59:59.999999Z",
        "2000-02-29T12:00:00.123456Z",
        "2038-01-19T03:14:08.000001Z",
        "9999-12-31T23:59:59.999999Z",
    ]
    .map(time)
    .to_vec();
    let new = |(occurred, observed): (&Timestamp, &Timestamp)| {
        NewEventBuilder::new().with_occurred_at(*occurred).with_observed_at(*observed).build()
    };
    let news = times.iter().zip(times.iter().rev()).map(new);
    let write = news.fold(WriteBuilder::to(&stream), WriteBuilder::with_event).build();
    store.write(&log, &PublishBuilder::new().with_write(write).build()).await;
    let read = store.events(&log, &Source::Log).await;
    let part = |part: fn(&Event) -> Timestamp| read.iter().map(part).collect::<Vec<_>>();
    assert_eq!(part(|event| event.occurred_at), times);
    assert_eq!(part(|event| event.observed_at), times.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(store.stored(&log).await, read);
}

pub(super) async fn recorded_at_is_kept_in_every_year(store: TestStore) {
    for now in
        ["0000-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"]
    {
        let log = store.log().await;
        store.clock.set(time(now));
        let written = store.fill(&log, &random::stream(), 1).await;
        let read = store.events(&log, &Source::Log).await;
        assert_eq!(read, written);
        assert_eq!(read[0].recorded_at, time(now));
    }
}
