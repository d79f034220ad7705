//! API keys: made, listed, revoked by administrators of the logs that they are for.

use std::collections::BTreeSet;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    body::{JsonBody, only_objects},
    catalogue::{ListingPage, listing_page},
    error::{Fault, Kind, Problem},
    extract::{MediaType, Raw, negotiate},
    gate::{Admin, AnyLog, Authorized, Place, forbidden},
    logs::json_answer,
    openapi::{KeyPath, ListingQuery, ReadFailures},
    query::Query,
    state::App,
};
use crate::{
    auth::{Action, ApiKey, Principal, SCOPES_MAX, Scope},
    engine::keyring::NewKey,
    model::{Timestamp, limits::DESCRIPTION_BYTES_MAX},
};

/// Where a key may do what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = ScopeInput, examples(json!({"log": "shop-*", "actions": ["read", "append"]})))]
pub(super) struct ScopeInput {
    /// The logs whose names match: `*` is any run of characters. By default all.
    #[schema(nullable = false, min_length = 1, max_length = 255, example = "shop-*")]
    log: Option<String>,
    /// The categories whose names match. By default all; what is about a whole log, its projections among it, needs all.
    #[schema(nullable = false, min_length = 1, max_length = 255, example = "orders")]
    category: Option<String>,
    /// `read` (events, projections, projectors), `append` (publish), `project` (save projections, define projectors),
    /// `monitor` (metrics) or `admin` (logs and keys). None gives another.
    #[schema(min_items = 1, max_items = 5, example = json!(["read", "append"]))]
    actions: Vec<String>,
}

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = KeyInput, examples(json!({
    "description": "the shop's checkout", "scopes": [{"log": "shop-*", "actions": ["read", "append"]}]
})))]
pub(super) struct KeyInput {
    /// What it is for.
    #[schema(nullable = false, max_length = 1000)]
    description: Option<String>,
    /// What it may do: all that any of these gives. They stay as they are for its whole life.
    #[schema(min_items = 1, max_items = 100)]
    scopes: Vec<ScopeInput>,
    /// Until when it is good (RFC 3339). By default until it is revoked.
    #[schema(nullable = false, format = DateTime, example = "2100-01-01T00:00:00Z")]
    expires_at: Option<String>,
}

only_objects!(ScopeInput, KeyInput);

/// Where a key may do what.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scope)]
pub(super) struct ScopeOutput {
    /// The logs whose names match.
    log: String,
    /// The categories whose names match.
    category: String,
    /// What may be done there.
    actions: Vec<String>,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(super) struct KeyOutput {
    /// Its id: what it is listed and revoked by, and no secret.
    id: String,
    /// The key itself, in the answer to its making and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<String>,
    /// What it is for.
    description: String,
    /// What it may do.
    scopes: Vec<ScopeOutput>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// Until when it is good; absent: until it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    expires_at: Option<String>,
    /// When it was revoked; absent: it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    revoked_at: Option<String>,
}

/// A page of keys, by id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyList)]
pub(super) struct KeysOutput {
    /// The keys.
    keys: Vec<KeyOutput>,
    /// Where the list goes on.
    page: ListingPage,
}

impl From<ApiKey> for KeyOutput {
    fn from(key: ApiKey) -> Self {
        let scope = |scope: Scope| ScopeOutput {
            log: scope.log.into(),
            category: scope.category.into(),
            actions: scope.actions.iter().map(|action| action.as_str().to_owned()).collect(),
        };
        Self {
            id: key.id,
            key: None,
            description: key.description,
            scopes: key.scopes.into_iter().map(scope).collect(),
            created_at: key.created_at.to_string(),
            expires_at: key.expires_at.map(|at| at.to_string()),
            revoked_at: key.revoked_at.map(|at| at.to_string()),
        }
    }
}

/// A key, by the id that the path names.
#[derive(Debug)]
pub(super) struct NamedKey(String);

impl Place for NamedKey {
    fn allows(who: &Principal, action: Action, raw: &Raw) -> bool {
        AnyLog::allows(who, action, raw)
    }

    async fn find(raw: &Raw, _: &App) -> Result<Self, Problem> {
        Ok(Self(raw.get("key_id").to_owned()))
    }
}

/// Make a key
///
/// Its secret stands in this answer alone: what is kept is a digest. Administrators make keys for the logs that they
/// administer, with any actions.
#[utoipa::path(post, path = "/keys", tag = "keys", security(("key" = ["admin"])), request_body = KeyInput,
    responses((status = 201, description = "Made.", body = KeyOutput,
               headers(("Location" = String, description = "The key, without its secret."))), ReadFailures))]
pub(super) async fn create_key(
    State(app): State<App>,
    Authorized { by, .. }: Authorized<Admin, AnyLog>,
    mut query: Query,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    query.finish()?;
    negotiate(&headers, &[MediaType::Json])?;
    let fresh = read(body.parse(4)?, app.clock.now())?;
    for (i, scope) in fresh.scopes.iter().enumerate() {
        if !by.principal.administers(std::slice::from_ref(scope)) {
            let log = scope.log.as_str();
            let mut problem = forbidden(&by.principal, Action::Admin, log, crate::auth::ALL);
            problem.body.errors = vec![Fault::at(&format!("/scopes/{i}/log"), "not yours")];
            return Err(problem);
        }
    }
    let (text, key) = app.keyring.make(fresh).await?;
    tracing::info!(id = key.id, by = by.principal.name, "a key was made");
    let location = format!("/v1/keys/{}", key.id);
    let output = KeyOutput { key: Some(text.reveal()), ..key.into() };
    let mut answer = (StatusCode::CREATED, json_answer(&output)).into_response();
    let never = header::HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, never);
    answer.headers_mut().extend(location.parse().ok().map(|at| (header::LOCATION, at)));
    Ok(answer)
}

