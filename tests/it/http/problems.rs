//! Every problem of the table is reached over HTTP, and written as every problem is.

use std::sync::Arc;

use everlog::{app::Door, engine::allowance::Allowance, http::error::Kind, storage::Storage};
use reqwest::Method;
use serde_json::json;

use crate::support::{
    guarded::Guarded,
    raw,
    server::{Answer, JOE, Server, Setup},
    trouble::{SECRET, Trouble, Troubled},
};

async fn troubled() -> (Server, Arc<Troubled>) {
    let setup = Setup::memory().limits(|limits| limits.query_examined = 1_000);
    let troubled = Troubled::over(setup.storage.clone());
    let server = Setup { storage: Storage::new(troubled.clone()), ..setup }.start().await;
    server.fill(JOE, 2).await;
    (server, troubled)
}

fn events() -> String {
    format!("{JOE}/events")
}

async fn publish(server: &Server, header: &str, value: &str) -> Answer {
    let body = json!({"events": [{"name": "e"}]});
    server.posting(&events()).header(header, value).json(&body).send().await
}

/// Answers to requests that are not publishes.
async fn read(server: &Server, kind: Kind) -> Option<Answer> {
    let nobody = "/v1/logs/default/categories/profiles/streams/nobody";
    Some(match kind {
        Kind::HostNotAllowed => {
            server.getting("/v1/logs").header("host", "evil.example").send().await
        }
        Kind::Unauthenticated => Guarded::start().await.server.get("/v1/logs").await,
        Kind::Forbidden => {
            let guarded = Guarded::start().await;
            guarded.get(&guarded.key("mine", "*", &["read"]).await, "/v1/logs").await
        }
        Kind::QuotaExceeded => {
            let setup = Setup::memory();
            let allowance = Allowance { tails: 0, ..Allowance::ANY };
            let door = Door { allowance, ..setup.door };
            let guarded = Guarded::over(Setup { door, ..setup }).await;
            guarded.get(&guarded.root, "/v1/logs/default/tail").await
        }
        Kind::KeyNotFound => server.get("/v1/keys/nobody").await,
        Kind::RouteNotFound => server.get("/nowhere").await,
        Kind::LogNotFound => server.get("/v1/logs/nowhere").await,
        Kind::CategoryNotFound => server.get("/v1/logs/default/categories/none").await,
        Kind::StreamNotFound => server.get(nobody).await,
        Kind::EventNotFound => server.get(&format!("{JOE}/events/9")).await,
        Kind::MethodNotAllowed => server.request(Method::DELETE, JOE).send().await,
        Kind::NotAcceptable => server.getting(JOE).header("accept", "text/html").send().await,
        Kind::LogSettingsConflict => {
            server.put("/v1/logs/default", &json!({"ordering": "stream"})).await
        }
        Kind::HistoryDiverged => server.get(&format!("{JOE}/events?after=0-deadbeef")).await,
        Kind::CursorRequired => {
            server.put("/v1/logs/many", &json!({"ordering": "stream"})).await.expect(201);
            server.get("/v1/logs/many/events?after=1").await
        }
        Kind::InvalidRequest => server.get("/v1/logs?limit=0").await,
        Kind::MalformedRequest => server.get("/v1/logs?limit=x").await,
        _ => return None,
    })
}

const TOTALS: &str = "/v1/logs/default/projections/totals";

