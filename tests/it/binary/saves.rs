//! A storm of saves against servers that are killed again and again while they build indexes, and the verdict.
//!
//! Every save is conditional, and its document says which version it is to be: a save that was applied twice, or one
//! that was forgotten, shows.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::{sync::watch, time::timeout};

use crate::support::{client::client, frames::Frames, process::Process};

const WRITERS: usize = 4;
/// The entries of each writer, which nobody else writes.
const ENTRIES: usize = 600;
const PATIENCE: Duration = Duration::from_secs(60);

/// What the writers know of an entry.
#[derive(Debug, Clone, Copy)]
struct Entry {
    version: i64,
    live: bool,
    /// Of a change that was not answered, which may have been made: whether the entry is there after it.
    doubt: Option<bool>,
}

type Known = HashMap<String, Entry>;

/// What a tail told of each entry last: its version, and whether it is there.
type Told = HashMap<String, (i64, bool)>;

/// What was found in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) saved: usize,
    /// Builds that were not done just before a kill.
    pub(crate) broken_off: usize,
    /// Entries that are not as they were acknowledged.
    pub(crate) lost: usize,
    /// Entries whose versions do not count their saves.
    pub(crate) doubled: usize,
    /// Indexes that do not have exactly the entries, each once and in order.
    pub(crate) false_indexes: usize,
    /// Entries of which a tail told something else last.
    pub(crate) untold: usize,
}

/// One index is declared anew now and then, and built through kills; the others stay.
fn declaration(round: u32) -> Value {
    let second = ["/state/name", "/state/version"][usize::from(round.is_multiple_of(2))];
    json!({"indexes": [
        {"name": "by_version", "fields": [{"path": "/state/version"}, {"path": "/id"}]},
        {"name": "by_group", "fields": [{"path": "/state/group", "order": "desc"}, {"path": second}]},
        {"name": "alike", "similarity": "/state/name"},
    ]})
}

/// Runs so many rounds of: start, save, kill. Then holds the store against what was acknowledged.
#[expect(clippy::disallowed_methods, reason = "the writers are clients, outside any service")]
pub(crate) async fn storm(kills: u32, start: impl Fn() -> Vec<Process>) -> Verdict {
    let known = Arc::new(Mutex::new(Known::new()));
    let (place, moved) = watch::channel(String::new());
    let (finished, end) = watch::channel(0);
    let follower = tokio::spawn(follow(moved, end));
    let (mut saved, mut broken_off) = (0, 0);
    for round in 0..kills {
        let mut servers = start();
        let url = |n: usize| servers[n % servers.len()].url.clone();
        place.send_replace(url(1));
        if round == 0 {
            seed(&url(0), &known).await;
        }
        let (count, mut acks) = watch::channel(0_u32);
        let count = Arc::new(count);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (known, count) = (known.clone(), count.clone());
                let turn = usize::try_from(round).expect("a count");
                tokio::spawn(write(writer, turn, url(writer), known, count))
            })
            .collect();
        drop(count);
        // Killed in the middle of things, after another number of acknowledgements each time.
        let enough = 1 + (round * 17) % 29;
        acks.wait_for(|acks| *acks >= enough).await.expect("the writers go on");
        if round % 3 == 0 {
            answered(client().put(self::url(&url(0), "")).json(&declaration(round))).await;
            broken_off += usize::from(begun(&url(0)).await);
        }
        servers.iter_mut().for_each(Process::kill);
        for writer in writers {
            saved += writer.await.expect("a writer ends with its server");
        }
    }
    let servers = start();
    place.send_replace(servers[0].url.clone());
    ready(&servers[0].url).await;
    let found = Found::read(&servers[0].url, kills.saturating_sub(1) / 3 * 3).await;
    // All that was changed will have been told once the tail has come this far.
    finished.send_replace(last_change(&servers[0].url).await);
    let told = timeout(PATIENCE, follower).await.expect("it is told").expect("the tail ends");
    let known = std::mem::take(&mut *known.lock().expect("nobody panicked"));
    Verdict { saved, broken_off, ..judge(&known, &found, &told) }
}

fn url(base: &str, rest: &str) -> String {
    format!("{base}/v1/logs/default/projections/totals{rest}")
}

fn body(id: &str, version: i64) -> Value {
    let name = format!("of {} and {}", version % 7, version % 3);
    let state = json!({"version": version, "group": version % 5, "name": name});
    json!({"id": id, "source": {"log": true}, "state": state})
}

