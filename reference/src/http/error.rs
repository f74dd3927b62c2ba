//! Every error as a status, a stable code, and whether the request certainly had no effect.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::domain::ids::Invalid;
use crate::flow::Refusal;

/// Seconds after which a client may try again when the service could not take its order.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    effect: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<String>,
}

/// An error on its way to the client.
#[derive(Debug)]
pub(super) enum ApiError {
    /// The request is malformed or out of range.
    Invalid { status: StatusCode, message: String },
    /// A use case refused.
    Refused(Refusal),
    /// The admin token is missing or wrong.
    Unauthorized,
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid { status: StatusCode::UNPROCESSABLE_ENTITY, message: invalid.to_string() }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid { status, message } => reply(status, "invalid", &message, "none", None),
            Self::Unauthorized => reply(StatusCode::UNAUTHORIZED, "unauthorized", "a bearer token is needed", "none", None),
            Self::Refused(refusal) => refused(&refusal),
        }
    }
}

fn refused(refusal: &Refusal) -> Response {
    let (status, effect) = match refusal {
        Refusal::SoldOut { .. } | Refusal::Fenced | Refusal::Cancelled { .. } | Refusal::Conflict(_) => {
            (StatusCode::CONFLICT, "none")
        }
        Refusal::QuotaExceeded { .. } => (StatusCode::FORBIDDEN, "none"),
        Refusal::Mismatch => (StatusCode::UNPROCESSABLE_ENTITY, "none"),
        Refusal::UnknownOrder | Refusal::UnknownSku { .. } => (StatusCode::NOT_FOUND, "none"),
        Refusal::Throttled => (StatusCode::TOO_MANY_REQUESTS, "none"),
        Refusal::NotAdmitted(_) => (StatusCode::SERVICE_UNAVAILABLE, "none"),
        Refusal::Unknown(_) => (StatusCode::INTERNAL_SERVER_ERROR, "unknown"),
    };
    let item = match refusal {
        Refusal::SoldOut { item } | Refusal::UnknownSku { item } | Refusal::QuotaExceeded { item } => Some(item.to_string()),
        _ => None,
    };
    let mut response = reply(status, refusal.code(), &refusal.to_string(), effect, item);
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

fn reply(status: StatusCode, code: &str, message: &str, effect: &str, item: Option<String>) -> Response {
    (status, Json(ErrorBody { code, message, effect, item })).into_response()
}

/// Answer to a path that is not of the interface.
pub(super) async fn no_such_route() -> Response {
    reply(StatusCode::NOT_FOUND, "not_found", "no such path", "none", None)
}

/// Answer to a method that the path does not take.
pub(super) async fn no_such_method() -> Response {
    reply(StatusCode::METHOD_NOT_ALLOWED, "not_allowed", "the path does not take this method", "none", None)
}