/// Answers to what changes something.
async fn write(server: &Server, store: &Troubled, kind: Kind) -> Option<Answer> {
    let id = "019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71";
    let event = |name: &str| json!({"events": [{"name": name, "id": id}]});
    let troubled = async |trouble: Trouble| {
        store.set(trouble);
        publish(server, "prefer", "nothing").await
    };
    Some(match kind {
        Kind::ConditionConflict => {
            let body = json!({"events": [{"name": "e"}], "condition": {"position_is": 9}});
            server.post(&events(), &body).await
        }
        Kind::ConditionFailed => publish(server, "if-match", "\"9\"").await,
        Kind::EventIdConflict => {
            server.post(&events(), &event("a")).await.expect(201);
            server.post(&events(), &event("b")).await
        }
        Kind::TooLarge => {
            let body = json!({"events": vec![json!({"name": "e"}); 10_001]});
            server.post(&events(), &body).await
        }
        Kind::UnsupportedMediaType => server.posting(&events()).body("x").send().await,
        Kind::ConditionTooBroad => {
            server.fill(JOE, 10_000).await;
            let broad = json!({"no_event_matching": {"names": ["rare"]}});
            let body = json!({"events": [{"name": "e"}], "condition": broad});
            server.post(&events(), &body).await
        }
        Kind::IdempotencyKeyReused => {
            publish(server, "idempotency-key", "k").await.expect(201);
            let body = json!({"events": [{"name": "other"}]});
            server.posting(&events()).header("idempotency-key", "k").json(&body).send().await
        }
        Kind::ConditionRequired => {
            let strict = json!({"require_condition": true});
            server.put("/v1/logs/default", &strict).await.expect(200);
            publish(server, "prefer", "nothing").await
        }
        Kind::Internal => troubled(Trouble::Broken).await,
        Kind::Unavailable => troubled(Trouble::Unavailable).await,
        Kind::OutcomeUnknown => troubled(Trouble::OutcomeUnknown).await,
        Kind::StorageFull => troubled(Trouble::Full).await,
        _ => return None,
    })
}

/// Answers about projections.
async fn projected(server: &Server, kind: Kind) -> Option<Answer> {
    Some(match kind {
        Kind::ProjectorNotFound => server.get("/v1/logs/default/projectors/none").await,
        Kind::NothingWaits | Kind::ProjectorFaulted => {
            let handler = "() => { throw new Error('odd'); }";
            let definition = json!({"source": {"log": true}, "handlers": {"e": handler}});
            server.put("/v1/logs/default/projectors/odd", &definition).await.expect(201);
            if kind == Kind::NothingWaits {
                server.post("/v1/logs/default/projectors/odd/skip?id=a", &json!(null)).await
            } else {
                publish(server, "prefer", "nothing").await.expect(201);
                let state = events().replace("/events", "/state?projector=odd");
                server.get(&state).await
            }
        }
        Kind::ProjectionFed | Kind::ProjectionOccupied => {
            let (entry, saved) =
                (format!("{TOTALS}/entries/1"), json!({"source": {"log": true}, "state": 1}));
            if kind == Kind::ProjectionOccupied {
                server.put(&entry, &saved).await.expect(201);
            }
            let definition = json!({"source": {"log": true}, "handlers": {"e": "() => 1"}});
            let put = server.put("/v1/logs/default/projectors/totals", &definition).await;
            if kind == Kind::ProjectionOccupied { put } else { server.put(&entry, &saved).await }
        }
        Kind::EntryNotFound => server.get(&format!("{TOTALS}/entries/nobody")).await,
        Kind::ProjectionBehind => {
            server.get(&format!("{TOTALS}/entries?min_sequence_number=1")).await
        }
        Kind::EntryAmbiguous => {
            let entry = |id: &str| json!({"id": id, "source": {"category": "c"}, "state": 1});
            let body = json!({"entries": [entry("1"), entry("2")]});
            server.post(&format!("{TOTALS}/entries"), &body).await.expect(200);
            server.get(&format!("{TOTALS}/entries?category=c")).await
        }
        Kind::QueryTooBroad => {
            let entry =
                |id: usize| json!({"id": id.to_string(), "source": {"log": true}, "state": id});
            let body = json!({"entries": (0..2_000).map(entry).collect::<Vec<_>>()});
            server.post(&format!("{TOTALS}/entries"), &body).await.expect(200);
            let sorted = json!({"sort": [{"path": "/state"}]});
            server.post(&format!("{TOTALS}/search"), &sorted).await
        }
        Kind::EntryConditionFailed => {
            let put = server.request(Method::PUT, &format!("{TOTALS}/entries/1"));
            let body = json!({"source": {"log": true}, "state": 1});
            put.header("if-match", "\"1\"").json(&body).send().await
        }
        _ => return None,
    })
}

/// A body that never comes: time stands still but for what is waited for.
async fn slow_body(server: &Server) -> Answer {
    let head = format!(
        "POST {JOE}/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{{"
    );
    raw::send(server.address, head).await
}