fn read(input: KeyInput, now: Timestamp) -> Result<NewKey, Problem> {
    let mut faults = Vec::new();
    let description = input.description.unwrap_or_default();
    if description.len() > DESCRIPTION_BYTES_MAX || description.contains(char::is_control) {
        let detail =
            format!("expected at most {DESCRIPTION_BYTES_MAX} bytes, none a control character");
        faults.push(Fault::at("/description", detail));
    }
    if !(1..=SCOPES_MAX).contains(&input.scopes.len()) {
        faults.push(Fault::at("/scopes", format!("expected 1 to {SCOPES_MAX} scopes")));
    }
    let expires_at = input.expires_at.and_then(|text| match text.parse::<Timestamp>() {
        Ok(at) if at > now => Some(at),
        Ok(_) => {
            faults.push(Fault::at("/expires_at", "expected a time to come"));
            None
        }
        Err(fault) => {
            faults.push(Fault::at("/expires_at", fault.to_string()));
            None
        }
    });
    let scopes = input.scopes.into_iter().enumerate();
    let scopes = scopes.filter_map(|(i, scope)| read_scope(scope, i, &mut faults)).collect();
    if faults.is_empty() {
        Ok(NewKey { description, scopes, expires_at })
    } else {
        Err(Problem::invalid(faults))
    }
}

fn read_scope(input: ScopeInput, i: usize, faults: &mut Vec<Fault>) -> Option<Scope> {
    let before = faults.len();
    let mut glob = |member: &str, text: Option<String>| match text.map(|text| text.parse()) {
        None => Default::default(),
        Some(Ok(glob)) => glob,
        Some(Err(why)) => {
            faults.push(Fault::at(&format!("/scopes/{i}/{member}"), why));
            Default::default()
        }
    };
    let (log, category) = (glob("log", input.log), glob("category", input.category));
    let mut actions = BTreeSet::new();
    for (j, text) in input.actions.iter().enumerate() {
        match text.parse::<Action>() {
            Ok(action) => drop(actions.insert(action)),
            Err(why) => faults.push(Fault::at(&format!("/scopes/{i}/actions/{j}"), why)),
        }
    }
    if input.actions.is_empty() {
        faults.push(Fault::at(&format!("/scopes/{i}/actions"), "expected at least one action"));
    }
    (faults.len() == before).then_some(Scope { log, category, actions })
}

/// List keys
///
/// By id, those that were revoked or have expired too: the keys of which you administer every log. A page may be short of
/// its limit though there are more.
#[utoipa::path(get, path = "/keys", tag = "keys", security(("key" = ["admin"])), params(ListingQuery),
    responses((status = 200, description = "The keys.", body = KeysOutput), ReadFailures))]
pub(super) async fn list_keys(
    State(app): State<App>,
    Authorized { by, .. }: Authorized<Admin, AnyLog>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    let listing = query.listing();
    query.finish()?;
    let after = listing.after.clone().unwrap_or_default();
    let mut found = app.storage.keys.keys(&after, listing.limit + 1).await?;
    let more = found.len() > listing.limit;
    found.truncate(listing.limit);
    let last = found.last().filter(|_| more).map(|key| key.id.as_str());
    let page = listing_page("/v1/keys", &listing, last, &query);
    let yours = |key: &ApiKey| listing.holds(&key.id) && by.principal.administers(&key.scopes);
    let keys = found.into_iter().filter(yours).map(KeyOutput::from).collect();
    Ok(json_answer(&KeysOutput { keys, page }))
}

/// Get a key
///
/// What it may do and until when; not its secret.
#[utoipa::path(get, path = "/keys/{key_id}", tag = "keys", security(("key" = ["admin"])), params(KeyPath),
    responses((status = 200, description = "The key.", body = KeyOutput), ReadFailures))]
pub(super) async fn get_key(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Admin, NamedKey>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.finish()?;
    negotiate(&headers, &[MediaType::Json])?;
    Ok(json_answer(&KeyOutput::from(yours(&app, &by.principal, &at).await?)))
}

/// Revoke a key
///
/// For ever. Requests with it are refused, and tails that follow by it end, within 4 seconds on every server of the store.
#[utoipa::path(post, path = "/keys/{key_id}/revoke", tag = "keys", security(("key" = ["admin"])), params(KeyPath),
    responses((status = 200, description = "Revoked, now or before.", body = KeyOutput), ReadFailures))]
pub(super) async fn revoke_key(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Admin, NamedKey>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.finish()?;
    negotiate(&headers, &[MediaType::Json])?;
    yours(&app, &by.principal, &at).await?;
    let revoked = app.keyring.revoke(&at.0).await?.ok_or_else(|| not_found(&at))?;
    tracing::info!(id = revoked.id, by = by.principal.name, "a key was revoked");
    Ok(json_answer(&KeyOutput::from(revoked)))
}

/// A key that the caller administers.
async fn yours(app: &App, who: &Principal, at: &NamedKey) -> Result<ApiKey, Problem> {
    let known = at.0.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let found = if known { app.storage.keys.key(&at.0).await? } else { None };
    found.filter(|key| who.administers(&key.scopes)).ok_or_else(|| not_found(at))
}

fn not_found(at: &NamedKey) -> Problem {
    Problem::new(Kind::KeyNotFound, format!("There is no key `{}` of logs of yours.", at.0))
}
