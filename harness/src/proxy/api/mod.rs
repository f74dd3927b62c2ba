//! Toxiproxy's HTTP API, version 2.12, so that an unmodified client drives the proxies.
//!
//! In: HTTP on the loopback. Out: the same changes that the library makes. Faults set here last until they are taken away, as a
//! client expects; `max_ms` on a toxic, and on a proxy that is disabled, gives them a dead-man timer.

mod body;
mod failure;
mod metrics;
mod proxies;
mod toxics;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;

use super::proxies::Registry;
use super::{Proxies, ProxyError};

/// The version whose behaviour this is.
const VERSION: &str = "2.12.0";

/// How long a request may take.
const REQUEST_MAX: Duration = Duration::from_secs(25);

/// What every request gets to see.
#[derive(Debug)]
struct Api {
    registry: Arc<Registry>,
    requests: AtomicU64,
}

impl Proxies {
    /// Serves the HTTP API on `listen` (`host:port`, port 0 for one of the system's choice) for as long as the proxies run; returns
    /// where. `/metrics` is there only if `metrics` says so, as with Toxiproxy.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn serve_api(&self, listen: &str, metrics: bool) -> Result<SocketAddr, ProxyError> {
        let (registry, listen) = (Arc::clone(self.registry()), listen.to_owned());
        self.run(async move {
            let failed = |source| ProxyError::Listen { address: listen.clone(), source };
            let listener = tokio::net::TcpListener::bind(&listen).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            let listener = listener.tap_io(|stream| {
                // A client that is gone already will be noticed by its first read.
                drop(stream.set_nodelay(true));
            });
            let api = Arc::new(Api { registry, requests: AtomicU64::new(0) });
            tokio::spawn(async move {
                // Never ends before its runtime does.
                drop(axum::serve(listener, router(api, metrics)).await);
            });
            Ok(address)
        })
        .await
    }
}

fn router(api: Arc<Api>, with_metrics: bool) -> Router {
    let mut router = Router::new()
        .route("/version", get(version))
        .route("/reset", post(proxies::reset))
        .route("/populate", post(proxies::populate))
        .route("/proxies", get(proxies::index).post(proxies::create))
        .route("/proxies/{proxy}", get(proxies::show).post(proxies::update).patch(proxies::update).delete(proxies::delete))
        .route("/proxies/{proxy}/toxics", get(toxics::index).post(toxics::create))
        .route(
            "/proxies/{proxy}/toxics/{toxic}",
            get(toxics::show).post(toxics::update).patch(toxics::update).delete(toxics::delete),
        );
    if with_metrics {
        router = router.route("/metrics", get(metrics::metrics));
    }
    router
        .fallback(|| async { (StatusCode::NOT_FOUND, "404 page not found\n") })
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n") })
        .layer(middleware::from_fn_with_state(Arc::clone(&api), guard))
        .with_state(api)
}

/// Refuses browsers, bounds the time, numbers the answer.
async fn guard(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let agent = request.headers().get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let mut response = if agent.starts_with(b"Mozilla/") {
        (StatusCode::FORBIDDEN, "User agent not allowed\n").into_response()
    } else {
        match tokio::time::timeout(REQUEST_MAX, next.run(request)).await {
            Ok(response) => response,
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "request timed out\n").into_response(),
        }
    };
    let number = api.requests.fetch_add(1, Relaxed) + 1;
    response.headers_mut().insert("x-toxiproxy-request-id", HeaderValue::from(number));
    response
}

async fn version() -> Response {
    wire::json(StatusCode::OK, &serde_json::json!({ "version": VERSION }))
}
