//! A client of a real Toxiproxy server, for runs that are to use one instead of the proxies of this process.
//!
//! In: the same proxies and toxics. Out: calls of the HTTP API, each over a connection and within a time of its own. What such a
//! server cannot do is refused before anything is sent, and the refusal says so.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::api::attributes;
use super::{Outage, Protocol, ProxySpec, Spread, ToxicKind, ToxicSpec};

/// How long a call may take: deleting a toxic under traffic can hang the server.
const CALL_MAX: Duration = Duration::from_secs(5);

/// Why a call to a Toxiproxy server failed.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// No Toxiproxy server can do it.
    #[error("{0} needs the proxies of this process: a Toxiproxy server cannot do it")]
    NeedsOwnProxy(String),
    /// The server could not be asked, or did not answer in HTTP.
    #[error("{call}: {why}")]
    Transport {
        /// Method and path.
        call: String,
        /// What the system or hyper said.
        why: String,
    },
    /// The server did not answer in time.
    #[error("{call}: no answer after {CALL_MAX:?}")]
    Timeout {
        /// Method and path.
        call: String,
    },
    /// The server refused.
    #[error("{call}: {status}: {error}")]
    Refused {
        /// Method and path.
        call: String,
        /// Its status.
        status: u16,
        /// What it said.
        error: String,
    },
}

/// A Toxiproxy server.
#[derive(Debug, Clone)]
pub struct Toxiproxy {
    authority: String,
}

impl Toxiproxy {
    /// The server at `http://host:port`, or `host:port`; the port is 8474 if none is named. Sends nothing yet.
    #[must_use]
    pub fn at(url: &str) -> Self {
        let authority = url.trim_start_matches("http://").trim_end_matches('/');
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        Self { authority: if has_port { authority.to_owned() } else { format!("{authority}:8474") } }
    }

