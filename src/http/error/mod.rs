//! The whole story of failure: one table of problems (RFC 9457), and the one way they are written.
//!
//! A client reads `detail`; the cause of a 5xx goes to the log, once, under the same request id.
//! Invariant: no other room names a 4xx or 5xx status.

mod report;
mod table;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};

pub use self::{
    report::{Failed, Fault, Report, fragment},
    table::{Kind, Row},
};
use crate::{
    engine::publish::PublishError,
    model::Cursor,
    storage::{Cause, PutLogError, Refusal, StorageError, find::FindError, scan::ScanError},
};

/// A failure on its way to a client.
#[derive(Debug)]
pub struct Problem {
    pub kind: Kind,
    pub body: Box<Report>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub cause: Option<Cause>,
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let Row { status, code, title, .. } = kind.row();
        let body = Report {
            r#type: format!("/problems/{code}"),
            code: code.to_owned(),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            ..Report::default()
        };
        Self { kind, body: Box::new(body), headers: Vec::new(), cause: None }
    }

    /// A request that was read and is refused.
    #[must_use]
    pub fn invalid(errors: Vec<Fault>) -> Self {
        Self::faults(Kind::InvalidRequest, errors)
    }

    /// A request that cannot be read.
    #[must_use]
    pub fn malformed(fault: Fault) -> Self {
        Self::faults(Kind::MalformedRequest, vec![fault])
    }

    fn faults(kind: Kind, errors: Vec<Fault>) -> Self {
        let detail = match errors.as_slice() {
            [only] => {
                let places = [&only.pointer, &only.parameter, &only.header];
                let place = places.into_iter().flatten().next();
                place.map_or_else(|| only.detail.clone(), |at| format!("{at}: {}", only.detail))
            }
            several => format!("{} values are refused; see errors.", several.len()),
        };
        let mut problem = Self::new(kind, detail);
        problem.body.errors = errors;
        problem
    }

    /// A request over a limit.
    pub fn too_large(limit: &str, maximum: usize, detail: impl Into<String>) -> Self {
        Self::over(Kind::TooLarge, limit, maximum, detail)
    }

    /// A query over a limit.
    pub fn too_broad(limit: &str, maximum: usize, detail: impl Into<String>) -> Self {
        Self::over(Kind::QueryTooBroad, limit, maximum, detail)
    }

    fn over(kind: Kind, limit: &str, maximum: usize, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(kind, detail);
        problem.body.limit = Some(limit.to_owned());
        problem.body.maximum = i64::try_from(maximum).ok();
        problem
    }

    fn caused(kind: Kind, detail: &str, cause: impl Into<Cause>) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(kind, detail) }
    }

    /// Adds a header to the answer; a value that is none is left out.
    pub fn header(&mut self, name: HeaderName, value: &str) {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
    }

    /// Says after how many seconds to try again.
    #[must_use]
    pub fn retry(mut self, seconds: i64) -> Self {
        self.body.retry_after = Some(seconds);
        self.header(header::RETRY_AFTER, &seconds.to_string());
        self
    }

    /// The body, for the request with this id.
    #[must_use]
    pub fn json(&self, request_id: &str) -> Vec<u8> {
        let body =
            Report { instance: format!("urn:uuid:{request_id}"), ..self.body.as_ref().clone() };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

/// A problem in a response that is not written yet: the outermost layer knows the request's id.
#[derive(Debug, Clone)]
pub struct Unwritten(pub std::sync::Arc<Problem>);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.kind.row().status;
        response.headers_mut().extend(self.headers.iter().cloned());
        response.extensions_mut().insert(Unwritten(std::sync::Arc::new(self)));
        response
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Unavailable(cause) => {
                let detail = "The store cannot be reached or is overloaded. Nothing was written.";
                Self::caused(Kind::Unavailable, detail, cause).retry(1)
            }
            StorageError::OutcomeUnknown(cause) => {
                let detail = "The store did not answer the commit. Send the same events with the \
                              same ids: nothing will be stored twice.";
                Self::caused(Kind::OutcomeUnknown, detail, cause).retry(1)
            }
            StorageError::Full(cause) => {
                let detail = "The store has no space left. Nothing was written.";
                Self::caused(Kind::StorageFull, detail, cause).retry(30)
            }
            StorageError::Refused(cause) | StorageError::Broken(cause) => {
                let detail = "The server's log tells more, under the id in `instance`.";
                Self::caused(Kind::Internal, detail, cause)
            }
        }
    }
}

