//! Bodies and paths of requests, read strictly: every deviation is `invalid` with a reason.

use std::fmt;
use std::marker::PhantomData;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Shared;
use super::error::ApiError;
use crate::domain::ids::Invalid;
use crate::domain::{Item, OrderId};

/// A JSON object read as `T`. Derived code alone would also take an array with the values of the fields in their order.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// A body that is a JSON object of type `T`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Self::Rejection> {
        let reading = tokio::time::timeout(shared.client_timeout, Json::<Object<T>>::from_request(request, shared));
        let Ok(read) = reading.await else {
            let message = format!("the body did not come within {} ms", shared.client_timeout.as_millis());
            return Err(ApiError::Invalid { status: StatusCode::REQUEST_TIMEOUT, message });
        };
        read.map(|Json(Object(body))| Self(body)).map_err(|rejection| {
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

/// A row of the outbox in the path.
pub(super) struct RowPath(pub(super) i64);

impl<S: Send + Sync> FromRequestParts<S> for RowPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Path(row) = Path::<i64>::from_request_parts(parts, state).await.map_err(invalid_path)?;
        if row < 1 {
            return Err(Invalid::new("row", "must be an integer from 1 to 9223372036854775807").into());
        }
        Ok(Self(row))
    }
}

/// A path whose parts are not of their types.
pub(super) fn invalid_path(rejection: PathRejection) -> ApiError {
    ApiError::Invalid { status: StatusCode::BAD_REQUEST, message: rejection.body_text() }
}
