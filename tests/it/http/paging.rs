//! Pages: links, bounds, and that nothing is skipped on the way.

use serde_json::{Value, json};

use crate::support::{
    server::{JOE, Server, Setup},
    trouble::{Trouble, Troubled},
    walk::{self, Links},
};

/// Seven events of `joe` and five of another stream, by turns.
async fn filled() -> Server {
    let server = Server::start().await;
    for i in 0..7 {
        server.fill(JOE, 1).await;
        if i < 5 {
            server.fill("/v1/logs/default/categories/orders/streams/o-1", 1).await;
        }
    }
    server
}

const SOURCES: [(&str, usize); 3] =
    [("/v1/logs/default", 12), ("/v1/logs/default/categories/profiles", 7), (JOE, 7)];

#[tokio::test]
async fn walking_forwards_gives_every_event_once_by_either_kind_of_link() {
    let server = filled().await;
    for (source, count) in SOURCES {
        let all = server.get(&format!("{source}/events?limit=1000")).await.expect(200).json();
        let all = all["events"].as_array().unwrap().clone();
        assert_eq!(all.len(), count);
        for links in [Links::Body, Links::Header] {
            for limit in [1, 2, 3, 5, 7, 12] {
                let first = format!("{source}/events?limit={limit}");
                let pages = walk::pages(&server, &first, links, true).await;
                let walked = walk::events(&pages);
                assert_eq!(walk::faults(&all, &walked), [""; 0], "{first}");
                assert_eq!(walked, all, "in order");
                let last = pages.last().unwrap().json();
                assert_eq!(last["page"]["at_end"], true);
                assert_eq!(last["page"]["after"], last["page"]["high_water"]);
            }
        }
    }
}

#[tokio::test]
async fn walking_backwards_gives_every_event_once_by_either_kind_of_link() {
    let server = filled().await;
    for (source, _) in SOURCES {
        let all = server.get(&format!("{source}/events?limit=1000")).await.expect(200).json();
        let mut all = all["events"].as_array().unwrap().clone();
        all.reverse();
        for links in [Links::Body, Links::Header] {
            for limit in [1, 3, 7] {
                let first = format!("{source}/events?direction=backwards&limit={limit}");
                let pages = walk::pages(&server, &first, links, true).await;
                assert_eq!(walk::events(&pages), all, "{first}");
            }
        }
    }
}

#[tokio::test]
async fn the_previous_links_lead_back_to_the_beginning() {
    let server = filled().await;
    for (source, count) in SOURCES {
        for links in [Links::Body, Links::Header] {
            let first = format!("{source}/events?limit=2");
            let pages = walk::pages(&server, &first, links, true).await;
            let last = pages.last().unwrap();
            let back = links.find(last, false).expect("the last page has one before it");
            let before = walk::events(&walk::pages(&server, &back, links, true).await);
            let own = last.json()["events"].as_array().unwrap().len();
            assert_eq!(before.len() + own, count, "{first}");
            assert!(links.find(&pages[0], false).is_none(), "nothing stands before the first");
        }
        let newest = format!("{source}/events?limit=2&direction=backwards");
        let pages = walk::pages(&server, &newest, Links::Body, true).await;
        let forwards = Links::Body.find(&pages[1], false).expect("newer events stand there");
        let newer = server.get(&forwards).await.expect(200).json();
        let newest = pages[0].json()["events"].as_array().unwrap().clone();
        let newer: Vec<_> = newer["events"].as_array().unwrap().iter().rev().cloned().collect();
        assert_eq!(newer, newest);
    }
}

/// It would lead out of the window and not back into it.
#[tokio::test]
async fn a_window_has_no_previous_link() {
    let server = filled().await;
    for query in ["after=1&before=5", "after=1&before=5&direction=backwards"] {
        let page = server.get(&format!("{JOE}/events?limit=2&{query}")).await.expect(200).json();
        assert_eq!(page["page"]["previous"], Value::Null, "{query}");
        let first = format!("{JOE}/events?limit=2&{query}");
        let pages = walk::pages(&server, &first, Links::Body, true).await;
        assert_eq!(walk::events(&pages).len(), 3, "{query}");
    }
}

