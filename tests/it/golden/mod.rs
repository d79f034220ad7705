//! What is generated and kept: the OpenAPI document and the table of problems.
//!
//! `UPDATE=1 cargo test` writes them anew.

mod breaking;
mod document;

use std::{collections::BTreeMap, path::Path};

use everlog::http::{Edition, document, error::Kind};

use crate::support::environment;

/// Holds a generated text against the file that is kept of it.
fn hold(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if environment("UPDATE").is_some() {
        std::fs::write(&path, text).expect("the golden file is written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).position(|(kept, text)| kept != text);
    let line = differs.map_or_else(|| "the end".to_owned(), |line| format!("line {}", line + 1));
    assert!(kept == text, "{file} is not what the code says, from {line} on: UPDATE=1 cargo test");
}

#[test]
fn the_openapi_documents_are_those_that_are_kept() {
    hold("openapi/openapi.json", document(Edition::Full));
    hold("openapi/openapi.sdk.json", document(Edition::Sdk));
    hold("openapi/openapi.sdk.3.0.json", document(Edition::Sdk30));
}

#[test]
fn the_table_of_problems_is_the_one_that_is_kept() {
    hold("openapi/problems.md", &problems());
}

/// The table of problems, by status and code.
fn problems() -> String {
    let mut text =
        "# Problems\n\nEvery failure is `application/problem+json` (RFC 9457). Its `type` \
                    is `/problems/<code>`, which the service explains as below.\n\n\
                    | status | code | title | what to do |\n|---|---|---|---|\n"
            .to_owned();
    for kind in Kind::ALL {
        let row = kind.row();
        let advice = row.advice.split_whitespace().collect::<Vec<_>>().join(" ");
        let status = row.status.as_u16();
        text.push_str(&format!("| {status} | `{}` | {} | {advice} |\n", row.code, row.title));
    }
    text
}

#[test]
fn a_code_has_one_title_and_one_advice() {
    let mut rows = BTreeMap::new();
    for kind in Kind::ALL {
        let row = kind.row();
        let said = *rows.entry(row.code).or_insert((row.title, row.advice));
        assert_eq!(said, (row.title, row.advice), "{}", row.code);
        let kebab = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(row.code.chars().all(kebab), "{}", row.code);
        assert!(!row.advice.contains('|') && !row.title.contains('|'), "{}", row.code);
    }
}
