//! Requests about proxies: list, create, populate, show, update, delete, reset.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use super::Api;
use super::body::{Fields, first_value};
use super::failure::{Failure, Refusal};
use super::wire::{ProxyBody, json};
use crate::proxy::listener::resolve;
use crate::proxy::running::Proxy;
use crate::proxy::{Outage, ProxyError, ProxySpec};

/// A proxy as a request asks for it.
struct Wanted {
    spec: ProxySpec,
    enabled: bool,
}

impl Wanted {
    /// `place` is what a missing field says about where it is missing.
    fn read(fields: &Fields, place: &str) -> Result<Self, Failure> {
        let required = |name: &str| {
            fields.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| Failure::Missing(format!("{name}{place}")))
        };
        let (listen, enabled) = (fields.text("listen")?.unwrap_or_default(), fields.truth("enabled")?.unwrap_or(true));
        let spec = ProxySpec { listen, ..ProxySpec::plain(required("name")?, required("upstream")?) };
        Ok(Self { spec, enabled })
    }
}

pub(super) async fn index(State(api): State<Arc<Api>>) -> Response {
    let all: BTreeMap<_, _> = api.registry.all().iter().map(|proxy| (proxy.name.clone(), ProxyBody::from(&**proxy))).collect();
    json(StatusCode::OK, &all)
}

pub(super) async fn create(State(api): State<Arc<Api>>, body: Bytes) -> Result<Response, Failure> {
    let wanted = Wanted::read(&Fields::of_body(&body)?, "")?;
    let proxy = api.registry.create(wanted.spec, wanted.enabled).await?;
    Ok(json(StatusCode::CREATED, &ProxyBody::from(&*proxy)))
}

pub(super) async fn show(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<Response, Failure> {
    Ok(json(StatusCode::OK, &ProxyBody::from(&*api.registry.get(&name)?)))
}

pub(super) async fn update(State(api): State<Arc<Api>>, Path(name): Path<String>, body: Bytes) -> Result<Response, Failure> {
    let proxy = api.registry.get(&name)?;
    let fields = Fields::of_body(&body)?;
    let (listen, upstream) = (fields.text("listen")?, fields.text("upstream")?);
    let (enabled, max) = (fields.truth("enabled")?, fields.whole("max_ms")?.map(Duration::from_millis));
    let moved = differs(&proxy, listen.as_deref(), upstream.as_deref()).await?;
    if moved.is_some() && enabled == Some(false) {
        // Not opened at the new place only to be closed there.
        proxy.begin(Outage::Disabled, max).await?;
    }
    if let Some(listen) = moved {
        proxy.relocate(listen, upstream).await?;
    }
    match enabled {
        Some(true) => proxy.end(Outage::Disabled).await?,
        Some(false) => proxy.begin(Outage::Disabled, max).await?,
        None => 0,
    };
    Ok(json(StatusCode::OK, &ProxyBody::from(&*proxy)))
}

/// What to listen on instead, if anything asked for differs from what is.
async fn differs(
    proxy: &Proxy,
    listen: Option<&str>,
    upstream: Option<&str>,
) -> Result<Option<Option<std::net::SocketAddr>>, Failure> {
    let listen = match listen {
        None => None,
        Some(listen) => {
            let failed = |source| ProxyError::Listen { address: listen.to_owned(), source };
            Some(resolve(listen).await.map_err(failed)?).filter(|address| *address != proxy.listen())
        }
    };
    let other_upstream = upstream.is_some_and(|upstream| upstream != proxy.upstream());
    Ok((listen.is_some() || other_upstream).then_some(listen))
}

pub(super) async fn delete(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<Response, Failure> {
    api.registry.delete(&name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn reset(State(api): State<Arc<Api>>) -> Result<Response, Failure> {
    api.registry.reset().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The answer to a populate; with what went wrong, if something did.
#[derive(Serialize)]
struct Populated {
    #[serde(flatten)]
    refusal: Option<Refusal>,
    proxies: Vec<ProxyBody>,
}

pub(super) async fn populate(State(api): State<Arc<Api>>, body: Bytes) -> Response {
    let mut proxies = Vec::new();
    let failure = populate_all(&api, &body, &mut proxies).await.err();
    let status = failure.as_ref().map_or(StatusCode::CREATED, Failure::status);
    json(status, &Populated { refusal: failure.as_ref().map(Failure::refusal), proxies })
}

/// All are read before the first is touched; those before one that cannot listen stay.
async fn populate_all(api: &Api, body: &[u8], done: &mut Vec<ProxyBody>) -> Result<(), Failure> {
    let wanted = match first_value(body)? {
        Value::Array(all) => all,
        Value::Null => Vec::new(),
        _ => return Err(Failure::Body("expected an array of proxies".into())),
    };
    let read = |(place, value)| Wanted::read(&Fields::of(value)?, &format!(" at proxy {}", place + 1));
    let wanted: Vec<_> = wanted.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
    for Wanted { spec, enabled } in wanted {
        let proxy = match api.registry.get(&spec.name) {
            Ok(standing) if differs(&standing, Some(&spec.listen), Some(&spec.upstream)).await?.is_none() => standing,
            standing => {
                if standing.is_ok() {
                    api.registry.delete(&spec.name).await?;
                }
                api.registry.create(spec, enabled).await?
            }
        };
        done.push(ProxyBody::from(&*proxy));
    }
    Ok(())
}