impl From<FindError> for Problem {
    fn from(error: FindError) -> Self {
        match error {
            FindError::TooBroad(most) => {
                let detail = format!("The query would examine more than {most} entries.");
                Self::too_broad("query_examined", most, detail)
            }
            FindError::TooLarge(most) => {
                let detail = format!(
                    "The page and the entries before it have more than {most} bytes; go on with `after`."
                );
                Self::too_broad("numbered_page_bytes", most, detail)
            }
            FindError::TooLong(most) => {
                let detail = format!("The query took more than {most} seconds.");
                Self::too_broad("query_seconds", usize::try_from(most).unwrap_or(0), detail)
            }
            FindError::Storage(error) => error.into(),
        }
    }
}

impl From<ScanError> for Problem {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::CursorRequired => Self::new(
                Kind::CursorRequired,
                "This log has several lanes without an order between them: use a cursor from an \
                 earlier page instead of a number.",
            ),
            ScanError::CursorOfAnother => Self::invalid(vec![Fault::parameter(
                "after",
                "this cursor was given for another kind of source",
            )]),
            ScanError::Diverged { high_water } => {
                let mut problem = Self::new(
                    Kind::HistoryDiverged,
                    "The event that the cursor points at is not stored any more, or is another.",
                );
                let end = high_water.as_ref().map_or_else(|| "0".to_owned(), Cursor::to_string);
                problem.body.high_water = Some(end);
                problem
            }
            ScanError::Storage(error) => error.into(),
        }
    }
}

impl From<PutLogError> for Problem {
    fn from(error: PutLogError) -> Self {
        match error {
            PutLogError::OtherLanes(log) => Self::new(
                Kind::LogSettingsConflict,
                format!(
                    "The log exists with ordering `{}` and {} lane(s), which never change.",
                    log.lanes.ordering.as_str(),
                    log.lanes.count
                ),
            ),
            PutLogError::Storage(error) => error.into(),
        }
    }
}

/// What a refused publish becomes, where it is about.
pub fn of_publish(error: PublishError, log: &crate::model::Log, one_stream: bool) -> Problem {
    let refusal = match error {
        PublishError::Storage(error) => return error.into(),
        PublishError::Refused(refusal) => *refusal,
    };
    match refusal {
        Refusal::ConditionFailed { failed, position } => {
            super::conditions::failed(log, &failed, one_stream.then_some(position))
        }
        Refusal::IdConflict(id) => {
            let detail = format!(
                "Event id {id} is stored with other content or in another stream, or together with \
                 ids that are not. Nothing was written."
            );
            let mut problem = Problem::new(Kind::EventIdConflict, detail);
            problem.body.event_id = Some(id.to_string());
            problem
        }
        Refusal::KeyReused => Problem::new(
            Kind::IdempotencyKeyReused,
            "Other events are stored under this Idempotency-Key. Nothing was written.",
        ),
        Refusal::ConditionRequired => Problem::new(
            Kind::ConditionRequired,
            "This log takes conditional publishes only: send If-Match, If-None-Match or a condition.",
        ),
        Refusal::ConditionTooBroad { pointer } => {
            let mut problem = Problem::new(
                Kind::ConditionTooBroad,
                "no_event_matching would have to examine more than 10,000 events.",
            );
            problem.body.errors = vec![Fault::at(&pointer, "name `after` or a smaller `source`")];
            problem
        }
    }
}
