//! Refusals of the API, with Toxiproxy's words and statuses.
//!
//! The body is JSON but is sent as plain text with a newline: clients parse it in spite of that.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::proxy::ProxyError;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The body is not what it should be.
    #[error("bad request body: {0}")]
    Body(String),
    /// A field that cannot be left out.
    #[error("missing required field: {0}")]
    Missing(String),
    /// No such direction.
    #[error("stream was invalid, can be either upstream or downstream")]
    Stream,
    /// No such toxic.
    #[error("invalid toxic type")]
    ToxicType,
    /// What the proxies said.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// The body of a refusal.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    pub(super) error: String,
    pub(super) status: u16,
}

impl Failure {
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::Body(_) | Self::Missing(_) | Self::Stream | Self::ToxicType => StatusCode::BAD_REQUEST,
            Self::Proxy(ProxyError::ProxyNotFound | ProxyError::ToxicNotFound) => StatusCode::NOT_FOUND,
            Self::Proxy(ProxyError::ProxyExists | ProxyError::ToxicExists) => StatusCode::CONFLICT,
            Self::Proxy(ProxyError::Listen { .. } | ProxyError::Start(_) | ProxyError::Stopped) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    pub(super) fn refusal(&self) -> Refusal {
        Refusal { error: self.to_string(), status: self.status().as_u16() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = serde_json::to_string(&self.refusal()).unwrap_or_default() + "\n";
        let head = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
        (self.status(), head, body).into_response()
    }
}