async fn seed(base: &str, known: &Mutex<Known>) {
    for writer in 0..WRITERS {
        let ids: Vec<String> = (0..ENTRIES).map(|n| format!("{writer}-{n}")).collect();
        let entries: Vec<Value> = ids.iter().map(|id| body(id, 1)).collect();
        let request = client().post(url(base, "/entries")).json(&json!({ "entries": entries }));
        answered(request).await;
        let entry = Entry { version: 1, live: true, doubt: None };
        known.lock().expect("nobody panicked").extend(ids.into_iter().map(|id| (id, entry)));
    }
}

async fn answered(request: RequestBuilder) -> Value {
    let response = request.send().await.expect("the server is there");
    let status = response.status();
    let body = response.json().await.expect("it is JSON");
    assert!(status.is_success(), "{status}: {body}");
    body
}

/// Waits until something of an index is built; whether something is left to do then.
async fn begun(base: &str) -> bool {
    let look = async {
        loop {
            let indexes = answered(client().get(url(base, ""))).await["indexes"].take();
            let indexes = indexes.as_array().expect("they are told").clone();
            if indexes.iter().all(|index| index["added"].as_i64() > Some(0)) {
                return indexes.iter().any(|index| index["ready"] == false);
            }
        }
    };
    timeout(PATIENCE, look).await.expect("it is begun")
}

async fn ready(base: &str) {
    let look = async {
        while answered(client().get(url(base, ""))).await["indexes"]
            .as_array()
            .is_none_or(|indexes| indexes.iter().any(|index| index["ready"] == false))
        {}
    };
    timeout(PATIENCE, look).await.expect("they are built");
}

/// Saves and deletes entries of its own until the server is gone; how many of them were acknowledged.
async fn write(
    writer: usize,
    round: usize,
    base: String,
    known: Arc<Mutex<Known>>,
    acks: Arc<watch::Sender<u32>>,
) -> usize {
    let client = client();
    let mut saved = 0;
    for turn in 0.. {
        let number = round * 31 + turn;
        let id = format!("{writer}-{}", number * 7 % ENTRIES);
        let deletes = number.is_multiple_of(5);
        let before = known.lock().expect("nobody panicked")[&id];
        let doubt = before.doubt.or(Some(!(deletes && before.live)));
        known.lock().expect("nobody panicked").insert(id.clone(), Entry { doubt, ..before });
        let Some(now) = change(&client, &base, &id, before, deletes).await else { return saved };
        known.lock().expect("nobody panicked").insert(id, now);
        saved += 1;
        acks.send_modify(|acks| *acks += 1);
    }
    saved
}

/// Makes the next version of an entry, or learns that it was made; what it is then. None if the server is gone.
async fn change(
    client: &Client,
    base: &str,
    id: &str,
    before: Entry,
    deletes: bool,
) -> Option<Entry> {
    let place = url(base, &format!("/entries/{id}"));
    // What is in doubt is asked for again, the same.
    let deletes = before.doubt.map_or(deletes && before.live, |live| !live);
    let version = before.version + 1;
    let request = if deletes {
        client.delete(&place)
    } else {
        let mut body = body(id, version);
        body.as_object_mut().expect("it is one").remove("id");
        client.put(&place).json(&body)
    };
    let request = if before.live {
        request.header("if-match", format!("\"{}\"", before.version))
    } else {
        request.header("if-none-match", "*")
    };
    let response = request.send().await.ok()?;
    let (status, answer) = (response.status(), response.json::<Value>().await.ok()?);
    let after = Entry { version, live: !deletes, doubt: None };
    match status {
        StatusCode::OK | StatusCode::CREATED => Some(after),
        StatusCode::PRECONDITION_FAILED | StatusCode::NOT_FOUND => {
            assert!(before.doubt.is_some(), "{id} is not {before:?}: {answer}");
            let response = client.get(place).send().await.ok()?;
            let (status, answer) = (response.status(), response.json::<Value>().await.ok()?);
            if status.is_server_error() {
                return None;
            }
            let expected = if deletes { StatusCode::NOT_FOUND } else { StatusCode::OK };
            assert_eq!(status, expected, "{id} is not {after:?}: {answer}");
            assert!(deletes || answer["version"] == version, "{id} is not {after:?}: {answer}");
            Some(after)
        }
        _ => {
            assert!(status.is_server_error(), "{status}: {answer}");
            None
        }
    }
}

