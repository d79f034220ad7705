//! Who presents a token of an issuer: its keys are fetched, and read again when a token names one that is not known.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use reqwest::{Client, redirect::Policy};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::{
    allowance::Allowance,
    keyring::{Admitted, Caller, Refused},
    tasks::Tasks,
};
use crate::{
    auth::{Issuer, TokenFault, TokenKeys, Verified, claimed_issuer, verify},
    model::Clock,
};

/// How often it is looked which tokens are over.
const FRESH: Duration = Duration::from_secs(2);
/// How often keys are fetched, and how soon again because of a token.
const FETCHED: Duration = Duration::from_secs(600);
const AGAIN: Duration = Duration::from_secs(30);
/// How long a fetch may take, and how large what comes may be.
const PATIENCE: Duration = Duration::from_secs(5);
const KEYS_BYTES_MAX: u64 = 1 << 20;
/// Tokens that are remembered.
const KNOWN_MAX: usize = 10_000;

#[derive(Debug)]
struct Known {
    issuer: Issuer,
    keys: RwLock<Arc<TokenKeys>>,
    /// When they were fetched last; held by whoever fetches.
    fetched: tokio::sync::Mutex<Option<Instant>>,
}

impl Known {
    fn keys(&self) -> Arc<TokenKeys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whoever presented a token, and what it rests on.
#[derive(Debug)]
struct Remembered {
    caller: Arc<Caller>,
    issuer: String,
    key: String,
}

/// The issuers whose tokens are good here.
#[derive(Debug, Clone)]
pub struct Issuers {
    known: Arc<Vec<Known>>,
    client: Client,
    clock: Arc<dyn Clock>,
    allowance: Allowance,
    /// By the digests of their tokens.
    callers: Arc<Mutex<HashMap<[u8; 32], Remembered>>>,
}

impl Issuers {
    /// Fetches the keys of these. If there are none to be had they are asked for again.
    pub async fn open(
        issuers: Vec<Issuer>,
        clock: Arc<dyn Clock>,
        allowance: Allowance,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let known = |issuer| Known { issuer, keys: RwLock::default(), fetched: Default::default() };
        let known: Vec<_> = issuers.into_iter().map(known).collect();
        let issuers = Self {
            known: Arc::new(known),
            client: client()?,
            clock,
            allowance,
            callers: Arc::default(),
        };
        for known in issuers.known.iter() {
            issuers.fetch(known, Duration::ZERO).await;
        }
        if !issuers.known.is_empty() {
            let watched = issuers.clone();
            tasks.background(async move { watched.watch().await });
        }
        Ok(issuers)
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<[u8; 32], Remembered>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who presents this token.
    pub async fn admit(&self, token: &str) -> Admitted {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let now = self.clock.now();
        if let Some(Remembered { caller, .. }) = self.callers().get(&digest)
            && caller.is_good(now)
        {
            return Ok(caller.clone());
        }
        let issuer = claimed_issuer(token);
        let known = self.known.iter().find(|known| Some(&known.issuer.issuer) == issuer.as_ref());
        let Some(known) = known else {
            return Err(Refused::Token("is of no issuer that is known here"));
        };
        let mut verified = verify(token, &known.issuer, &known.keys(), now);
        if matches!(verified, Err(TokenFault::UnknownKey)) {
            self.fetch(known, AGAIN).await;
            verified = verify(token, &known.issuer, &known.keys(), now);
        }
        let Verified { principal, until, key } = verified.map_err(|fault| match fault {
            TokenFault::UnknownKey => {
                Refused::Token("is signed by a key that its issuer does not have")
            }
            TokenFault::Refused(why) => Refused::Token(why),
        })?;
        let mut callers = self.callers();
        if callers.len() >= KNOWN_MAX {
            callers.retain(|_, known| Arc::strong_count(&known.caller) > 1);
        }
        // Tokens of one subject share what it may ask for.
        let same = callers.values().find(|known| known.caller.principal.name == principal.name);
        let meter = same.map(|known| known.caller.meter.clone());
        let caller = Caller::until(principal, meter, self.allowance, until);
        let issuer = known.issuer.issuer.clone();
        callers.insert(digest, Remembered { caller: caller.clone(), issuer, key });
        Ok(caller)
    }

    /// Ends whoever rests on what is no longer so.
    fn forget(&self, over: impl Fn(&Remembered) -> bool) {
        self.callers().retain(|_, known| {
            let over = over(known);
            if over {
                known.caller.end();
            }
            !over
        });
    }

    /// Fetches the keys of an issuer, unless they were fetched a moment ago.
    async fn fetch(&self, known: &Known, fresh: Duration) {
        let mut fetched = known.fetched.lock().await;
        if fetched.is_some_and(|at| at.elapsed() < fresh) {
            return;
        }
        *fetched = Some(Instant::now());
        let Issuer { issuer, jwks_file, jwks_url, .. } = &known.issuer;
        let text = match (jwks_file, jwks_url) {
            (Some(path), _) => std::fs::read_to_string(path).map_err(|error| error.to_string()),
            (None, Some(url)) => self.load(url).await.map_err(|error| error.to_string()),
            (None, None) => {
                Err("neither `jwks_file` nor `jwks_url` says where they are".to_owned())
            }
        };
        match text.and_then(|text| TokenKeys::read(&text)) {
            Ok(keys) => {
                self.forget(|known| known.issuer == *issuer && !keys.has(&known.key));
                *known.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            }
            Err(error) => tracing::warn!(issuer, error, "the keys of an issuer cannot be read"),
        }
    }

    async fn load(&self, url: &str) -> anyhow::Result<String> {
        let mut answer = self.client.get(url).send().await?.error_for_status()?;
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            text.extend_from_slice(&chunk);
            anyhow::ensure!(
                text.len() as u64 <= KEYS_BYTES_MAX,
                "more than {KEYS_BYTES_MAX} bytes"
            );
        }
        Ok(String::from_utf8(text)?)
    }

    /// Ends whoever is over, and fetches keys anew.
    async fn watch(&self) {
        loop {
            tokio::time::sleep(FRESH).await;
            let now = self.clock.now();
            self.forget(|known| !known.caller.is_good(now));
            for known in self.known.iter() {
                self.fetch(known, FETCHED).await;
            }
        }
    }
}

/// Keys come from where the operator says, and from nowhere else.
#[expect(clippy::disallowed_methods, reason = "this is the service's own door to outbound HTTP")]
fn client() -> anyhow::Result<Client> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = Client::builder().timeout(PATIENCE).redirect(Policy::none());
    Ok(client.build()?)
}