    /// Its host and port.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// The version that the server names.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn version(&self) -> Result<String, RemoteError> {
        let answer = self.call(Method::GET, "/version", None).await?;
        // Servers before 2.5 answer with the bare text.
        Ok(answer["version"].as_str().or(answer.as_str()).unwrap_or_default().to_owned())
    }

    /// Opens a proxy; returns where it listens.
    ///
    /// # Errors
    /// If the server refuses, or the proxy is to know its protocol.
    pub async fn create(&self, spec: &ProxySpec) -> Result<SocketAddr, RemoteError> {
        if matches!(spec.protocol, Protocol::Dissected(_)) {
            return Err(RemoteError::NeedsOwnProxy("a trigger on a frame".into()));
        }
        let body = json!({ "name": spec.name, "upstream": spec.upstream, "listen": spec.listen, "enabled": true });
        let answer = self.call(Method::POST, "/proxies", Some(body)).await?;
        let listen = answer["listen"].as_str().unwrap_or_default();
        listen.parse().map_err(|_| RemoteError::Transport { call: "POST /proxies".into(), why: format!("listens on {listen:?}") })
    }

    /// Closes a proxy.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn delete(&self, name: &str) -> Result<(), RemoteError> {
        self.call(Method::DELETE, &format!("/proxies/{name}"), None).await.map(drop)
    }

    /// Points a proxy at another server; its connections are closed, the next ones go there.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn set_upstream(&self, name: &str, upstream: &str) -> Result<(), RemoteError> {
        self.call(Method::POST, &format!("/proxies/{name}"), Some(json!({ "upstream": upstream }))).await.map(drop)
    }

    /// Whether a proxy takes connections.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn is_enabled(&self, name: &str) -> Result<bool, RemoteError> {
        let answer = self.call(Method::GET, &format!("/proxies/{name}"), None).await?;
        Ok(answer["enabled"].as_bool().unwrap_or_default())
    }

    /// Starts an outage. Such a server keeps no dead-man timer: whoever starts it must end it.
    ///
    /// # Errors
    /// If the server refuses, or the outage is not [`Outage::Disabled`].
    pub async fn begin(&self, name: &str, outage: Outage) -> Result<(), RemoteError> {
        self.set_enabled(name, outage, false).await
    }

    /// Ends an outage.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn end(&self, name: &str, outage: Outage) -> Result<(), RemoteError> {
        self.set_enabled(name, outage, true).await
    }

    async fn set_enabled(&self, name: &str, outage: Outage, enabled: bool) -> Result<(), RemoteError> {
        if outage != Outage::Disabled {
            return Err(RemoteError::NeedsOwnProxy(format!("{outage:?}")));
        }
        // POST is deprecated, but understood by every version.
        self.call(Method::POST, &format!("/proxies/{name}"), Some(json!({ "enabled": enabled }))).await.map(drop)
    }

    /// Adds a toxic.
    ///
    /// # Errors
    /// If the server refuses, or the toxic has attributes that are our own.
    pub async fn add_toxic(&self, name: &str, toxic: &ToxicSpec) -> Result<(), RemoteError> {
        let body = json!({
            "name": toxic.name, "type": toxic.kind.type_name(), "stream": toxic.direction.name(),
            "toxicity": toxic.toxicity, "attributes": known(toxic.kind)?,
        });
        self.call(Method::POST, &format!("/proxies/{name}/toxics"), Some(body)).await.map(drop)
    }

    /// Changes what a toxic does.
    ///
    /// # Errors
    /// As [`Self::add_toxic`].
    pub async fn update_toxic(&self, name: &str, toxic: &str, kind: ToxicKind, toxicity: f32) -> Result<(), RemoteError> {
        let body = json!({ "toxicity": toxicity, "attributes": known(kind)? });
        self.call(Method::POST, &format!("/proxies/{name}/toxics/{toxic}"), Some(body)).await.map(drop)
    }

    /// Removes a toxic.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn remove_toxic(&self, name: &str, toxic: &str) -> Result<(), RemoteError> {
        self.call(Method::DELETE, &format!("/proxies/{name}/toxics/{toxic}"), None).await.map(drop)
    }

    /// Names of the toxics that a proxy has.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn toxics(&self, name: &str) -> Result<Vec<String>, RemoteError> {
        let answer = self.call(Method::GET, &format!("/proxies/{name}/toxics"), None).await?;
        let names = answer.as_array().into_iter().flatten();
        Ok(names.filter_map(|toxic| toxic["name"].as_str().map(str::to_owned)).collect())
    }

    /// Enables every proxy and removes all toxics.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn reset(&self) -> Result<(), RemoteError> {
        self.call(Method::POST, "/reset", None).await.map(drop)
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, RemoteError> {
        let call = format!("{method} {path}");
        let asked = tokio::time::timeout(CALL_MAX, self.ask(method, path, body)).await;
        let (status, answer) = match asked {
            Err(_) => return Err(RemoteError::Timeout { call }),
            Ok(Err(why)) => return Err(RemoteError::Transport { call, why: why.to_string() }),
            Ok(Ok(answered)) => answered,
        };
        let text = String::from_utf8_lossy(&answer).trim().to_owned();
        let parsed: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if status.is_success() {
            return Ok(parsed);
        }
        let error = parsed["error"].as_str().or(parsed.as_str()).unwrap_or_default().to_owned();
        Err(RemoteError::Refused { call, status: status.as_u16(), error })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends when the sender is dropped.
        tokio::spawn(connection);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header("host", &self.authority);
        let answer =
            sender.send_request(request.header("content-type", "application/json").body(Full::new(Bytes::from(body)))?).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}

/// The attributes, if a Toxiproxy server knows all that they say.
fn known(kind: ToxicKind) -> Result<Value, RemoteError> {
    match kind {
        ToxicKind::Latency { spread: Spread::Exponential, .. } => Err(RemoteError::NeedsOwnProxy("an exponential delay".into())),
        ToxicKind::Bandwidth { shared: true, .. } => Err(RemoteError::NeedsOwnProxy("a rate shared by connections".into())),
        kind => Ok(attributes(kind)),
    }
}
