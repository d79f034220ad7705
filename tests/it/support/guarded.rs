//! A service that answers to keys, and keys for it.

use everlog::{
    app::{Access, Door},
    auth::{KeyText, Kind},
    engine::ids,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::server::{Answer, Call, Server, Setup};

/// A server with authentication.
pub(crate) struct Guarded {
    pub(crate) server: Server,
    /// A key that may do everything.
    pub(crate) root: String,
}

impl Guarded {
    /// Over an empty memory store.
    pub(crate) async fn start() -> Self {
        Self::over(Setup::memory()).await
    }

    pub(crate) async fn over(setup: Setup) -> Self {
        let root = KeyText::mint(Kind::Key, ids::letters);
        let issuers = match setup.door.access {
            Access::Keys { issuers, .. } => issuers,
            _ => Vec::new(),
        };
        let access = Access::Keys { root: Some(root.clone()), issuers };
        let door = Door { access, ..setup.door };
        Self { server: Setup { door, ..setup }.start().await, root: root.reveal() }
    }

    /// A request with a key.
    pub(crate) fn by(&self, key: &str, method: Method, path: &str) -> Call {
        self.server.request(method, path).header("authorization", &format!("Bearer {key}"))
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.by(key, Method::GET, path).send().await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.by(key, Method::POST, path).json(body).send().await
    }

    /// Makes a key of what `POST /v1/keys` takes; it, and its id.
    pub(crate) async fn make(&self, input: &Value) -> (String, String) {
        let made = self.post(&self.root, "/v1/keys", input).await.expect(201).json();
        let text = |member: &str| made[member].as_str().expect("a text").to_owned();
        (text("key"), text("id"))
    }

    /// A key with one scope.
    pub(crate) async fn key(&self, log: &str, category: &str, actions: &[&str]) -> String {
        let scope = json!({"log": log, "category": category, "actions": actions});
        self.make(&json!({"scopes": [scope]})).await.0
    }

    pub(crate) async fn revoke(&self, id: &str) -> Answer {
        self.by(&self.root, Method::POST, &format!("/v1/keys/{id}/revoke")).send().await
    }
}
