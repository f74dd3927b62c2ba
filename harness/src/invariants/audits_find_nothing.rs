//! The service's own audits find Redis and the ledger in balance, every time.
//!
//! An audit is exact under traffic, so what it finds is a breach, also if the service mended it before anybody else could look: units were
//! promised that did not exist, or kept from whoever asked. A service that finds nothing proves nothing by it; one that found something has
//! convicted itself. A counter that a fault has emptied, set back or edited is not ready, so no audit compares it. Only for services that keep what they found.

use std::time::Duration;

use super::case::{Case, StopView};
use super::claim::{Claim, Examination, Part, Violations};
use super::story;
use super::verdict::Violation;
use crate::clock::Offset;
use crate::snapshot::AuditFinding;

pub(crate) const CLAIM: Claim = Claim {
    name: "audits_find_nothing",
    sentence: "No audit of the service ever finds Redis and the ledger apart.",
    required: true,
    needs: &[],
    uses: &[Part::Stores],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let mut violations = Violations::default();
    let (mut stops, mut kept, mut told) = (0, 0, 0);
    for view in case.stops() {
        stops += 1;
        let Some(findings) = &view.stop.snapshot.audit_findings else { continue };
        kept += 1;
        // Every stop holds what the one before held.
        for finding in findings.iter().skip(told) {
            violations.add_weighed(finding.drift.unsigned_abs(), || tell(case, view, finding));
        }
        told = told.max(findings.len());
    }
    if stops > 0 && kept == 0 {
        return Examination::not_applicable("the service does not keep what its audits find");
    }
    Examination::new(format!("what audits had found by {kept} stops"), violations.verdict(kept))
}

fn tell(case: &Case<'_>, view: StopView<'_>, finding: &AuditFinding) -> Violation {
    let AuditFinding { item, epoch, findings, drift, details, .. } = finding;
    let sign = match drift {
        1.. => format!("Redis promised {drift} units too many"),
        0 => "the sum is right".to_owned(),
        _ => format!("Redis kept {} units back", drift.unsigned_abs()),
    };
    let what =
        format!("item {item}: an audit in epoch {epoch} found {}: {sign} ({details}) {}", findings.replace('_', " "), view.name());
    Violation { at: at(case, finding), ..story::of_item(case, *item, *drift, what) }
}

/// When it was found, by the clock of the database; `None` if that is not within the run.
fn at(case: &Case<'_>, finding: &AuditFinding) -> Option<Offset> {
    let wall = case.evidence.history.head.as_ref()?.wall_start_ms;
    let since = u64::try_from(finding.created_at_ms).ok()?.checked_sub(wall)?;
    Some(Offset::ZERO.plus(Duration::from_millis(since))).filter(|at| *at <= case.ended())
}