#[tokio::test]
async fn the_walker_notices_an_event_that_a_page_skips() {
    let setup = Setup::memory();
    let troubled = Troubled::over(setup.storage.clone());
    let storage = everlog::storage::Storage::new(troubled.clone());
    let server = Setup { storage, ..setup }.start().await;
    server.fill(JOE, 7).await;
    let first = format!("{JOE}/events?limit=2");
    let all = walk::events(&walk::pages(&server, &first, Links::Body, true).await);
    troubled.set(Trouble::Skip);
    let walked = walk::events(&walk::pages(&server, &first, Links::Body, true).await);
    let faults = walk::faults(&all, &walked);
    assert!(faults.iter().any(|fault| fault.contains("was skipped")), "{faults:?}");
    let twice = [all.clone(), vec![all[2].clone()]].concat();
    assert_eq!(walk::faults(&all, &twice).len(), 3, "twice, late, one too many");
}

#[tokio::test]
async fn a_page_says_where_it_stands() {
    let server = filled().await;
    let page = server.get(&format!("{JOE}/events?limit=3")).await.expect(200).json();
    let place = &page["page"];
    assert_eq!(place["at_end"], false);
    assert!(place["after"].as_str().unwrap().starts_with("2-"), "{place}");
    assert!(place["high_water"].as_str().unwrap().starts_with("6-"), "{place}");
    let next = place["next"].as_str().unwrap();
    assert!(
        next.starts_with(&format!("{JOE}/events?after=2-")) && next.contains("limit=3"),
        "{next}"
    );
    assert_eq!(place["previous"], Value::Null);
    let after = place["after"].as_str().unwrap();
    for cursor in [after, "2"] {
        let rest = server.get(&format!("{JOE}/events?after={cursor}")).await.expect(200).json();
        assert_eq!(rest["events"][0]["position"], 3);
        assert_eq!((&rest["page"]["at_end"], &rest["page"]["next"]), (&json!(true), &Value::Null));
    }
    let log = server.get("/v1/logs/default/events?after=0&limit=1").await.expect(200).json();
    assert_eq!(log["events"][0]["sequence_number"], 1, "0 is before the first of a log");
}

