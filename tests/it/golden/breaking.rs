//! What was released stays: the document of today, held against that of the last release. When a release is made, the
//! document of that day is kept: `cp openapi/openapi.sdk.3.0.json openapi/released.json`.

use drift::{ChangeClass, compare};
use everlog::http::{Edition, document};
use serde_json::{Value, json};

use super::document::planted_in;

/// What breaks clients that were made from an earlier document.
fn breaks(earlier: &Value, later: &Value) -> Vec<String> {
    let changes = compare(earlier, later).expect("both are OpenAPI 3.0");
    let said = changes.into_iter().flat_map(|change| {
        let place = change.paths.first().map(|path| path.new.to_string()).unwrap_or_default();
        change.changes.into_iter().map(move |change| (place.clone(), change))
    });
    let harmless = [ChangeClass::Trivial, ChangeClass::ForwardIncompatible];
    let harmful = said.filter(|(_, change)| !harmless.contains(&change.class));
    harmful.map(|(place, change)| format!("{place}: {change:?}")).collect()
}

fn today() -> Value {
    serde_json::from_str(document(Edition::Sdk30)).expect("the document is JSON")
}

#[test]
fn nothing_breaks_the_clients_of_the_last_release() {
    let released = include_str!("../../../openapi/released.json");
    let released = serde_json::from_str(released).expect("the document is JSON");
    let faults = breaks(&released, &today());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The control: each of these breaks somebody.
#[test]
fn each_planted_break_is_caught() {
    let schema = |rest: &str| format!("/components/schemas/{rest}");
    let read = "/paths/~1v1~1logs~1{log}~1events/get";
    let gone = json!(null);
    let mut demanded =
        today().pointer(&format!("{read}/parameters")).cloned().expect("it has some");
    demanded.as_array_mut().expect("a list").push(
        json!({"name": "tenant", "in": "query", "required": true, "schema": {"type": "string"}}),
    );
    for (what, pointer, value) in [
        ("an operation is gone", read.to_owned(), gone.clone()),
        ("a member of an answer is gone", schema("Event/properties/position"), gone.clone()),
        (
            "a member of an answer is of another type",
            schema("Event/properties/name"),
            json!({"type": "integer"}),
        ),
        (
            "a member of a request is demanded",
            schema("EventInput/required"),
            json!(["name", "payload"]),
        ),
        ("a member of a request is gone", schema("EventInput/properties/metadata"), gone),
        ("a parameter is demanded", format!("{read}/parameters"), demanded),
        (
            "a request may be less long",
            schema("PublishToStream/properties/events/maxItems"),
            json!(1),
        ),
    ] {
        let later = planted_in(today(), &pointer, value);
        assert!(!breaks(&today(), &later).is_empty(), "{what} and nobody is told");
    }
    // And these nobody.
    let described = planted_in(today(), &schema("Event/description"), json!("Other words."));
    assert_eq!(breaks(&today(), &described), Vec::<String>::new());
}