#[tokio::test]
async fn every_problem_is_reached_and_written_as_all_are() {
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::RequestTimeout) {
        let (server, store) = troubled().await;
        let answer = match read(&server, kind).await {
            Some(answer) => answer,
            None => match projected(&server, kind).await {
                Some(answer) => answer,
                None => write(&server, &store, kind).await.expect("somebody provokes each kind"),
            },
        };
        let row = kind.row();
        let problem = answer.problem(row.status.as_u16(), row.code);
        assert_eq!(problem["title"], row.title);
        assert!(!answer.text().contains("hunter2"), "{kind:?} leaks its cause");
        let retry = answer.header("retry-after");
        // What may pass says when to try again.
        let passes = row.status.is_server_error() || kind == Kind::QuotaExceeded;
        if passes && kind != Kind::Internal {
            assert_eq!(problem["retry_after"].to_string(), retry);
        } else {
            assert_eq!((retry, problem.get("retry_after")), ("", None));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_takes_too_long_is_a_problem_too() {
    let (server, _) = troubled().await;
    slow_body(&server).await.problem(408, "request-timeout");
    assert_eq!(server.written().await, 2);
}

#[test]
fn the_table_has_a_row_for_every_kind() {
    let source = include_str!("../../../src/http/error/table.rs");
    let variants = source.split_once("pub enum Kind {").expect("the enum is there").1;
    let variants = variants.split_once("\n}").expect("the enum ends").0;
    let variants: Vec<_> =
        variants.lines().filter_map(|line| line.trim().strip_suffix(',')).collect();
    let listed: Vec<_> = Kind::ALL.iter().map(|kind| format!("{kind:?}")).collect();
    assert_eq!(variants, listed, "add the kind to Kind::ALL, and provoke it here");
}

#[tokio::test]
async fn a_panic_is_an_internal_problem_and_the_server_goes_on() {
    let (server, store) = troubled().await;
    for trouble in [Trouble::Panic, Trouble::Broken] {
        store.set(trouble);
        for path in [events(), JOE.to_owned(), "/v1/logs".to_owned(), "/readyz".to_owned()] {
            let answer = server.get(&path).await;
            answer.problem(500, "internal");
            assert!(!answer.text().contains("hunter2"), "{}", answer.text());
        }
        publish(&server, "prefer", "nothing").await.problem(500, "internal");
        store.set(Trouble::None);
        server.get(JOE).await.expect(200);
    }
    store.set(Trouble::PanicInAppend);
    publish(&server, "prefer", "nothing").await.problem(500, "internal");
    store.set(Trouble::None);
    publish(&server, "prefer", "nothing").await.expect(201);
}

#[tokio::test]
async fn an_edit_whose_outcome_is_unknown_speaks_of_no_event_ids() {
    let (server, store) = troubled().await;
    store.set(Trouble::OutcomeUnknown);
    let body = json!({"source": {"log": true}, "state": 1});
    let path = format!("{TOTALS}/entries/1");
    for answer in [
        server.put(&path, &body).await,
        server.request(Method::DELETE, &path).send().await,
        server.request(Method::DELETE, TOTALS).send().await,
    ] {
        let detail = answer.problem(503, "outcome-unknown")["detail"].to_string();
        assert!(detail.contains("Read the projection") && !detail.contains("ids"), "{detail}");
    }
}

#[tokio::test]
async fn while_the_store_is_away_the_service_says_so_and_lives() {
    let (server, store) = troubled().await;
    store.set(Trouble::Unavailable);
    server.get("/livez").await.expect(200);
    for path in ["/readyz", JOE, "/v1/logs", &events(), &format!("{JOE}/export")] {
        let answer = server.get(path).await;
        answer.problem(503, "unavailable");
        assert!(!answer.text().contains(SECRET));
    }
    let put = server.put("/v1/logs/new", &json!({})).await;
    put.problem(503, "unavailable");
    store.set(Trouble::None);
    server.get("/readyz").await.expect(200);
    assert_eq!(server.written().await, 2, "nothing was written");
}