/// Follows the projection through all kills, until it was told of a change.
async fn follow(mut place: watch::Receiver<String>, mut end: watch::Receiver<i64>) -> Told {
    let (client, mut told, mut last) = (client(), Told::new(), 0);
    loop {
        let base = place.wait_for(|url| !url.is_empty()).await.expect("it goes on").clone();
        let request = client.get(url(&base, "/tail")).header("last-event-id", last.to_string());
        let Ok(response) = request.send().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let mut frames = Frames::of(response);
        loop {
            if *end.borrow() > 0 && last >= *end.borrow() {
                return told;
            }
            let frame = tokio::select! {
                frame = frames.next() => frame,
                Ok(()) = end.changed() => continue,
            };
            let Some(frame) = frame else { break };
            if let Some(id) = &frame.id {
                last = id.parse().expect("a number");
            }
            if frame.event.is_empty() {
                let id = frame.data["id"].as_str().expect("an entry's").to_owned();
                let version = frame.data["version"].as_i64().expect("a version");
                told.insert(id, (version, frame.data["type"] == "saved"));
            }
        }
    }
}

/// The number of the last change, as a tail that begins now tells it.
async fn last_change(base: &str) -> i64 {
    let request = client().get(url(base, "/tail?after=now"));
    let response = request.send().await.expect("the server is there");
    let start = Frames::of(response).expect("start").await;
    start.data["after"].as_str().expect("a number").parse().expect("a number")
}

/// The entries as they are in the end: by their ids, and in the order of each index.
#[derive(Default)]
struct Found {
    entries: BTreeMap<String, Value>,
    /// Of each index the ids as it gives them, and as they should be.
    walks: Vec<(Vec<String>, Vec<String>)>,
}

impl Found {
    async fn read(base: &str, round: u32) -> Self {
        let entries = walk(base, &json!([]), None).await;
        let id = |entry: &Value| entry["id"].as_str().expect("an id").to_owned();
        let mut walks = Vec::new();
        for index in declaration(round)["indexes"].as_array().expect("they are") {
            let Some(fields) = index["fields"].as_array() else { continue };
            let came = walk(base, &index["fields"], index["name"].as_str()).await;
            let mut due = entries.clone();
            due.sort_by(|a, b| {
                let by = |field: &Value| {
                    let path = field["path"].as_str().expect("a path");
                    let value = |entry: &Value| entry.pointer(path).expect("it is there").clone();
                    let (a, b) = (value(a), value(b));
                    let ascending = match (a.as_i64(), b.as_i64()) {
                        (Some(a), Some(b)) => a.cmp(&b),
                        _ => a.as_str().cmp(&b.as_str()),
                    };
                    if field["order"] == "desc" { ascending.reverse() } else { ascending }
                };
                let order =
                    fields.iter().map(by).fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then);
                order.then_with(|| id(a).cmp(&id(b)))
            });
            walks.push((came.iter().map(id).collect(), due.iter().map(id).collect()));
        }
        let alike = json!({"filter": {"similar": {"path": "/state/name", "to": "of 1 and 1", "at_least": 0.9}}});
        let mut ids = Vec::new();
        for explain in [true, false] {
            let mut query = alike.clone();
            query["page"] = json!({"limit": 1_000});
            if !explain {
                // No index serves one of two.
                query["filter"] = json!({"not": {"not": query["filter"].take()}});
            }
            query["explain"] = json!(true);
            let page = answered(client().post(url(base, "/search")).json(&query)).await;
            let index = if explain { json!("alike") } else { Value::Null };
            assert_eq!(page["plan"]["index"], index);
            ids.push(page["entries"].as_array().expect("entries").iter().map(id).collect());
        }
        let due: Vec<String> = ids.pop().expect("two");
        assert!(!due.is_empty(), "nothing is alike");
        walks.push((ids.pop().expect("two"), due));
        // The keys are counted, also those of no entry.
        let all = json!({"filter": {"ge": {"path": "/state/version", "value": 0}}});
        let count = answered(client().post(url(base, "/count")).json(&all)).await;
        assert_eq!(
            count["count"],
            entries.len(),
            "`by_version` has other keys than there are entries"
        );
        Self { entries: entries.into_iter().map(|entry| (id(&entry), entry)).collect(), walks }
    }
}

