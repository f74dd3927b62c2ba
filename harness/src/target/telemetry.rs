//! What a service tells of itself on its admin listeners: what it has counted, what it finds out of balance, which of its alerts are on.
//!
//! In: a [`Telemetry`], which says where that is told and under which names; a service that does not tell something leaves it out. Out: what one
//! process told at one look. The names of the reference service are written here a second time, on purpose.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::AUTHORIZATION;
use serde::Deserialize;

use super::connection::{CallError, Connection};
use super::exposition::{Series, series};

/// Longest wait for one answer: a process that is stopped must not keep the others from being looked at.
const DEADLINE: Duration = Duration::from_millis(800);

/// Where a service tells what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// Its metrics.
    pub metrics: Option<MetricsForm>,
    /// Its alerts.
    pub alerts: Option<AlertsForm>,
}

/// Metrics in Prometheus' text form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsForm {
    /// Path on the admin listener.
    pub path: String,
    /// Running totals, and the series that add up to each.
    pub totals: Vec<(Total, SeriesForm)>,
    /// Metrics with a series for each item or order, not 0 while it is out of balance.
    pub unbalanced: Vec<String>,
}

/// A running total that the harness knows what to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Total {
    /// Calls of `pre_deduct`.
    PreDeductAttempts,
    /// Of those, calls that ended in an error or in doubt.
    PreDeductErrors,
    /// Deduct transactions that committed.
    DeductCommitted,
    /// Deduct transactions that failed.
    DeductFailed,
}

/// Series of one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesForm {
    /// Name of the metric.
    pub metric: String,
    /// Labels that a series must have, each with the values that are allowed.
    pub labels: Vec<(String, Vec<String>)>,
}

/// Alerts as the service evaluates them itself: `{"alerts": [{"name", "state": "firing", "value"}]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertsForm {
    /// Path on the admin listener.
    pub path: String,
    /// Pause between two evaluations.
    pub evaluated_every: Duration,
}

/// What the metrics of a process told at one look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// Totals that it has.
    pub totals: Vec<(Total, f64)>,
    /// What it finds out of balance, as metric and labels.
    pub unbalanced: BTreeSet<String>,
}

/// One alert of a process that has something to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// Whether it is on.
    pub on: bool,
}

/// The telemetry of the reference service.
#[must_use]
pub fn holdfast() -> Telemetry {
    let steps = |step: &str, results: &[&str]| {
        let results = results.iter().map(|result| (*result).to_owned()).collect::<Vec<_>>();
        let results = (!results.is_empty()).then(|| ("result".to_owned(), results));
        let step = ("step".to_owned(), vec![step.to_owned()]);
        SeriesForm { metric: "holdfast_steps_total".to_owned(), labels: std::iter::once(step).chain(results).collect() }
    };
    let totals = vec![
        (Total::PreDeductAttempts, steps("pre_deduct", &[])),
        (Total::PreDeductErrors, steps("pre_deduct", &["unknown", "gave_up", "not_executed"])),
        (Total::DeductCommitted, steps("deduct_batch", &["committed"])),
        (Total::DeductFailed, steps("deduct_batch", &["failed"])),
    ];
    let unbalanced = ["holdfast_item_drift_units", "holdfast_item_ledger_difference_units"].map(str::to_owned).into();
    Telemetry {
        metrics: Some(MetricsForm { path: "/metrics".to_owned(), totals, unbalanced }),
        alerts: Some(AlertsForm { path: "/admin/alerts".to_owned(), evaluated_every: Duration::from_secs(5) }),
    }
}

impl MetricsForm {
    /// Asks one process for its metrics. Cancel safe.
    ///
    /// # Errors
    /// No whole answer within 800 ms, or a refusal.
    pub async fn ask(&self, connection: &mut Connection, token: &str) -> Result<Metrics, CallError> {
        let body = get(connection, &self.path, token).await?;
        Ok(self.read(&String::from_utf8_lossy(&body)))
    }

    fn read(&self, text: &str) -> Metrics {
        let all = series(text);
        let total = |(total, form): &(Total, SeriesForm)| {
            let values: Vec<f64> = all.iter().filter(|one| form.takes(one)).map(|one| one.value).collect();
            (!values.is_empty()).then(|| (*total, values.iter().sum()))
        };
        let out = all.iter().filter(|one| self.unbalanced.contains(&one.name) && one.value.abs() > 0.0);
        let named = |one: &Series| format!("{}{:?}", one.name, one.labels);
        Metrics { totals: self.totals.iter().filter_map(total).collect(), unbalanced: out.map(named).collect() }
    }
}

impl SeriesForm {
    fn takes(&self, series: &Series) -> bool {
        let has = |(label, allowed): &(String, Vec<String>)| {
            series.labels.iter().any(|(name, value)| name == label && allowed.contains(value))
        };
        series.name == self.metric && self.labels.iter().all(has)
    }
}

impl AlertsForm {
    /// Asks one process for its alerts; those that have nothing to measure there are left out. Cancel safe.
    ///
    /// # Errors
    /// No whole answer within 800 ms, a refusal, or an answer of another form.
    pub async fn ask(&self, connection: &mut Connection, token: &str) -> Result<Vec<Alert>, CallError> {
        let body = get(connection, &self.path, token).await?;
        let address = connection.address();
        let told: Told = serde_json::from_slice(&body)
            .map_err(|error| CallError::Content { address, why: format!("{}: {error}", self.path) })?;
        let measured = told.alerts.into_iter().filter(|alert| alert.value.is_some());
        Ok(measured.map(|alert| Alert { on: alert.state == "firing", name: alert.name }).collect())
    }
}

#[derive(Deserialize)]
struct Told {
    alerts: Vec<ToldAlert>,
}

#[derive(Deserialize)]
struct ToldAlert {
    name: String,
    state: String,
    value: Option<f64>,
}

async fn get(connection: &mut Connection, path: &str, token: &str) -> Result<Bytes, CallError> {
    let request = connection.request(Method::GET, path).header(AUTHORIZATION, format!("Bearer {token}"));
    let reply = connection.call(request, Bytes::new(), DEADLINE).await?;
    if reply.status == 200 {
        return Ok(reply.body);
    }
    Err(CallError::Content { address: connection.address(), why: format!("{path} answered {}", reply.status) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up_their_series_and_what_is_absent_is_left_out() {
        let text = "holdfast_steps_total{step=\"pre_deduct\",result=\"taken\"} 90\n\
                    holdfast_steps_total{step=\"pre_deduct\",result=\"unknown\"} 4\n\
                    holdfast_steps_total{step=\"pre_deduct\",result=\"gave_up\"} 1\n\
                    holdfast_steps_total{step=\"confirm\",result=\"unknown\"} 7\n\
                    holdfast_item_drift_units{item=\"1:1:1\"} 0\n\
                    holdfast_item_drift_units{item=\"1:1:2\"} -3\n";
        let form = holdfast().metrics.unwrap();
        let read = form.read(text);
        assert_eq!(read.totals, [(Total::PreDeductAttempts, 95.0), (Total::PreDeductErrors, 5.0)]);
        assert_eq!(read.unbalanced.len(), 1, "{:?}", read.unbalanced);
    }
}
