//! Who may: a handler gets what its path names only as something that its caller is authorized for.
//!
//! Judged on the path's decoded segments, before anything is looked up and before the body is read: 401, then 403, then
//! 404.
//!
//! Invariant: nothing of a log is reached without an [`Authorized`], which names the action that was judged.

use std::{marker::PhantomData, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};

use super::{
    error::{Kind, Problem},
    extract::Raw,
    meter::Slip,
    state::App,
};
use crate::{
    auth::{self, ALL, Action, FIRST_USE_SECONDS, KeyText, Principal},
    engine::keyring::Caller,
};

/// What an operation does.
pub(super) trait Permission {
    const ACTION: Action;
    /// Whether a ticket may stand in the query instead of a key in the header.
    const BY_TICKET: bool = false;
}

/// See [`Action::Read`]: of a tail, which a browser opens.
#[derive(Debug)]
pub(super) struct Follow;

impl Permission for Follow {
    const ACTION: Action = Action::Read;
    const BY_TICKET: bool = true;
}

macro_rules! permissions {
    ($($name:ident),*) => {$(
        #[doc = concat!("See [`Action::", stringify!($name), "`].")]
        #[derive(Debug)]
        pub(super) struct $name;

        impl Permission for $name {
            const ACTION: Action = Action::$name;
        }
    )*};
}

permissions!(Read, Append, Project, Monitor, Admin);

/// What a path names.
pub(super) trait Place: Sized {
    /// Whether the caller may do this here.
    fn allows(who: &Principal, action: Action, raw: &Raw) -> bool {
        who.may(action, raw.get_or(ALL, "log"), raw.get_or(ALL, "category"))
    }

    /// Looks it up.
    fn find(raw: &Raw, app: &App) -> impl Future<Output = Result<Self, Problem>> + Send;
}

/// What the path names, and who may do this there.
#[derive(Debug)]
pub(super) struct Authorized<A, P> {
    pub at: P,
    pub by: Arc<Caller>,
    action: PhantomData<A>,
}

impl<A: Permission, P: Place> FromRequestParts<App> for Authorized<A, P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let ticket = if A::BY_TICKET { ticket(parts) } else { None };
        let (by, raw) = match ticket {
            None => (authenticate(app, &parts.headers).await?, Raw::of(parts).await?),
            Some(ticket) => {
                let raw = Raw::of(parts).await?;
                (by_ticket(app, &ticket, &raw).await?, raw)
            }
        };
        if let (Some(left), Some(slip)) = (by.meter.request(), parts.extensions.get::<Slip>()) {
            slip.note(left)?;
        }
        if !P::allows(&by.principal, A::ACTION, &raw) {
            let (log, category) = (raw.get_or(ALL, "log"), raw.get_or(ALL, "category"));
            return Err(forbidden(&by.principal, A::ACTION, log, category));
        }
        Ok(Self { at: P::find(&raw, app).await?, by, action: PhantomData })
    }
}

/// All logs.
#[derive(Debug)]
pub(super) struct AllLogs;

impl Place for AllLogs {
    async fn find(_: &Raw, _: &App) -> Result<Self, Problem> {
        Ok(Self)
    }
}

/// Any log: which ones is judged by the handler.
#[derive(Debug)]
pub(super) struct AnyLog;

impl Place for AnyLog {
    fn allows(who: &Principal, action: Action, _: &Raw) -> bool {
        who.may_in_some_log(action)
    }

    async fn find(_: &Raw, _: &App) -> Result<Self, Problem> {
        Ok(Self)
    }
}

/// Who sends these headers.
pub(super) async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
    if let Some(anyone) = &app.anyone {
        return Ok(anyone.clone());
    }
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else {
        let detail = "This server answers to keys: send `Authorization: Bearer evl_…`, once.";
        return Err(unauthenticated(detail, ""));
    };
    let (scheme, token) = value.to_str().ok().and_then(|v| v.split_once(' ')).unwrap_or_default();
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") {
        let detail = "Authorization is no key: expected `Bearer evl_ID_SECRET`.";
        return Err(unauthenticated(detail, INVALID));
    }
    let Ok(key) = token.parse::<KeyText>() else {
        let admitted = app.issuers.admit(token).await;
        return admitted.map_err(|refused| {
            unauthenticated(&format!("The token {refused}. A key is `evl_ID_SECRET`."), INVALID)
        });
    };
    let admitted = app.keyring.admit(&key).await?;
    admitted.map_err(|refused| unauthenticated(&format!("The key {refused}."), INVALID))
}

/// The parameter of a tail's query that holds a ticket.
pub(super) const TICKET: &str = "ticket";

fn ticket(parts: &Parts) -> Option<String> {
    let mut pairs = parts.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == TICKET).map(|(_, value)| value.to_owned())
}

/// In whose name a ticket opens what the path names.
async fn by_ticket(app: &App, ticket: &str, raw: &Raw) -> Result<Arc<Caller>, Problem> {
    if let Some(anyone) = &app.anyone {
        return Ok(anyone.clone());
    }
    let text = KeyText::read(auth::Kind::Ticket, ticket)
        .map_err(|_| unauthenticated("The ticket is none: expected `evt_ID_SECRET`.", INVALID))?;
    let admitted = app.keyring.admit_ticket(&text, &raw.names()).await?;
    admitted.map_err(|refused| {
        let detail = format!(
            "The ticket {refused}: it opens the tail that it was made for, within {FIRST_USE_SECONDS} seconds."
        );
        unauthenticated(&detail, INVALID)
    })
}

/// What a challenge says to a token that is not good (RFC 6750 §3.1).
const INVALID: &str = ", error=\"invalid_token\"";

fn unauthenticated(detail: &str, why: &str) -> Problem {
    let mut problem = Problem::new(Kind::Unauthenticated, detail);
    problem.header(header::WWW_AUTHENTICATE, &format!("Bearer realm=\"everlog\"{why}"));
    problem
}

/// The caller lacks a scope.
pub(super) fn forbidden(who: &Principal, action: Action, log: &str, category: &str) -> Problem {
    let told = |what: &str, all: &str, name: &str| {
        if name == ALL { all.to_owned() } else { format!("{what} `{name}`") }
    };
    let place = match (log, category) {
        (ALL, ALL) => "all logs".to_owned(),
        (log, category) => {
            let category = told("category", "all categories", category);
            format!("{category} of {}", told("log", "all logs", log))
        }
    };
    let (name, action) = (&who.name, action.as_str());
    let detail = format!("`{name}` has no scope that gives `{action}` in {place}.");
    Problem::new(Kind::Forbidden, detail)
}

/// Judges what no handler's arguments do: what a body or a parameter asks for.
pub(super) fn require(
    by: &Caller,
    action: Action,
    log: &str,
    category: &str,
) -> Result<(), Problem> {
    if by.principal.may(action, log, category) {
        Ok(())
    } else {
        Err(forbidden(&by.principal, action, log, category))
    }
}
