//! Requests about the toxics of a proxy.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::body::Fields;
use super::failure::Failure;
use super::wire::{ToxicBody, blank, json, merged, toxics};
use crate::proxy::{Direction, ProxyError, ToxicSpec};

pub(super) async fn index(State(api): State<Arc<Api>>, Path(proxy): Path<String>) -> Result<Response, Failure> {
    Ok(json(StatusCode::OK, &toxics(&*api.registry.get(&proxy)?)))
}

/// Checked in Toxiproxy's order: body, stream, type, name, attributes.
pub(super) async fn create(State(api): State<Arc<Api>>, Path(proxy): Path<String>, body: Bytes) -> Result<Response, Failure> {
    let proxy = api.registry.get(&proxy)?;
    let fields = Fields::of_body(&body)?;
    let (name, type_name) = (fields.text("name")?.unwrap_or_default(), fields.text("type")?.unwrap_or_default());
    // Some clients call it `direction`.
    let stream = fields.text("stream")?.or(fields.text("direction")?).unwrap_or_else(|| Direction::Downstream.name().to_owned());
    let toxicity = fields.share("toxicity")?.unwrap_or(1.0);
    let max = fields.whole("max_ms")?.map(Duration::from_millis);
    let direction =
        Direction::BOTH.into_iter().find(|direction| direction.name().eq_ignore_ascii_case(&stream)).ok_or(Failure::Stream)?;
    let blank = blank(&type_name)?;
    let name = if name.is_empty() { format!("{type_name}_{stream}") } else { name };
    if proxy.settings.borrow().toxic(&name).is_some() {
        return Err(ProxyError::ToxicExists.into());
    }
    let kind = merged(blank, &fields.object("attributes")?)?;
    let toxic = proxy.add_toxic(ToxicSpec { name, direction, toxicity, kind }, stream, max)?;
    Ok(json(StatusCode::OK, &ToxicBody::from(&*toxic)))
}

pub(super) async fn show(State(api): State<Arc<Api>>, Path((proxy, toxic)): Path<(String, String)>) -> Result<Response, Failure> {
    let settings = api.registry.get(&proxy)?.settings.borrow().clone();
    let toxic = settings.toxic(&toxic).ok_or(ProxyError::ToxicNotFound)?;
    Ok(json(StatusCode::OK, &ToxicBody::from(&**toxic)))
}

pub(super) async fn update(
    State(api): State<Arc<Api>>,
    Path((proxy, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Failure> {
    let proxy = api.registry.get(&proxy)?;
    let kind = proxy.settings.borrow().toxic(&name).ok_or(ProxyError::ToxicNotFound)?.spec.kind;
    let fields = Fields::of_body(&body)?;
    let (kind, toxicity) = (merged(kind, &fields.object("attributes")?)?, fields.share("toxicity")?);
    let toxic = proxy.update_toxic(&name, kind, toxicity)?;
    Ok(json(StatusCode::OK, &ToxicBody::from(&*toxic)))
}

pub(super) async fn delete(State(api): State<Arc<Api>>, Path((proxy, toxic)): Path<(String, String)>) -> Result<Response, Failure> {
    api.registry.get(&proxy)?.remove_toxic(&toxic)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
