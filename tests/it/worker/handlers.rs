//! What handlers are given and what becomes of what they give.

use crate::support::workers::Shop;

fn counting(handler: &str) -> String {
    format!(
        "export default {{source: {{log: true}}, initial_state: {{n: 0}}, handlers: {{ e: {handler} }} }};"
    )
}

const EVENT: (&str, &str) = ("e", r#"{"payload":{"by":2}}"#);

#[tokio::test]
async fn a_handler_may_give_a_state_change_it_or_delete_it() {
    let shop = Shop::open();
    for (handler, state, expected) in [
        ("(state, event) => ({n: state.n + event.payload.by})", None, r#"{"n":4}"#),
        ("(state, {payload}) => { state.n += payload.by; }", Some(r#"{"n":1}"#), r#"{"n":5}"#),
        ("() => null", Some("{}"), "deleted"),
        // After it was deleted it begins anew.
        ("(state) => state.n === 1 ? null : {n: state.n + 1}", None, "deleted"),
        ("() => 5", None, "5"),
        ("(state) => { state.event = 'x'; return undefined; }", None, r#"{"n":0,"event":"x"}"#),
    ] {
        assert_eq!(
            shop.state(&counting(handler), state, &[EVENT, EVENT]).await,
            expected,
            "{handler}"
        );
    }
    // What has no handler fails, also what objects inherit: nobody asks unless that is wanted.
    let code = counting("() => 1");
    for other in ["toString", "__proto__", "other"] {
        let applied = shop.apply(&code, None, &[(other, "{}")]).await.expect("it answers");
        assert_eq!(applied.fault.map(|fault| fault.message).as_deref(), Some("it has no handler"));
    }
    let any = "export default {source: {log: true}, handlers: {'*': (s, e) => e.payload}}";
    assert_eq!(shop.state(any, None, &[("toString", r#"{"payload":7}"#)]).await, "7");
}

#[tokio::test]
async fn metadata_is_made_of_the_new_state() {
    let shop = Shop::open();
    let code = "export default {source: {log: true}, initial_state: () => ({n: 0}), initial_metadata: {seen: []},
      handlers: {e: (s, {payload}) => ({n: s.n + payload.by})},
      update_metadata: (s, m, e) => ({seen: [...m.seen, s.n]})}";
    let applied = shop.apply(code, None, &[EVENT, EVENT]).await.expect("it answers");
    let (_, saved) = &applied.entries[0];
    assert_eq!(saved.as_ref().expect("it is there").metadata, r#"{"seen":[2,4]}"#);
}

#[tokio::test]
async fn integers_stay_exact_and_other_values_are_what_json_says() {
    let shop = Shop::open();
    let copy = "export default {source: {log: true}, handlers: {e: (s, {payload}) => payload}}";
    for (payload, expected) in [
        ("9007199254740993", "9007199254740993"),
        ("-12345678901234567890", "-12345678901234567890"),
        (r#"{"a":[9007199254740993]}"#, r#"{"a":[9007199254740993]}"#),
        ("0.10", "0.1"),
        ("\"9007199254740993\"", "\"9007199254740993\""),
        ("1.0000000000000001", "1"),
        (r#"{"__proto__":{"x":1}}"#, r#"{"__proto__":{"x":1}}"#),
        ("[]", "[]"),
        ("\"\\ud83d\\ude00\"", "\"😀\""),
    ] {
        let event = format!("{{\"payload\":{payload}}}");
        assert_eq!(shop.state(copy, None, &[("e", &event)]).await, expected);
        // What was kept comes back the same.
        assert_eq!(shop.state(&counting("(s) => { }"), Some(expected), &[EVENT]).await, expected);
    }
    let sum = counting("(s, {payload}) => ({n: BigInt(s.n) + BigInt(payload)})");
    let large = ("e", r#"{"payload":9007199254740993}"#);
    assert_eq!(shop.state(&sum, None, &[large, large]).await, r#"{"n":18014398509481986}"#);
}

#[tokio::test]
async fn an_error_names_its_event_and_its_line() {
    let shop = Shop::open();
    let code = "export default {\n  source: {log: true},\n  handlers: {\n    e: (s, {payload}) => {\n      return {n: payload.a.b};\n    },\n  },\n};";
    let good = ("e", r#"{"payload":{"a":{"b":1}}}"#);
    let applied = shop.apply(code, None, &[good, good, EVENT, good]).await.expect("it answers");
    let fault = applied.fault.expect("it fails");
    assert_eq!((fault.event, applied.events, applied.entries), (Some(2), 2, vec![]));
    assert_eq!(fault.message, "TypeError: cannot read property 'b' of undefined");
    let place = fault.place.expect("it has a place");
    assert_eq!((place.line, place.excerpt.as_str()), (5, "      return {n: payload.a.b};"));
    for (handler, expected) in [
        ("() => { throw 42 }", "threw 42"),
        ("() => { throw null }", "threw null"),
        ("() => () => 1", "a handler gave a function"),
        ("async () => ({})", "a handler gave a promise; it cannot wait for anything"),
        ("() => Symbol('x')", "a handler gave a symbol"),
        (
            "() => ({at: new Date(0)})",
            "TypeError: a Date cannot be part of a state: keep date.toISOString()",
        ),
        ("(s) => { s.self = s; return s; }", "TypeError: circular reference"),
        ("() => 'x'.repeat(2 ** 20)", "the state has 1048578 bytes of 1048576"),
        (
            "() => Math.random()",
            "TypeError: Chance is not there: a projector gives the same for the same events. Use what the event says.",
        ),
        (
            "() => Date.now()",
            "TypeError: The time of day is not there: a projector gives the same for the same events. Use event.occurred_at.",
        ),
        ("() => new Date()", "TypeError: The time of day"),
        ("() => new (new Date(0).constructor)()", "TypeError: The time of day"),
        ("() => Date()", "TypeError: The time of day"),
    ] {
        let applied = shop.apply(&counting(handler), None, &[EVENT]).await.expect("it answers");
        let fault = applied.fault.expect("it fails");
        assert!(fault.message.starts_with(expected), "{handler}: {}", fault.message);
        assert_eq!(fault.event, Some(0), "{handler}");
    }
    let dated = counting("(s, e) => ({at: new Date('2026-01-02T03:04:05Z').getHours()})");
    assert_eq!(shop.state(&dated, None, &[EVENT]).await, r#"{"at":3}"#, "the time zone is UTC");
}

#[tokio::test]
async fn ids_are_strings() {
    let shop = Shop::open();
    let code = |id: &str| {
        format!("export default {{source: {{log: true}}, handlers: {{e() {{}}}}, id: {id}}}")
    };
    for (id, expected) in [
        ("(event) => event.stream", vec!["s"]),
        ("() => ['b', 'a', 'b']", vec!["a", "b"]),
        ("() => null", vec![]),
        ("() => undefined", vec![]),
        ("() => []", vec![]),
    ] {
        let located = shop.locate(&code(id), &[r#"{"stream":"s"}"#]).await;
        assert_eq!(
            (located.ids, located.fault),
            (vec![expected.into_iter().map(str::to_owned).collect()], None),
            "{id}"
        );
    }
    for (id, expected) in [
        ("() => 5", "`id` gave neither"),
        ("() => ['a', 5]", "`id` gave neither"),
        ("() => ({})", "`id` gave neither"),
        ("() => Array(17).fill('x')", "`id` gave 17 ids of 16"),
        ("(event) => event.a.b", "TypeError: cannot read property 'b' of undefined"),
    ] {
        let fault = shop.locate(&code(id), &["{}"]).await.fault.expect("it fails");
        assert!(fault.message.contains(expected), "{id}: {}", fault.message);
    }
}
