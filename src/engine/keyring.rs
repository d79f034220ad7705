//! Who asks: keys as they are presented, found in the store and remembered for a moment.
//!
//! Invariant: a key that is revoked or over is refused after four seconds at most, by every process, and
//! whatever goes on for its caller is told to end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    allowance::{Allowance, Meter},
    ids,
    tasks::Tasks,
};
use crate::{
    auth::{ApiKey, Digest, KeyText, Kind, Principal, RESUMES_SECONDS, Scope, Standing, Ticket},
    model::{Clock, Timestamp},
    storage::{Storage, StorageError},
};

/// How long a key is not looked up again.
const FRESH: Duration = Duration::from_secs(2);
/// How long a look-up may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Ids that are remembered, those of no key too.
const KNOWN_MAX: usize = 10_000;

/// Somebody whose requests are answered.
#[derive(Debug)]
pub struct Caller {
    pub principal: Principal,
    /// What it has asked for.
    pub meter: Arc<Meter>,
    /// Until when a token is good that it was admitted by; a key is looked up instead.
    until: Option<Timestamp>,
    /// Cancelled when what it was admitted by is no longer good.
    ended: CancellationToken,
}

impl Caller {
    /// Who may do all of this for as long as the process lives.
    #[must_use]
    pub fn trusted(name: &str, scopes: Vec<Scope>, allowance: Allowance) -> Arc<Self> {
        let principal = Principal { name: name.to_owned(), scopes, bounds: None };
        let meter = Arc::new(Meter::new(allowance));
        Arc::new(Self { principal, meter, until: None, ended: CancellationToken::new() })
    }

    /// Who may do this until then.
    #[must_use]
    pub fn until(
        principal: Principal,
        meter: Option<Arc<Meter>>,
        allowance: Allowance,
        until: Timestamp,
    ) -> Arc<Self> {
        let meter = meter.unwrap_or_else(|| Arc::new(Meter::new(allowance)));
        Arc::new(Self { principal, meter, until: Some(until), ended: CancellationToken::new() })
    }

    /// Whether what it was admitted by says that it is good at a time.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Tells whatever goes on for it to end.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// Resolves when it is admitted no longer.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether it is admitted no longer.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended.is_cancelled()
    }
}

/// Why a key, or a ticket, is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("is not known here")]
    Unknown,
    #[error("has expired")]
    Expired,
    #[error("was revoked")]
    Revoked,
    #[error("{0}")]
    Token(&'static str),
}

/// Who is let in.
pub type Admitted = Result<Arc<Caller>, Refused>;

/// What is remembered of an id.
#[derive(Debug)]
struct Known {
    key: Option<ApiKey>,
    caller: Arc<Caller>,
    looked_up: Instant,
    /// When somebody began to look it up.
    asked: Instant,
}

impl Known {
    fn of(id: &str, key: Option<ApiKey>, allowance: Allowance) -> Self {
        let scopes = key.as_ref().map(|key| key.scopes.clone()).unwrap_or_default();
        let now = Instant::now();
        let caller = Caller::trusted(id, scopes, allowance);
        Self { key, caller, looked_up: now, asked: now }
    }

    /// Whether this still counts. If not, its asker looks it up, and the others go on with it meanwhile.
    fn counts(&mut self) -> bool {
        let age = self.looked_up.elapsed();
        let looking = self.asked.elapsed() < PATIENCE && self.asked > self.looked_up;
        let counts = age < FRESH || (age < FRESH + PATIENCE && looking);
        if !counts {
            self.asked = Instant::now();
        }
        counts
    }

    /// The caller, if the key is good and this is its secret.
    fn admit(&self, digest: &Digest, now: Timestamp) -> Admitted {
        // Compared in any case: that an id is not known takes no less time.
        let kept = self.key.as_ref().map_or(Digest::NONE, |key| key.digest);
        if kept.is(digest) { self.good(now) } else { Err(Refused::Unknown) }
    }

