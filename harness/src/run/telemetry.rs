//! What the service tells of itself while a run goes on, and what the proxies count of it: once a second.
//!
//! Written as samples by the names of [`rates`]. The calls of `pre_deduct` are counted by the proxies before Redis; where no proxy of this process
//! stands there, the service's own count is taken. A process that does not answer gives no sample.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::Offset;
use crate::history::record::{Record, Sample};
use crate::history::recorder::Recorder;
use crate::measure::rates;
use crate::stack::services::{PreDeducts, Stack};
use crate::target::connection::Connection;
use crate::target::telemetry::{AlertsForm, MetricsForm, Telemetry, Total};

const EVERY: Duration = Duration::from_secs(1);

/// One process and a connection to its admin listener.
struct Teller {
    role: String,
    token: String,
    connection: Connection,
}

/// A sample with its time.
type Stamped = (Offset, Sample);

/// Writes samples into the history until `stop`, or until the recorder is gone.
pub(super) async fn listen(stack: &Stack, recorder: &Recorder, telemetry: &Telemetry, stop: &CancellationToken) {
    let endpoints = stack.endpoints();
    let teller = |(role, address): &(String, SocketAddr)| Teller {
        role: role.clone(),
        token: endpoints.admin_token.clone(),
        connection: Connection::new(*address),
    };
    let mut tellers: Vec<Teller> = endpoints.admin.iter().map(teller).collect();
    let mut lost_before: HashMap<String, u64> = HashMap::new();
    let mut alerts_due = recorder.clock().now();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! { _ = tick.tick() => {}, () = stop.cancelled() => return }
        let now = recorder.clock().now();
        let counted = stack.pre_deducts();
        let by_proxy = !counted.is_empty();
        let mut samples: Vec<Stamped> =
            counted.into_iter().flat_map(|one| of_proxy(one, &mut lost_before)).map(|sample| (now, sample)).collect();
        if let Some(form) = &telemetry.metrics {
            samples.extend(metrics(&mut tellers, form, recorder, by_proxy).await);
        }
        if let Some(form) = telemetry.alerts.as_ref().filter(|_| now >= alerts_due) {
            samples.extend(alerts(&mut tellers, form, recorder).await);
            alerts_due = now.plus(form.evaluated_every);
        }
        for (at, sample) in samples {
            if recorder.record_at(at, Record::Sample(sample)).await.is_err() {
                return;
            }
        }
    }
}

/// What the proxy of a process counted. Connections that were lost before the first look say nothing of the load.
fn of_proxy(counted: PreDeducts, lost_before: &mut HashMap<String, u64>) -> Vec<Sample> {
    let PreDeducts { role, calls, lost_connections } = counted;
    let before = *lost_before.entry(role.clone()).or_insert(lost_connections);
    if calls.ended == 0 {
        return Vec::new();
    }
    let doubts = calls.late + lost_connections.saturating_sub(before);
    let totals =
        [(rates::PRE_DEDUCT_ATTEMPTS, calls.ended), (rates::PRE_DEDUCT_ERRORS, calls.failed), (rates::PRE_DEDUCT_DOUBTS, doubts)];
    totals.map(|(name, value)| Sample { name: name.to_owned(), of: role.clone(), value: number(value) }).into()
}

/// Totals by process, and what is out of balance in all together.
async fn metrics(tellers: &mut [Teller], form: &MetricsForm, recorder: &Recorder, by_proxy: bool) -> Vec<Stamped> {
    let ask = async |teller: &mut Teller| {
        let told = form.ask(&mut teller.connection, &teller.token).await.ok()?;
        Some((recorder.clock().now(), teller.role.clone(), told))
    };
    let told: Vec<_> = join_all(tellers.iter_mut().map(ask)).await.into_iter().flatten().collect();
    let mut unbalanced = BTreeSet::new();
    let mut samples = Vec::new();
    for (at, role, metrics) in told {
        unbalanced.extend(metrics.unbalanced);
        for (total, value) in metrics.totals {
            let name = match total {
                Total::PreDeductAttempts | Total::PreDeductErrors if by_proxy => continue,
                Total::PreDeductAttempts => rates::PRE_DEDUCT_ATTEMPTS,
                Total::PreDeductErrors => rates::PRE_DEDUCT_ERRORS,
                Total::DeductCommitted => rates::DEDUCT_COMMITTED,
                Total::DeductFailed => rates::DEDUCT_FAILED,
            };
            samples.push((at, Sample { name: name.to_owned(), of: role.clone(), value }));
        }
    }
    if !samples.is_empty() && !form.unbalanced.is_empty() {
        let value = number(unbalanced.len() as u64);
        samples.push((recorder.clock().now(), Sample { name: rates::INCONSISTENCIES.to_owned(), of: String::new(), value }));
    }
    samples
}

/// The alerts of every process: 1 while one is on.
async fn alerts(tellers: &mut [Teller], form: &AlertsForm, recorder: &Recorder) -> Vec<Stamped> {
    let ask = async |teller: &mut Teller| {
        let told = form.ask(&mut teller.connection, &teller.token).await.unwrap_or_default();
        let at = recorder.clock().now();
        let role = teller.role.clone();
        told.into_iter().map(move |alert| {
            let of = format!("{}{}{role}", alert.name, rates::ALERT_OF);
            (at, Sample { name: rates::ALERT.to_owned(), of, value: number(u64::from(alert.on)) })
        })
    };
    join_all(tellers.iter_mut().map(ask)).await.into_iter().flatten().collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
const fn number(count: u64) -> f64 {
    count as f64
}
