//! Bodies and paths of requests, read strictly: every deviation is `invalid` with a reason.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::domain::{Item, OrderId};

/// A JSON body of type `T`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        Json::<T>::from_request(request, state).await.map(|Json(body)| Self(body)).map_err(|rejection| {
            let status = match &rejection {
                JsonRejection::BytesRejection(bytes) => bytes.status(),
                JsonRejection::MissingJsonContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                JsonRejection::JsonSyntaxError(_) => StatusCode::BAD_REQUEST,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            ApiError::Invalid { status, message: rejection.body_text() }
        })
    }
}

/// An order id in the path.
pub(super) struct OrderPath(pub(super) OrderId);

impl<S: Send + Sync> FromRequestParts<S> for OrderPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(invalid_path)?;
        Ok(Self(text.parse()?))
    }
}

/// An item in the path: `/{store}/{product}/{sku}`.
pub(super) struct ItemPath(pub(super) Item);

impl<S: Send + Sync> FromRequestParts<S> for ItemPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let path = Path::<(i64, i64, i64)>::from_request_parts(parts, state).await.map_err(invalid_path)?;
        let Path((store, product, sku)) = path;
        Ok(Self(Item::new(store, product, sku)?))
    }
}

fn invalid_path(rejection: PathRejection) -> ApiError {
    ApiError::Invalid { status: StatusCode::BAD_REQUEST, message: rejection.body_text() }
}
