//! Bytes in and out of every proxy, as Prometheus reads them.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::Api;
use crate::proxy::Direction;
use crate::proxy::running::Proxy;

pub(super) async fn metrics(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let counted: Vec<_> = api.registry.all().iter().map(|proxy| (labels(proxy), proxy.book.counters())).collect();
    let mut text = String::new();
    for what in ["received", "sent"] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# TYPE toxiproxy_proxy_{what}_bytes_total counter");
        for (labels, counters) in &counted {
            for (direction, flow) in [(Direction::Upstream, &counters.upstream), (Direction::Downstream, &counters.downstream)] {
                let figure = if what == "sent" { flow.forwarded } else { flow.received };
                let _ = writeln!(text, "toxiproxy_proxy_{what}_bytes_total{{direction=\"{direction}\",{labels}}} {figure}");
            }
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

fn labels(proxy: &Proxy) -> String {
    let escaped = |text: &str| text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    format!("listener=\"{}\",proxy=\"{}\",upstream=\"{}\"", proxy.listen(), escaped(&proxy.name), escaped(&proxy.upstream()))
}
