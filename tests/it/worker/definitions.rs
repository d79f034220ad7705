//! Definitions in both forms, and what is told of those that are none.

use everlog::{model::Form, worker::frames::Complaint};

use crate::support::workers::Shop;

const PROFILE: &str = r#"export default {
  source: { category: "profiles" },
  initial_state: {},
  handlers: {
    "profile-created": (state, { payload }) => ({ ...state, name: payload.name, email: payload.email }),
    "date-of-birth-set": (state, { payload }) => ({ ...state, dob: payload.dob }),
  },
};
"#;

#[tokio::test]
async fn a_module_says_what_it_is() {
    let shop = Shop::open();
    let description = shop.describe(Form::Module, PROFILE).await.expect("it is a definition");
    assert_eq!(description.plain, r#"{"source":{"category":"profiles"}}"#);
    assert_eq!(description.handlers, ["profile-created", "date-of-birth-set"]);
    assert!(!description.any && !description.has_id);
    let code = "export default {source: {log: true}, handlers: {'*': () => {}}, id: () => 'x', on_error: 'park'}";
    let description = shop.describe(Form::Module, code).await.expect("it is a definition");
    assert_eq!(description.plain, r#"{"source":{"log":true},"on_error":"park"}"#);
    assert!(description.any && description.has_id && description.handlers.is_empty());
}

#[tokio::test]
async fn an_object_with_functions_as_strings_is_the_same() {
    let shop = Shop::open();
    let json = r#"{
      "source": {"category": "orders"}, "id": "event => event.occurred_at.slice(0, 10)",
      "initial_state": {"orders": 0, "cents": 0},
      "handlers": {"order-placed": "(s, e) => ({ orders: s.orders + 1, cents: s.cents + e.payload.total_cents })"}}"#;
    let description = shop.describe(Form::Parts, json).await.expect("it is a definition");
    assert_eq!(description.plain, r#"{"source":{"category":"orders"}}"#);
    assert_eq!((description.handlers, description.has_id), (vec!["order-placed".to_owned()], true));
}

/// Where it is, what it is, and the line that is shown.
fn told(complaints: &[Complaint]) -> String {
    let one = |complaint: &Complaint| {
        let place = complaint.place.as_ref();
        let place = place.map(|at| format!(" {}:{} `{}`", at.line, at.column, at.excerpt.trim()));
        format!("{} {}{}", complaint.pointer, complaint.message, place.unwrap_or_default())
    };
    complaints.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_place() {
    let shop = Shop::open();
    for (code, expected) in [
        ("{ handlers: {} }", "there is no default export"),
        ("export default 5;", "there is no default export"),
        (
            "export default {\n  handlers: {\n    'a': (state) => { retrun state; },\n  } };",
            "SyntaxError: expecting ';' 3:",
        ),
        (
            "export default {\n  source: {log: true},\n  handlers: {a: (s, e) => s\n",
            "SyntaxError: ",
        ),
        ("import fs from 'fs';\nexport default {};", "could not load module"),
        ("const x = lodash.map;\nexport default {};", "ReferenceError: lodash is not defined 1:"),
        (
            "await new Promise(() => {});\nexport default {};",
            "waits for something that does not come",
        ),
        ("while (true) {}\nexport default {};", "it took more than 250 ms of CPU time"),
        ("export default {source: {log: true}}", "/handlers expected an object of functions"),
        ("export default {handlers: {}}", "/handlers expected a handler at least"),
        ("export default {handlers: {'a/b': 1}}", "/handlers/a~1b expected a function"),
        (
            "export default {handlers: {a() {}}, initialState: {}}",
            "/initialState no such member; expected `source`",
        ),
        ("export default {handlers: {a() {}}, id: 'x'}", "/id expected a function"),
        (
            "export default {handlers: {a() {}}, initial_state: new Map()}",
            "/initial_state TypeError: a Map cannot be part of a state: keep Object.fromEntries(map)",
        ),
        (
            "export default {handlers: {a() {}}, get source() { throw new Error('no') }}",
            "/source Error: no 1:",
        ),
    ] {
        let complaints = shop.describe(Form::Module, code).await.expect_err(code);
        let told = told(&complaints);
        assert!(told.contains(expected), "{code}\n{told}");
    }
    for (json, expected) in [
        ("[]", "expected an object"),
        (
            r#"{"handlers": {"a": "(s, e) => { s.n += 1\n return s;; } }"}}"#,
            "/handlers/a SyntaxError: ",
        ),
        (r#"{"handlers": {"a": "5"}}"#, "/handlers/a expected a function"),
        (r#"{"handlers": {"a": "() => 1"}, "id": "event =>"}"#, "/id SyntaxError: "),
    ] {
        let complaints = shop.describe(Form::Parts, json).await.expect_err(json);
        let told = told(&complaints);
        assert!(told.contains(expected), "{json}\n{told}");
    }
}