/// All entries in an order, page by page; by an index, if one is named.
async fn walk(base: &str, sort: &Value, index: Option<&str>) -> Vec<Value> {
    let (mut entries, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut page = json!({"limit": 500});
        if after.is_string() {
            page["after"] = after;
        }
        let query = json!({"sort": sort, "page": page, "explain": true});
        let mut page = answered(client().post(url(base, "/search")).json(&query)).await;
        assert_eq!(page["plan"]["index"].as_str(), index, "{}", page["plan"]);
        entries.extend(page["entries"].as_array().expect("entries").iter().cloned());
        after = page["page"]["next"].take();
        if after.is_null() {
            return entries;
        }
    }
}

fn judge(known: &Known, found: &Found, told: &Told) -> Verdict {
    let version = |id: &str| found.entries.get(id).and_then(|entry| entry["version"].as_i64());
    let lost = known.iter().filter(|(id, entry)| {
        let is = |at: i64, live: bool| match version(id) {
            Some(version) => live && version == at,
            None => !live && told.get(*id).is_some_and(|told| *told == (at, false)),
        };
        let in_doubt = entry.doubt.is_some_and(|live| is(entry.version + 1, live));
        !is(entry.version, entry.live) && !in_doubt
    });
    let doubled =
        found.entries.values().filter(|entry| entry["version"] != entry["state"]["version"]);
    let untold = known.keys().filter(|id| match (version(id), told.get(*id)) {
        (Some(version), Some(told)) => *told != (version, true),
        (None, Some((_, live))) => *live,
        (_, None) => true,
    });
    Verdict {
        lost: lost.count(),
        doubled: doubled.count(),
        false_indexes: found.walks.iter().filter(|(came, due)| came != due).count(),
        untold: untold.count(),
        ..Verdict::default()
    }
}

/// The control: what the judge is for, it sees.
#[test]
fn each_broken_promise_is_counted() {
    let entry = |id: &str, version: i64, of: i64| {
        (id.to_owned(), json!({"id": id, "version": version, "state": {"version": of}}))
    };
    let all = |entries: &[(String, Value)]| entries.iter().cloned().collect::<BTreeMap<_, _>>();
    let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let told = |told: &[(&str, (i64, bool))]| {
        told.iter().map(|(id, at)| ((*id).to_owned(), *at)).collect::<Told>()
    };
    let deleted = Entry { version: 4, live: false, doubt: None };
    let mut known = Known::from([
        ("a".to_owned(), Entry { version: 3, live: true, doubt: None }),
        ("b".to_owned(), deleted),
    ]);
    let all_told = told(&[("a", (3, true)), ("b", (4, false))]);
    let good = [entry("a", 3, 3)];
    let judged = |known: &Known, entries: &[(String, Value)], came: &[&str], told: &Told| {
        let found = Found { entries: all(entries), walks: vec![(ids(came), ids(&["a"]))] };
        judge(known, &found, told)
    };
    assert_eq!(judged(&known, &good, &["a"], &all_told), Verdict::default());
    let lost = |entries: &[(String, Value)]| judged(&known, entries, &["a"], &all_told).lost;
    assert_eq!(lost(&[entry("a", 2, 2)]), 1, "a save is forgotten");
    assert_eq!(lost(&[entry("a", 4, 4)]), 1, "nobody saved it again");
    assert_eq!(lost(&[]), 1, "an entry is forgotten");
    assert_eq!(lost(&[entry("a", 3, 3), entry("b", 4, 4)]), 1, "a delete is");
    assert_eq!(judged(&known, &[entry("a", 4, 3)], &["a"], &all_told).doubled, 1);
    for came in [[].as_slice(), &["a", "a"], &["b"]] {
        assert_eq!(judged(&known, &good, came, &all_told).false_indexes, 1, "{came:?}");
    }
    for other in [[("a", (2, true)), ("b", (4, false))], [("a", (3, true)), ("b", (3, true))]] {
        assert_eq!(judged(&known, &good, &["a"], &told(&other)).untold, 1);
    }
    // What was not answered may be there.
    known.insert("a".to_owned(), Entry { version: 3, live: true, doubt: Some(true) });
    let further = told(&[("a", (4, true)), ("b", (4, false))]);
    assert_eq!(judged(&known, &[entry("a", 4, 4)], &["a"], &further), Verdict::default());
    assert_eq!(judged(&known, &good, &["a"], &all_told), Verdict::default());
    assert_eq!(judged(&known, &[], &["a"], &all_told).lost, 1, "it was no delete");
}