#[tokio::test]
async fn bounds_are_exclusive_on_both_sides() {
    let server = filled().await;
    let positions = async |query: &str| {
        let page = server.get(&format!("{JOE}/events?{query}")).await.expect(200).json();
        let events = page["events"].as_array().unwrap().clone();
        events.iter().map(|e| e["position"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(positions("after=1&before=4").await, [2, 3]);
    assert_eq!(positions("after=1&before=4&direction=backwards").await, [3, 2]);
    assert_eq!(positions("after=6").await, [0; 0]);
    assert_eq!(positions("after=1000").await, [0; 0]);
    assert_eq!(positions("before=0&direction=backwards").await, [0; 0]);
}

#[tokio::test]
async fn an_empty_source_is_an_empty_page_but_an_empty_stream_is_not_found() {
    let server = Server::start().await;
    for source in ["/v1/logs/default", "/v1/logs/default/categories/none"] {
        let page = server.get(&format!("{source}/events")).await.expect(200).json();
        assert_eq!(page["events"], json!([]));
        let place = &page["page"];
        assert_eq!((&place["after"], &place["high_water"]), (&Value::Null, &Value::Null));
        assert_eq!((&place["at_end"], &place["next"]), (&json!(true), &Value::Null));
    }
    server.get(&format!("{JOE}/events")).await.problem(404, "stream-not-found");
    server.get(&format!("{JOE}/export")).await.problem(404, "stream-not-found");
    server.get(JOE).await.problem(404, "stream-not-found");
    server.get("/v1/logs/default/categories/none").await.problem(404, "category-not-found");
}

#[tokio::test]
async fn a_limit_above_the_maximum_is_lowered_and_the_link_says_to_what() {
    let server = Setup::memory().limits(|limits| limits.page_events = 4).start().await;
    server.fill(JOE, 9).await;
    for query in ["", "?limit=1000000", "?limit=9007199254740991"] {
        let page = server.get(&format!("{JOE}/events{query}")).await.expect(200).json();
        assert_eq!(page["events"].as_array().unwrap().len(), 4);
        assert!(page["page"]["next"].as_str().unwrap().contains("limit=4"));
    }
    // Beyond what the document says that a number may be.
    for limit in ["9007199254740992", "99999999999999999999"] {
        let page = server.get(&format!("{JOE}/events?limit={limit}")).await;
        page.fault(422, "invalid-request", "limit");
    }
}

#[tokio::test]
async fn a_page_ends_at_its_bytes_with_at_least_one_event() {
    let server = Setup::memory().limits(|limits| limits.page_bytes = 1024).start().await;
    let event = json!({"name": "e", "payload": "x".repeat(600)});
    let body = json!({"events": vec![event; 5]});
    server.post(&format!("{JOE}/events"), &body).await.expect(201);
    let pages = walk::pages(&server, &format!("{JOE}/events"), Links::Body, true).await;
    assert_eq!(pages.len(), 5);
    assert_eq!(walk::events(&pages).len(), 5);
}

#[tokio::test]
async fn reading_goes_on_after_a_sequence_number_on_streams_too() {
    let server = filled().await;
    // joe's events have the sequence numbers 1 3 5 7 9 11 12.
    for (number, first, count) in [(0, 0, 7), (4, 2, 5), (5, 3, 4), (11, 6, 1)] {
        let url = format!("{JOE}/events?after_sequence_number={number}&limit=2");
        let pages = walk::pages(&server, &url, Links::Body, true).await;
        let walked = walk::events(&pages);
        assert_eq!(walked.len(), count, "{url}");
        assert_eq!(walked[0]["position"], first);
        if pages.len() > 1 {
            let next = Links::Body.find(&pages[0], true).unwrap();
            assert!(next.contains("?after=") && !next.contains("after_sequence"), "{next}");
        }
    }
    let url = format!("{JOE}/events?after_sequence_number=12");
    assert_eq!(server.get(&url).await.expect(200).json()["events"], json!([]));
    let both = format!("{JOE}/events?after_sequence_number=1&after=1");
    server.get(&both).await.fault(422, "invalid-request", "after_sequence_number");
}

#[tokio::test]
async fn a_cursor_whose_event_is_gone_is_a_diverged_history() {
    let server = filled().await;
    for (url, end) in [
        (format!("{JOE}/events?after=2-deadbeef"), "6-"),
        (format!("{JOE}/events?before=2-deadbeef&direction=backwards"), "6-"),
        ("/v1/logs/default/events?after=99-deadbeef".to_owned(), "12-"),
        (format!("{JOE}/export?after=2-deadbeef"), "6-"),
    ] {
        let problem = server.get(&url).await.problem(410, "history-diverged");
        assert!(problem["high_water"].as_str().unwrap().starts_with(end), "{problem}");
    }
}

/// The far bound stays through all pages, and the way back begins just before it.
#[tokio::test]
async fn a_bound_by_sequence_number_holds_on_every_page() {
    let server = filled().await;
    for (source, _) in SOURCES {
        let all = server.get(&format!("{source}/events?limit=1000")).await.expect(200).json();
        let number = |event: &Value| event["sequence_number"].as_i64().unwrap();
        let (before, after): (Vec<Value>, Vec<Value>) =
            all["events"].as_array().unwrap().iter().cloned().partition(|event| number(event) <= 5);
        for direction in ["forwards", "backwards"] {
            let query = format!("after_sequence_number=5&direction={direction}&limit=2");
            let first = format!("{source}/events?{query}");
            let pages = walk::pages(&server, &first, Links::Body, true).await;
            let mut walked = walk::events(&pages);
            if direction == "backwards" {
                walked.reverse();
            }
            assert_eq!(walked, after, "{first}");
        }
        let page = server.get(&format!("{source}/events?after_sequence_number=5&limit=2")).await;
        let back = page.json()["page"]["previous"].as_str().unwrap().to_owned();
        let back = server.get(&back.replace("limit=2", "limit=100")).await.expect(200).json();
        let mut earlier = back["events"].as_array().unwrap().clone();
        earlier.reverse();
        assert_eq!(earlier, before, "{source}");
    }
}

/// A stream that ends before the number: what comes meanwhile with a smaller one is not given.
#[tokio::test]
async fn a_bound_beyond_the_end_of_a_stream_is_kept() {
    let server = filled().await;
    let url = format!("{JOE}/events?after_sequence_number=100");
    let page = server.get(&url).await.expect(200).json();
    assert_eq!((&page["page"]["after"], &page["events"]), (&Value::Null, &json!([])));
    server.fill(JOE, 1).await;
    assert_eq!(server.get(&url).await.expect(200).json()["events"], json!([]));
}