    /// The caller, if the key is good.
    fn good(&self, now: Timestamp) -> Admitted {
        match self.key.as_ref().map(|key| key.standing(now)) {
            Some(Standing::Good) => Ok(self.caller.clone()),
            Some(Standing::Expired) => Err(Refused::Expired),
            Some(Standing::Revoked) => Err(Refused::Revoked),
            None => Err(Refused::Unknown),
        }
    }

    /// Tells whoever goes on that the key is good no longer.
    fn judge(&self, now: Timestamp) {
        if self.key.as_ref().is_none_or(|key| key.standing(now) != Standing::Good) {
            self.caller.ended.cancel();
        }
    }
}

/// The keys that are good here.
#[derive(Debug, Clone)]
pub struct Keyring {
    storage: Storage,
    clock: Arc<dyn Clock>,
    /// The key of whoever runs the service, which no store has.
    root: Option<(Digest, Arc<Caller>)>,
    known: Arc<Mutex<HashMap<String, Known>>>,
    /// Who follows by a ticket that was made by a token.
    ticketed: Arc<Mutex<Vec<Weak<Caller>>>>,
    allowance: Allowance,
}

impl Keyring {
    /// Over the keys of a store, and one that may do everything.
    #[must_use]
    pub fn new(
        storage: Storage,
        clock: Arc<dyn Clock>,
        root: Option<KeyText>,
        allowance: Allowance,
        tasks: &Tasks,
    ) -> Self {
        let everything = || vec![Scope::everything()];
        let root =
            root.map(|key| (key.digest(), Caller::trusted(key.id(), everything(), allowance)));
        let (known, ticketed) = (Arc::default(), Arc::default());
        let ring = Self { storage, clock, root, known, ticketed, allowance };
        let watched = ring.clone();
        tasks.background(async move { watched.watch().await });
        ring
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ticketed(&self) -> MutexGuard<'_, Vec<Weak<Caller>>> {
        self.ticketed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who presents this key.
    pub async fn admit(&self, key: &KeyText) -> Result<Admitted, StorageError> {
        let (digest, now) = (key.digest(), self.clock.now());
        if let Some((root, caller)) = &self.root
            && root.is(&digest)
        {
            return Ok(Ok(caller.clone()));
        }
        self.known_now(key.id(), |known| known.admit(&digest, now)).await
    }

    /// Makes a ticket for what a path names, in the name of a caller.
    pub async fn make_ticket(
        &self,
        by: &Caller,
        target: String,
    ) -> Result<(KeyText, Ticket), StorageError> {
        let (text, now) = (KeyText::mint(Kind::Ticket, ids::letters), self.clock.now());
        let ticket = Ticket {
            id: text.id().to_owned(),
            digest: text.digest(),
            key: by.principal.name.clone(),
            good_until: by.until,
            target,
            created_at: now,
            first_used_at: None,
        };
        let before = Timestamp::of_stored(now.micros() - RESUMES_SECONDS * 1_000_000);
        self.storage.keys.add_ticket(&ticket, before).await?;
        Ok((text, ticket))
    }

    /// In whose name this ticket is, if it is good for what a path names.
    pub async fn admit_ticket(
        &self,
        text: &KeyText,
        target: &str,
    ) -> Result<Admitted, StorageError> {
        let (digest, now) = (text.digest(), self.clock.now());
        let found = self.storage.keys.ticket(text.id()).await?;
        let kept = found.as_ref().map_or(Digest::NONE, |ticket| ticket.digest);
        let Some(ticket) = found.filter(|ticket| kept.is(&digest) && ticket.target == target)
        else {
            return Ok(Err(Refused::Unknown));
        };
        if !ticket.is_good(now) {
            return Ok(Err(Refused::Expired));
        }
        if ticket.first_used_at.is_none() {
            self.storage.keys.use_ticket(&ticket.id, now).await?;
        }
        if let Some(until) = ticket.good_until {
            // What its maker might read was judged when it was made.
            let (name, bounds) = (ticket.key, Some(vec![Scope::reading()]));
            let principal = Principal { name, scopes: vec![Scope::everything()], bounds };
            let caller = Caller::until(principal, None, self.allowance, until);
            self.ticketed().push(Arc::downgrade(&caller));
            return Ok(Ok(caller));
        }
        if let Some((_, caller)) = &self.root
            && caller.principal.name == ticket.key
        {
            return Ok(Ok(caller.clone()));
        }
        self.known_now(&ticket.key, |known| known.good(now)).await
    }

    /// What is known of a key now.
    async fn known_now(
        &self,
        id: &str,
        judge: impl Fn(&Known) -> Admitted,
    ) -> Result<Admitted, StorageError> {
        if let Some(known) = self.known().get_mut(id)
            && known.counts()
        {
            return Ok(judge(known));
        }
        self.look(id).await?;
        Ok(self.known().get(id).map_or(Err(Refused::Unknown), judge))
    }

    /// Looks a key up anew.
    async fn look(&self, id: &str) -> Result<(), StorageError> {
        let found = tokio::time::timeout(PATIENCE, self.storage.keys.key(id)).await;
        let found = found.map_err(|late| StorageError::Unavailable(late.into()))??;
        let mut known = self.known();
        if known.len() >= KNOWN_MAX {
            known.retain(|_, known| Arc::strong_count(&known.caller) > 1);
        }
        let fresh = Known::of(id, found, self.allowance);
        let entry =
            known.entry(id.to_owned()).or_insert_with(|| Known::of(id, None, self.allowance));
        // The same scopes are the same caller, so that it is told when it is over.
        if entry.caller.principal == fresh.caller.principal {
            (entry.key, entry.looked_up) = (fresh.key, fresh.looked_up);
        } else {
            entry.caller.ended.cancel();
            *entry = fresh;
        }
        Ok(())
    }

    /// Looks again and again after the keys of whoever is being answered.
    async fn watch(&self) {
        loop {
            tokio::time::sleep(FRESH).await;
            let busy = |(id, known): (&String, &Known)| {
                (Arc::strong_count(&known.caller) > 1).then(|| id.clone())
            };
            let ids: Vec<String> = self.known().iter().filter_map(busy).collect();
            for id in ids {
                if let Err(error) = self.look(&id).await {
                    tracing::warn!(%error, id, "a key cannot be looked up");
                }
            }
            let now = self.clock.now();
            self.known().values().for_each(|known| known.judge(now));
            self.ticketed().retain(|caller| {
                let follows = caller.upgrade();
                follows.iter().filter(|caller| !caller.is_good(now)).for_each(|over| over.end());
                follows.is_some()
            });
        }
    }

    /// Makes a key and keeps all but its secret.
    pub async fn make(&self, fresh: NewKey) -> Result<(KeyText, ApiKey), StorageError> {
        make(&self.storage, self.clock.now(), fresh).await
    }

    /// Revokes a key; this process knows at once.
    pub async fn revoke(&self, id: &str) -> Result<Option<ApiKey>, StorageError> {
        self.storage.keys.revoke_key(id, self.clock.now()).await?;
        self.look(id).await?;
        let now = self.clock.now();
        Ok(self.known().get(id).and_then(|known| {
            known.judge(now);
            known.key.clone()
        }))
    }
}

/// What a key is to be.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub description: String,
    pub scopes: Vec<Scope>,
    pub expires_at: Option<Timestamp>,
}

/// Makes a key in a store.
pub async fn make(
    storage: &Storage,
    now: Timestamp,
    fresh: NewKey,
) -> Result<(KeyText, ApiKey), StorageError> {
    let text = KeyText::mint(Kind::Key, ids::letters);
    let NewKey { description, scopes, expires_at } = fresh;
    let key = ApiKey {
        id: text.id().to_owned(),
        digest: text.digest(),
        description,
        scopes,
        created_at: now,
        expires_at,
        revoked_at: None,
    };
    storage.keys.add_key(&key).await?;
    Ok((text, key))
}
