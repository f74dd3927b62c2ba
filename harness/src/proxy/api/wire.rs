//! Proxies and toxics as the API writes and reads them.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::body::Fields;
use super::failure::Failure;
use crate::proxy::running::Proxy;
use crate::proxy::settings::Toxic;
use crate::proxy::{Direction, Outage, Spread, ToxicKind};

/// A proxy as it is answered.
#[derive(Debug, Serialize)]
pub(super) struct ProxyBody {
    pub(super) name: String,
    listen: String,
    upstream: String,
    enabled: bool,
    toxics: Vec<ToxicBody>,
}

/// A toxic as it is answered.
#[derive(Debug, Serialize)]
pub(super) struct ToxicBody {
    attributes: Value,
    name: String,
    r#type: &'static str,
    stream: String,
    toxicity: f32,
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

impl From<&Proxy> for ProxyBody {
    fn from(proxy: &Proxy) -> Self {
        Self {
            name: proxy.name.clone(),
            listen: proxy.listen().to_string(),
            upstream: proxy.upstream(),
            enabled: !proxy.settings.borrow().has(Outage::Disabled),
            toxics: toxics(proxy),
        }
    }
}

/// Toxics of a proxy: upstream first, then downstream, each in order of creation.
pub(super) fn toxics(proxy: &Proxy) -> Vec<ToxicBody> {
    let settings = proxy.settings.borrow().clone();
    let of = |direction| settings.toxics.iter().filter(move |toxic| toxic.spec.direction == direction);
    Direction::BOTH.into_iter().flat_map(of).map(|toxic| ToxicBody::from(&**toxic)).collect()
}

impl From<&Toxic> for ToxicBody {
    fn from(toxic: &Toxic) -> Self {
        Self {
            attributes: attributes(toxic.spec.kind),
            name: toxic.spec.name.clone(),
            r#type: toxic.spec.kind.type_name(),
            stream: toxic.stream.clone(),
            toxicity: toxic.spec.toxicity,
        }
    }
}

/// Attributes of our own are written only if they are set: clients know the others.
fn attributes(kind: ToxicKind) -> Value {
    let extended = |mut known: Value, name: &str, set: bool| {
        if set && let Some(fields) = known.as_object_mut() {
            fields.insert(name.to_owned(), 1.into());
        }
        known
    };
    match kind {
        ToxicKind::Latency { latency_ms, jitter_ms, spread } => {
            extended(json!({ "latency": latency_ms, "jitter": jitter_ms }), "exponential", spread == Spread::Exponential)
        }
        ToxicKind::Bandwidth { rate_kb_s, shared } => extended(json!({ "rate": rate_kb_s }), "shared", shared),
        ToxicKind::SlowClose { delay_ms } => json!({ "delay": delay_ms }),
        ToxicKind::Timeout { timeout_ms } | ToxicKind::ResetPeer { timeout_ms } => json!({ "timeout": timeout_ms }),
        ToxicKind::Slicer { average_size, size_variation, delay_us } => {
            json!({ "average_size": average_size, "size_variation": size_variation, "delay": delay_us })
        }
        ToxicKind::LimitData { bytes } => json!({ "bytes": bytes }),
        ToxicKind::Noop => Value::Object(Map::new()),
    }
}

/// A toxic of that type that does nothing in particular yet.
pub(super) fn blank(type_name: &str) -> Result<ToxicKind, Failure> {
    Ok(match type_name {
        "latency" => ToxicKind::Latency { latency_ms: 0, jitter_ms: 0, spread: Spread::Uniform },
        "bandwidth" => ToxicKind::Bandwidth { rate_kb_s: 0, shared: false },
        "slow_close" => ToxicKind::SlowClose { delay_ms: 0 },
        "timeout" => ToxicKind::Timeout { timeout_ms: 0 },
        "reset_peer" => ToxicKind::ResetPeer { timeout_ms: 0 },
        "slicer" => ToxicKind::Slicer { average_size: 0, size_variation: 0, delay_us: 0 },
        "limit_data" => ToxicKind::LimitData { bytes: 0 },
        "noop" => ToxicKind::Noop,
        _ => return Err(Failure::ToxicType),
    })
}

/// The toxic with those attributes that are given; the others stay.
pub(super) fn merged(kind: ToxicKind, given: &Fields) -> Result<ToxicKind, Failure> {
    let or = |name: &str, current: u64| given.whole(name).map(|value| value.unwrap_or(current));
    let flag = |name: &str, current: bool| or(name, current.into()).map(|value| value > 0);
    Ok(match kind {
        ToxicKind::Latency { latency_ms, jitter_ms, spread } => {
            let exponential = flag("exponential", spread == Spread::Exponential)?;
            let spread = if exponential { Spread::Exponential } else { Spread::Uniform };
            ToxicKind::Latency { latency_ms: or("latency", latency_ms)?, jitter_ms: or("jitter", jitter_ms)?, spread }
        }
        ToxicKind::Bandwidth { rate_kb_s, shared } => {
            ToxicKind::Bandwidth { rate_kb_s: or("rate", rate_kb_s)?, shared: flag("shared", shared)? }
        }
        ToxicKind::SlowClose { delay_ms } => ToxicKind::SlowClose { delay_ms: or("delay", delay_ms)? },
        ToxicKind::Timeout { timeout_ms } => ToxicKind::Timeout { timeout_ms: or("timeout", timeout_ms)? },
        ToxicKind::ResetPeer { timeout_ms } => ToxicKind::ResetPeer { timeout_ms: or("timeout", timeout_ms)? },
        ToxicKind::Slicer { average_size, size_variation, delay_us } => ToxicKind::Slicer {
            average_size: or("average_size", average_size)?,
            size_variation: or("size_variation", size_variation)?,
            delay_us: or("delay", delay_us)?,
        },
        ToxicKind::LimitData { bytes } => ToxicKind::LimitData { bytes: or("bytes", bytes)? },
        ToxicKind::Noop => ToxicKind::Noop,
    })
}
