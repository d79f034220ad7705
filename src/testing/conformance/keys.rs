//! API keys: kept as they are, listed in order, revoked once.

use super::store::TestStore;
use crate::{
    auth::{Action, ApiKey, KeyText, Kind, Scope, Ticket},
    model::{Clock, Timestamp},
    testing::random,
};

/// A key of all that one may have, and its text.
fn fresh(store: &TestStore) -> (ApiKey, KeyText) {
    let text = KeyText::mint(Kind::Key, |letters| {
        random::id().simple().to_string().repeat(2).chars().take(letters).collect()
    });
    let log = "ä\"*".parse().expect("a pattern");
    let narrow = Scope { log, actions: [Action::Append].into(), ..Scope::everything() };
    let key = ApiKey {
        id: text.id().to_owned(),
        digest: text.digest(),
        description: "what it's for: \"ä\"".to_owned(),
        scopes: vec![Scope::everything(), narrow],
        created_at: store.clock.now(),
        expires_at: None,
        revoked_at: None,
    };
    (key, text)
}

/// All of a key that can be compared.
fn told(key: &ApiKey) -> (String, String, String, Vec<Scope>, [Option<Timestamp>; 3]) {
    let times = [Some(key.created_at), key.expires_at, key.revoked_at];
    let (id, description) = (key.id.clone(), key.description.clone());
    (id, key.digest.kept(), description, key.scopes.clone(), times)
}

async fn found(store: &TestStore, id: &str) -> Option<ApiKey> {
    store.storage.keys.key(id).await.expect("a key is looked for")
}

pub(super) async fn a_key_is_found_as_it_was_added(store: TestStore) {
    let (key, text) = fresh(&store);
    assert!(found(&store, &key.id).await.is_none());
    store.storage.keys.add_key(&key).await.expect("it is added");
    let kept = found(&store, &key.id).await.expect("it is there");
    assert_eq!(told(&kept), told(&key));
    assert!(kept.digest.is(&text.digest()));
    let ending = ApiKey { expires_at: Some(Timestamp::MIN), ..fresh(&store).0 };
    store.storage.keys.add_key(&ending).await.expect("it is added");
    assert_eq!(told(&found(&store, &ending.id).await.expect("it is there")), told(&ending));
}

pub(super) async fn an_id_is_one_key(store: TestStore) {
    let (key, _) = fresh(&store);
    store.storage.keys.add_key(&key).await.expect("it is added");
    let other = ApiKey { id: key.id.clone(), ..fresh(&store).0 };
    store.storage.keys.add_key(&other).await.expect_err("the id is taken");
    assert_eq!(told(&found(&store, &key.id).await.expect("it is there")), told(&key));
}

pub(super) async fn keys_are_listed_in_the_order_of_their_ids(store: TestStore) {
    let mut added = Vec::new();
    for _ in 0..5 {
        let (key, _) = fresh(&store);
        store.storage.keys.add_key(&key).await.expect("it is added");
        added.push(key.id);
    }
    added.sort();
    let (mut after, mut listed) = (String::new(), Vec::new());
    loop {
        let page = store.storage.keys.keys(&after, 2).await.expect("keys are listed");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after.clone_from(&last.id);
        listed.extend(page.into_iter().map(|key| key.id));
    }
    assert_eq!(listed, added);
}

pub(super) async fn a_key_is_revoked_once(store: TestStore) {
    let (key, _) = fresh(&store);
    let (other, _) = fresh(&store);
    for key in [&key, &other] {
        store.storage.keys.add_key(key).await.expect("it is added");
    }
    let first = store.clock.advance(1);
    for _ in 0..2 {
        let now = store.clock.now();
        store.storage.keys.revoke_key(&key.id, now).await.expect("it is revoked");
        store.clock.advance(1);
    }
    assert_eq!(found(&store, &key.id).await.expect("it is there").revoked_at, Some(first));
    assert_eq!(found(&store, &other.id).await.expect("it is there").revoked_at, None);
    let nobody = store.storage.keys.revoke_key("nobody", first).await;
    nobody.expect("there is nothing to revoke");
}

pub(super) async fn a_ticket_is_used_for_the_first_time_once(store: TestStore) {
    let (key, text) = fresh(&store);
    let keys = &store.storage.keys;
    let ticket = Ticket {
        id: text.id().to_owned(),
        digest: text.digest(),
        key: key.id,
        good_until: Some(store.clock.now()),
        target: r#"{"log":"ä\""}"#.to_owned(),
        created_at: store.clock.now(),
        first_used_at: None,
    };
    let found = async || keys.ticket(&ticket.id).await.expect("a ticket is looked for");
    assert_eq!(found().await, None);
    keys.add_ticket(&ticket, ticket.created_at).await.expect("it is added");
    assert_eq!(found().await, Some(ticket.clone()));
    let first = store.clock.advance(1);
    for _ in 0..2 {
        keys.use_ticket(&ticket.id, store.clock.now()).await.expect("it is used");
        store.clock.advance(1);
    }
    let used = Ticket { first_used_at: Some(first), ..ticket.clone() };
    assert_eq!(found().await, Some(used.clone()));
    // The next sweeps those that were made before a time.
    let next = Ticket { id: random::name(12), created_at: first, ..ticket.clone() };
    keys.add_ticket(&next, ticket.created_at).await.expect("it is added");
    assert_eq!(found().await, Some(used));
    let last = Ticket { id: random::name(12), ..next.clone() };
    keys.add_ticket(&last, first).await.expect("it is added");
    assert_eq!(found().await, None);
    assert_eq!(keys.ticket(&next.id).await.expect("a ticket is looked for"), Some(next));
}
