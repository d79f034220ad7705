//! Tokens of others: JSON Web Tokens (RFC 7519) of issuers that are known, and what they give.
//!
//! A token says who issued it, for whom, and until when; its signature is of one family of algorithms, by a key that its
//! issuer publishes under the id that the token names. What it gives is bounded by what its issuer may give.

use std::collections::HashMap;

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, dangerous, decode, decode_header,
    jwk::{JwkSet, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Principal, Scope, signature};
use crate::model::Timestamp;

/// The longest token, in bytes.
const BYTES_MAX: usize = 8 << 10;
/// By how much the clocks of issuers may differ from ours, in seconds.
const SKEW_SECONDS: f64 = 60.0;
/// How long a token may be good, from now.
const LIFETIME_SECONDS: f64 = 24.0 * 60.0 * 60.0;

/// A family of algorithms (RFC 7518 §3.1, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Family {
    #[serde(rename = "HS")]
    Hs,
    #[serde(rename = "RS")]
    Rs,
    #[serde(rename = "PS")]
    Ps,
    #[serde(rename = "ES")]
    Es,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Family {
    fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Self::Hs => &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512],
            Self::Rs => &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512],
            Self::Ps => &[Algorithm::PS256, Algorithm::PS384, Algorithm::PS512],
            Self::Es => &[Algorithm::ES256, Algorithm::ES384],
            Self::EdDsa => &[Algorithm::EdDSA],
        }
    }
}

/// Somebody whose tokens are good here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// What tokens have as `iss`, letter by letter.
    pub issuer: String,
    /// What tokens must have as `aud`, or among it.
    pub audience: String,
    pub algorithms: Family,
    /// Where its keys are (RFC 7517): a file, or a URL.
    #[serde(default)]
    pub jwks_file: Option<String>,
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// What its tokens may give at most.
    pub scopes: Vec<Scope>,
    /// The claim that holds a token's scopes. Without one, each token gives all that the issuer may give.
    #[serde(default)]
    pub claim: Option<String>,
}

/// The keys of an issuer, by their ids.
#[derive(Debug, Default)]
pub struct TokenKeys(HashMap<String, DecodingKey>);

impl TokenKeys {
    /// From a JWK set. What is no key for signatures, or has no id, is left out.
    pub fn read(text: &str) -> Result<Self, String> {
        let set: JwkSet = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let signing = set
            .keys
            .iter()
            .filter(|key| !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption)));
        let keyed = signing.filter_map(|key| {
            let decoding = DecodingKey::from_jwk(key).ok()?;
            Some((key.common.key_id.clone()?, decoding))
        });
        Ok(Self(keyed.collect()))
    }

    /// Whether there is one of this id.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// Its key is not among those that are known of its issuer.
    UnknownKey,
    /// In the words of [`crate::engine::keyring::Refused`].
    Refused(&'static str),
}

/// What a token gives.
#[derive(Debug, Clone)]
pub struct Verified {
    pub principal: Principal,
    /// Until when.
    pub until: Timestamp,
    /// The key that it is signed by.
    pub key: String,
}

/// Who a token says it is of, which nobody has verified.
#[must_use]
pub fn claimed_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claimed {
        iss: String,
    }
    if token.len() > BYTES_MAX {
        return None;
    }
    dangerous::insecure_decode_claims::<Claimed>(token).ok().map(|claimed| claimed.iss)
}

#[derive(Debug, Deserialize)]
struct Claims {
    exp: f64,
    nbf: Option<f64>,
    sub: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// What a token of an issuer gives now.
pub fn verify(
    token: &str,
    issuer: &Issuer,
    keys: &TokenKeys,
    now: Timestamp,
) -> Result<Verified, TokenFault> {
    use TokenFault::{Refused, UnknownKey};
    signature::install();
    let header = decode_header(token).map_err(|_| Refused("cannot be read"))?;
    let algorithms = issuer.algorithms.algorithms();
    if !algorithms.contains(&header.alg) {
        return Err(Refused("is signed by an algorithm that its issuer does not use"));
    }
    // Extensions that must be understood (RFC 7515 §4.1.11).
    if header.crit.is_some() {
        return Err(Refused("has extensions that are not known here"));
    }
    let Some(id) = &header.kid else { return Err(Refused("names no key")) };
    let key = keys.0.get(id).ok_or(UnknownKey)?;
    let mut validation = Validation::new(header.alg);
    validation.algorithms = algorithms.to_vec();
    validation.set_issuer(&[&issuer.issuer]);
    validation.set_audience(&[&issuer.audience]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    // Times are judged by the clock of the service, below.
    (validation.validate_exp, validation.validate_nbf) = (false, false);
    let token = decode::<Claims>(token, key, &validation);
    let claims = token.map_err(|error| Refused(told(error.kind())))?.claims;
    let seconds = seconds(now);
    if claims.exp + SKEW_SECONDS <= seconds {
        return Err(Refused("has expired"));
    }
    if claims.exp > seconds + LIFETIME_SECONDS + SKEW_SECONDS {
        return Err(Refused("is good for more than 24 hours, or for ever"));
    }
    if claims.nbf.is_some_and(|begin| begin > seconds + SKEW_SECONDS) {
        return Err(Refused("is not good yet"));
    }
    let (scopes, bounds) = match &issuer.claim {
        None => (issuer.scopes.clone(), None),
        Some(claim) => {
            let given = claims.others.get(claim).cloned().unwrap_or(Value::Array(Vec::new()));
            let scopes = serde_json::from_value(given);
            let scopes = scopes.map_err(|_| Refused("has scopes that cannot be read"))?;
            (scopes, Some(issuer.scopes.clone()))
        }
    };
    let subject = claims.sub.as_deref().unwrap_or("somebody");
    let subject: String = subject.chars().filter(|c| !c.is_control()).take(255).collect();
    let name = format!("{subject} of {}", issuer.issuer);
    let until = Timestamp::of_stored(micros(claims.exp + SKEW_SECONDS));
    Ok(Verified { principal: Principal { name, scopes, bounds }, until, key: id.clone() })
}

#[expect(clippy::cast_precision_loss, reason = "microseconds matter little to minutes")]
fn seconds(time: Timestamp) -> f64 {
    time.micros() as f64 / 1e6
}

#[expect(clippy::cast_possible_truncation, reason = "it is within a day of now")]
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

fn told(kind: &jsonwebtoken::errors::ErrorKind) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::InvalidSignature => "has a signature that is not its issuer's",
        ErrorKind::InvalidAudience => "is for somebody else",
        ErrorKind::InvalidIssuer => "is of another issuer",
        ErrorKind::MissingRequiredClaim(_) => "lacks `iss`, `aud` or `exp`",
        _ => "cannot be read",
    }
}
